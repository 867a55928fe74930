"""What goes wrong with the machine before it goes wrong with us: a disk that fills, a clock that jumps or goes wrong.

A full disk ends the database, whichever of the two it is on, ours or its own; so a disk that is nearly full ends the
taking of new orders before (docs/adr/0044). A clock that moved, or differs from the database's, makes time stamps lie,
though nothing here depends on it for order, for time-outs or for leases.
"""

import shutil
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import structlog

from qsuite.domain.errors import Unavailable
from qsuite.services.health import State

log = structlog.get_logger(__name__)

JUMP_ALARM_S = 1.0
DRIFT_ALARM_S = 1.0
NS_PER_S = 1_000_000_000
INFO, WARNING = 20, 30


class HostWatch:
    """A supervised loop. ``disk_free`` is a share of the whole, ``clock_jump_s`` the greatest jump seen so far.

    ``clock_drift_s`` is how far this clock is ahead of the one that ``database_time`` tells in nanoseconds;
    ``database_disk_free`` is what ``database_free`` last told, of a disk that may be another machine's. Below
    ``alarm`` a disk is low, below ``halt`` it is full.
    """

    name = "host"

    def __init__(
        self,
        directory: Path,
        *,
        alarm: float,
        halt: float,
        free: Callable[[Path], float] | None = None,
        database_free: Callable[[], Awaitable[float]] | None = None,
        database_time: Callable[[], Awaitable[int]] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.disk_free = 1.0
        self.database_disk_free = 1.0
        self.disk = State.UP
        self.clock = State.UP
        self.clock_jump_s = 0.0
        self.clock_jumps = 0
        self.clock_drift_s = 0.0
        self._directory = directory
        self._alarm = alarm
        self._halt = halt
        self._free = free or free_share
        self._database_free = database_free
        self._database_time = database_time
        self._monotonic = monotonic
        self._offset_s: float | None = None

    @property
    def interval_s(self) -> float:
        """Return the pause between looks: shorter while something is the matter."""
        return 5.0 if self.disk is self.clock is State.UP else 1.0

    @property
    def full(self) -> bool:
        """Say whether there is too little room for new orders."""
        return self.disk is State.FULL

    async def run_once(self, now: int) -> None:
        """Look at all of it."""
        self._look_at_clock(now)
        await self._look_at_disks()
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
        if drifted and self.clock is State.UP:
            log.warning("clock.drifted", seconds=round(self.clock_drift_s, 3))
        self.clock = State.WRONG if drifted else State.UP

    async def _look_at_disks(self) -> None:
        self.disk_free = self._free(self._directory)
        if self._database_free is not None:
            with suppress(Unavailable):  # away, which health tells, or one that never says
                self.database_disk_free = await self._database_free()
        least = min(self.disk_free, self.database_disk_free)
        state = State.FULL if least < self._halt else State.LOW if least < self._alarm else State.UP
        if state is not self.disk:
            log.log(
                INFO if state is State.UP else WARNING,
                f"disk.{state.value}",
                directory=str(self._directory),
                free_percent=round(self.disk_free * 100, 1),
                database_free_percent=round(self.database_disk_free * 100, 1),
            )
        self.disk = state

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
