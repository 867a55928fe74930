"""Which process holds the engine, and whether it is certainly gone.

A number of a process says little by itself: it is given out again, and in another container it means another process.
So the holder is named with its machine, that machine's start, its space of process numbers, and its own start.
"""

import os
import platform
from pathlib import Path
from typing import Any

PROC = Path("/proc")
ENDED = ("Z", "X")


def owner() -> dict[str, Any]:
    """Name this process as the holder of the engine."""
    return {**_place(), "pid": os.getpid(), "started": _started(os.getpid())}


def owner_is_dead(holder: dict[str, Any]) -> bool:
    """Say whether the holder certainly is no more: it ran where this process runs, and its process is gone."""
    here = _place()
    if holder["host"] != here["host"]:
        return False
    if holder["boot"] != here["boot"]:
        return True
    if holder.get("space") != here["space"]:
        return False
    try:
        os.kill(holder["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return bool(_started(holder["pid"]) != holder.get("started"))


def _place() -> dict[str, Any]:
    """Return where process numbers mean the same as here."""
    boot, space = PROC / "sys/kernel/random/boot_id", PROC / "self/ns/pid"
    return {
        "host": platform.node(),
        "boot": boot.read_text().strip() if boot.exists() else "",
        "space": os.readlink(space) if space.is_symlink() else "",
    }


def _started(pid: int) -> int:
    """Return when a process began, in the kernel's ticks since its own start; 0 where that is not told, -1 if it ended.

    A killed process keeps its number until its parent has taken note.
    """
    try:
        stat = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return 0
    # The second field, a name in brackets, may hold anything.
    state, *further = stat.rpartition(")")[2].split()
    return -1 if state in ENDED else int(further[18])
