"""A source's ticks, live: connected, put in order, completed, and published; whatever the source does.

    leading? ──> breaker ──> connect, subscribe ──> read ──> order, gaps ──> MarketDataService.publish
       ^            └─open──> later                   │
       └───────────── pause with jitter <──── drop, silence, error

Invariants: every numbered tick that the source sends, or gives again when asked, is published once and in the order of
its number, also across restarts; what is lost all the same is logged and counted. Only the process that has the engine
connects. Memory is bounded: behind a gap only so much is held, then reading waits.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from qsuite.domain.market import Tick
from qsuite.domain.times import NS_PER_S
from qsuite.repos.feed_positions import FeedPositionsRepo
from qsuite.repos.ticks import TicksRepo
from qsuite.services.feeds.followed import FollowedFeed
from qsuite.services.feeds.gaps import Gaps
from qsuite.services.feeds.mapping import FieldMap
from qsuite.services.feeds.positions import Positions
from qsuite.services.feeds.source import Source, SourceError
from qsuite.services.files.rows import RowError
from qsuite.services.market_data import MarketDataService
from qsuite.services.reference import ReferenceService
from qsuite.settings import SourceSettings

log = structlog.get_logger(__name__)

TURN_MAX_S = 0.1


class StreamFeed(FollowedFeed):
    """A supervised loop: a session is one connection."""

    name = "stream_feed"

    def __init__(
        self,
        *,
        settings: SourceSettings,
        symbols: Sequence[str],
        market: MarketDataService,
        reference: ReferenceService,
        positions: FeedPositionsRepo,
        ticks: TicksRepo,
        leading: Callable[[], bool],
        uniform: Callable[[], float],
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        super().__init__(
            patience=settings,
            market=market,
            reference=reference,
            leading=leading,
            uniform=uniform,
            monotonic_ns=monotonic_ns,
        )
        self._settings = settings
        self._fields = FieldMap(settings, symbols)
        self._source = Source(settings, self._fields)
        self.gaps = Gaps(settings, self._source, uniform)
        self._positions = Positions(url=settings.url or "", symbols=symbols, repo=positions, ticks=ticks, market=market)
        self._turn_s = min(settings.reorder_s, TURN_MAX_S)
        self._told_bad = False

    async def _session(self) -> None:
        async with self._source.connected() as connection:
            self._note_connected()
            self._told_bad = False
            await self._follow(connection)

    def _forget(self) -> None:
        self._positions.forget()

    async def _follow(self, connection: Any) -> None:
        """Read until this process no longer leads. SourceError when the source closes, or says nothing any more."""
        await self._positions.begin(self.gaps)
        self.gaps.resume(self._monotonic_ns())
        reading: asyncio.Future[str | bytes | None] | None = None
        heard_ns = self._monotonic_ns()
        try:
            while self._leading():
                if reading is None and not self.gaps.full:
                    reading = asyncio.ensure_future(connection.read_message())
                waiting: list[asyncio.Future[Any]] = [*self.gaps.requests, *([] if reading is None else [reading])]
                await asyncio.wait(waiting, timeout=self._turn_s, return_when=asyncio.FIRST_COMPLETED)
                now_ns = self._monotonic_ns()
                ticks: list[Tick] = []
                if reading is None:
                    heard_ns = now_ns
                elif reading.done():
                    ticks += self._take(reading.result(), now_ns)
                    reading, heard_ns = None, now_ns
                elif now_ns - heard_ns > self._settings.silence_s * NS_PER_S:
                    raise SourceError(f"said nothing for {self._settings.silence_s:g} s")
                ticks += self.gaps.turn(now_ns)
                await self._publish(self._positions.new_of(ticks))
                await self._positions.save(self.gaps, now_ns)
        finally:
            if reading is not None:
                reading.cancel()
            await self.gaps.stop()
            if not self._due:
                await self._positions.save(self.gaps, self._monotonic_ns(), sure=True)

    def _take(self, frame: str | bytes | None, now_ns: int) -> list[Tick]:
        """Return the ticks whose turn it is after one frame."""
        if frame is None:
            raise SourceError("closed the connection")
        self.counts.frames += 1
        ticks: list[Tick] = []
        try:
            items = self._fields.read_frame(frame)
        except RowError as wrong:
            self._note_bad(wrong)
            return []
        for item in items:
            try:
                message = self._fields.read(item)
            except RowError as wrong:
                self._note_bad(wrong)
            else:
                if message is not None:
                    ticks += self.gaps.take(message, now_ns)
        return ticks

    def _note_bad(self, wrong: RowError) -> None:
        """Count a message that cannot be read; the first of each connection is logged."""
        self.counts.bad += 1
        if not self._told_bad:
            self._told_bad = True
            log.warning("feed.bad_message", why=wrong.reason, field=wrong.field)
