"""Which process holds the engine, and whether it is certainly gone."""

import os
import platform
from pathlib import Path
from typing import Any


def _boot_id() -> str:
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else ""


def owner() -> dict[str, Any]:
    """Name this process as the holder of the engine."""
    return {"host": platform.node(), "boot": _boot_id(), "pid": os.getpid()}


def owner_is_dead(holder: dict[str, Any]) -> bool:
    """Say whether the holder certainly is no more: it ran on this machine, and its process is gone."""
    if holder["host"] != platform.node():
        return False
    if holder["boot"] != _boot_id():
        return True
    try:
        os.kill(holder["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
