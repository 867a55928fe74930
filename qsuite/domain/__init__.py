"""Decisions without I/O: time, ids and seeds come in as arguments, so every decision can be replayed."""
