"""Fail at every step, kill, restart: the same answer."""
