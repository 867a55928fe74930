"""The worker processes that a process has."""

from contextlib import suppress

import psutil


def workers(of: int | None = None) -> list[psutil.Process]:
    """Return the processes that a process (this one by default) spawned to compute in."""
    found = []
    for child in psutil.Process(of).children():
        with suppress(psutil.NoSuchProcess):
            if any("spawn_main" in word for word in child.cmdline()):
                found.append(child)
    return found
