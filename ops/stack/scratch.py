"""Where a stack keeps what is gone after it: in memory where there is room, so that nobody waits for a disk.

A database flushes for each collection, index and transaction. Processes are killed in the tests, machines are not, and
memory outlives a process as a disk does.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108  what is made there has a name of its own
ROOM = 6 << 30
"""Bytes that must be free in it before anything is begun there; all databases of the suite together take half."""
PREFIX = "qsuite-test-"


@contextmanager
def scratch() -> Iterator[str]:
    """Make a directory, and remove it in the end."""
    place = MEMORY if _room() >= ROOM else None
    if place is not None:
        _clear(place)
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-", dir=place) as directory:
        yield directory


def _room() -> int:
    if not os.access(MEMORY, os.W_OK):
        return 0
    sizes = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return min(shutil.disk_usage(MEMORY).free, int(sizes["MemAvailable"].split()[0]) << 10)


def _clear(place: Path) -> None:
    """Remove what tests left that were killed: memory is not emptied by anybody else."""
    for left in place.glob(f"{PREFIX}*-*"):
        owner = left.name.removeprefix(PREFIX).partition("-")[0]
        if not Path("/proc", owner).exists():
            with suppress(OSError):  # another one's, or gone meanwhile
                shutil.rmtree(left)
