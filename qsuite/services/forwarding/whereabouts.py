"""Where the engine is, looked up again and again while it is in another process.

Invariant: what is known is what a majority of the database had; while that is away the last that was known stays.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from qsuite.domain.errors import Unavailable
from qsuite.repos.engine_seat import Seat

log = structlog.get_logger(__name__)

LOOKS_PER_LEASE = 10
IN_A_HURRY_S = 0.05


class Whereabouts:
    """A supervised loop. ``elsewhere`` says whether this process lacks the engine: only then anybody asks."""

    name = "whereabouts"

    def __init__(
        self,
        find: Callable[[], Awaitable[Seat | None]],
        *,
        elsewhere: Callable[[], bool],
        lease_s: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seat: Seat | None = None
        self.away_since_s: float | None = None
        """Since when nobody who can be reached holds the lease."""
        self.on_look: Callable[[], None] = lambda: None
        """Called after each look."""
        self.in_use: Callable[[], bool] = lambda: False
        """Says whether there are connections still, also after this process took the engine itself."""
        self._find = find
        self._elsewhere = elsewhere
        self._pause_s = lease_s / LOOKS_PER_LEASE
        self._monotonic = monotonic
        self._changed = asyncio.Event()
        self._waiting = 0

    @property
    def interval_s(self) -> float:
        """Return the pause between two looks; short while commands wait for a new engine."""
        return min(IN_A_HURRY_S, self._pause_s) if self._waiting else self._pause_s

    async def run_once(self, now: int) -> None:
        """Look once."""
        if self._elsewhere() or self._waiting or self.in_use():
            await self.look()

    async def look(self) -> None:
        """Read the lease, and wake who waits for another one."""
        try:
            found = await self._find()
        except Unavailable as error:
            log.debug("whereabouts.unread", error=str(error))
            return
        reachable = found is not None and found.address != "" and not found.lapsed
        if reachable:
            self.away_since_s = None
        elif self.away_since_s is None:
            self.away_since_s = self._monotonic()
        if found != self.seat:
            if found is not None and (self.seat is None or found.epoch != self.seat.epoch):
                log.info("whereabouts.engine", epoch=found.epoch, address=found.address)
            self.seat = found
            self._changed.set()
            self._changed = asyncio.Event()
        self.on_look()

    async def change(self, wait_s: float) -> None:
        """Return when another lease is known, or after so long."""
        self._waiting += 1
        try:
            async with asyncio.timeout(wait_s):
                await self._changed.wait()
        except TimeoutError:
            pass
        finally:
            self._waiting -= 1
