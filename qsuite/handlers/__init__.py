"""HTTP and WebSocket: parse, call a service, show its answer. Nothing is decided here."""
