"""What a client of the HTTP API sees."""
