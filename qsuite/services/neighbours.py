"""Other processes on the same database: whether there are any, and the ticks they take in.

    their POST ticks ──> their market ──> ticks, tick_feed ──> this market ──> engine, bars, stream

So every process shows the same market, and the one with the engine lets its resting orders meet every tick, wherever
it was sent. Invariant: a tick of another process is taken in once, and never stored again.
"""

import asyncio
import time
from collections.abc import Callable

import structlog

from qsuite.domain.errors import Unavailable
from qsuite.repos.processes import ProcessesRepo
from qsuite.repos.tick_feed import PlaceLost, TickFeed
from qsuite.services.market_data import MarketDataService

log = structlog.get_logger(__name__)

ASLEEP_S = 4.0
"""A process that was silent for longer may have been taken for gone, and not been told of ticks."""
LEAVE_S = 1.0
"""So long a stop may take to say goodbye."""


class Neighbours:
    """A loop: say that this process is there, and see who else is."""

    name = "neighbours"
    interval_s = 1.0

    def __init__(
        self,
        processes: ProcessesRepo,
        feed: TickFeed,
        market: MarketDataService,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.count = 0
        self.life = 0
        """Which life of a process on this database this is."""
        self._processes = processes
        self._feed = feed
        self._market = market
        self._monotonic = monotonic
        self._said_s = monotonic()

    async def start(self) -> None:
        """Be there before anything is taken in."""
        await self._feed.start()
        self.life = await self._processes.new_life()
        await self.run_once(0)

    async def stop(self) -> None:
        """Be gone."""
        await self._feed.stop()
        try:
            async with asyncio.timeout(LEAVE_S):
                await self._processes.leave()
        except (Unavailable, TimeoutError) as error:
            log.warning("neighbours.not_told", error=str(error))  # they will see it by themselves

    async def run_once(self, now: int) -> None:
        """Say it, and count."""
        count = await self._processes.say()
        if count != self.count:
            log.info("neighbours.counted", others=count)
        self.count = count
        self._feed.watched = count > 0
        said_s, self._said_s = self._said_s, self._monotonic()
        if count and self._said_s - said_s > ASLEEP_S:
            await self._market.refresh()


class ForeignTicks:
    """A loop: take in the ticks of other processes."""

    name = "foreign-ticks"
    interval_s = 0.0

    def __init__(self, feed: TickFeed, market: MarketDataService) -> None:
        self._feed = feed
        self._market = market

    async def run_once(self, now: int) -> None:
        """Wait for the next batch, half a second at most."""
        try:
            ticks = await self._feed.read()
        except PlaceLost:
            log.warning("foreign_ticks.skipped")
            await self._market.refresh()
            return
        if ticks:
            await self._market.follow(ticks)
