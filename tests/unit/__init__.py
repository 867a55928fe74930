"""Does this decision hold? No I/O."""
