"""What goes wrong with the machine before it goes wrong with us: a disk that fills, a clock that jumps or goes wrong.

A full disk ends the database. A clock that moved, or differs from the database's, makes time stamps lie, though
nothing here depends on it for order, for time-outs or for leases.
"""

import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from qsuite.domain.errors import Unavailable

log = structlog.get_logger(__name__)

DISK_ALARM = 0.20
JUMP_ALARM_S = 1.0
DRIFT_ALARM_S = 1.0
NS_PER_S = 1_000_000_000


class HostWatch:
    """A supervised loop. ``disk_free`` is a share of the whole, ``clock_jump_s`` the greatest jump seen so far.

    ``clock_drift_s`` is how far this clock is ahead of the one that ``database_time`` tells in nanoseconds.
    """

    name = "host"
    interval_s = 5.0

    def __init__(
        self,
        directory: Path,
        *,
        free: Callable[[Path], float] | None = None,
        database_time: Callable[[], Awaitable[int]] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.disk_free = 1.0
        self.clock_jump_s = 0.0
        self.clock_jumps = 0
        self.clock_drift_s = 0.0
        self._directory = directory
        self._free = free or free_share
        self._database_time = database_time
        self._drifted = False
        self._monotonic = monotonic
        self._low = False
        self._offset_s: float | None = None

    async def run_once(self, now: int) -> None:
        """Look at all of it."""
        self._look_at_clock(now)
        self._look_at_disk()
        if self._database_time is not None:
            await self._look_at_drift(now, self._database_time)

    async def _look_at_drift(self, now: int, database_time: Callable[[], Awaitable[int]]) -> None:
        """Compare with the database's clock, as it was half way between the question and the answer."""
        asked_s = self._monotonic()
        try:
            there = await database_time()
        except Unavailable:  # which health tells
            return
        took_s = self._monotonic() - asked_s
        self.clock_drift_s = (now - there) / NS_PER_S + took_s / 2
        drifted = abs(self.clock_drift_s) > DRIFT_ALARM_S + took_s / 2
        if drifted and not self._drifted:
            log.warning("clock.drifted", seconds=round(self.clock_drift_s, 3))
        self._drifted = drifted

    def _look_at_disk(self) -> None:
        self.disk_free = self._free(self._directory)
        low = self.disk_free < DISK_ALARM
        if low and not self._low:
            log.warning("disk.low", directory=str(self._directory), free_percent=round(self.disk_free * 100, 1))
        self._low = low

    def _look_at_clock(self, now: int) -> None:
        """Compare how far the wall clock went with how far time did."""
        offset_s = now / NS_PER_S - self._monotonic()
        if self._offset_s is not None:
            jump_s = offset_s - self._offset_s
            if abs(jump_s) > JUMP_ALARM_S:
                log.warning("clock.jumped", seconds=round(jump_s, 3))
                self.clock_jumps += 1
                self.clock_jump_s = max(self.clock_jump_s, abs(jump_s))
        self._offset_s = offset_s


def free_share(directory: Path) -> float:
    """Return the share of the directory's disk that is free; of the disk it would be on, where it is not there."""
    whole = directory.absolute()
    usage = shutil.disk_usage(next(part for part in (whole, *whole.parents) if part.exists()))
    return usage.free / usage.total
