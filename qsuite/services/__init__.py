"""Use cases and long-running loops, between handlers and the domain and repos."""
