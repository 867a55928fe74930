"""Where live prices come from, other than from those who send them in: played by this process or fetched by it."""
