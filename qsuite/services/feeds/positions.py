"""How far a source has been read, kept in storage: read when this process begins to follow it, saved as it goes on.

    begin ──> positions, and what may be stored behind them ──> Gaps goes on from there, and asks for what was missed
    every second, and in the end ──> wait until it is stored ──> save

Invariant: a position is saved only once everything before it is durable. After a process was killed some ticks behind
it may be stored, too: those are looked up, and not stored again when they come again.
"""

import asyncio
import hashlib
from collections.abc import Sequence

import structlog

from qsuite.domain.errors import Unavailable
from qsuite.domain.market import Tick
from qsuite.domain.times import NS_PER_S
from qsuite.repos.feed_positions import FeedPosition, FeedPositionsRepo
from qsuite.repos.ticks import TicksRepo
from qsuite.services.feeds.already_stored import AlreadyStored
from qsuite.services.feeds.gaps import Gaps
from qsuite.services.market_data import MarketDataService

log = structlog.get_logger(__name__)

SAVE_NS = NS_PER_S


class Positions:
    """The positions of one source; ``url`` tells it from others."""

    def __init__(
        self, *, url: str, symbols: Sequence[str], repo: FeedPositionsRepo, ticks: TicksRepo, market: MarketDataService
    ) -> None:
        self._name = hashlib.sha256(url.encode()).hexdigest()[:16]
        self._symbols = symbols
        self._repo = repo
        self._ticks = ticks
        self._market = market
        self._begun = False
        self._saved: dict[str, FeedPosition] = {}
        self._saved_ns = 0
        self._saving: asyncio.Task[None] | None = None
        self._stored: dict[str, AlreadyStored] = {}

    def forget(self) -> None:
        """Another process follows the source: what it stores is read when this one begins again."""
        self._begun = False

    async def begin(self, gaps: Gaps) -> None:
        """Let the sequences go on from where storage ends, the first time and after ``forget``."""
        if not self._begun:
            await self._read(gaps)
        # From now on something may be stored behind what is saved.
        unsure = {key: position._replace(sure=False) for key, position in self._saved.items() if position.sure}
        await self._repo.save(self._name, unsure, self._market.now())
        self._saved.update(unsure)

    async def _read(self, gaps: Gaps) -> None:
        gaps.reset()
        self._saved = await self._repo.of(self._name)
        unsure = [position.stamp for position in self._saved.values() if not position.sure]
        self._stored = {}
        if unsure:
            self._stored = {
                symbol: await AlreadyStored.read(self._ticks, symbol, min(unsure)) for symbol in self._symbols
            }
        for key, position in self._saved.items():
            gaps.restore(key, position.next, position.stamp)
        self._begun = True

    def new_of(self, ticks: list[Tick]) -> list[Tick]:
        """Return the ticks that are not known to be stored."""
        if not self._stored:
            return ticks
        return [tick for tick in ticks if not self._is_stored(tick)]

    async def save(self, gaps: Gaps, now_ns: int, *, sure: bool = False) -> None:
        """Save where the sequences are: now and then, and the feed does not wait for it; for sure in the end."""
        if not self._begun or (not sure and now_ns - self._saved_ns < SAVE_NS):
            return
        self._saved_ns = now_ns
        found = {key: FeedPosition(following, stamp, sure) for key, following, stamp in gaps.positions()}
        changed = {key: position for key, position in found.items() if self._saved.get(key) != position}
        if not changed:
            return
        if self._saving is not None and not self._saving.done():
            if not sure:
                return
            await self._saving
        self._saving = asyncio.create_task(self._write(changed), name="feed-positions")
        if sure:
            await self._saving

    async def _write(self, changed: dict[str, FeedPosition]) -> None:
        try:
            await self._market.stored()
            await self._repo.save(self._name, changed, self._market.now())
        except Unavailable as error:
            log.warning("feed.position_not_saved", why=error.code)
        else:
            self._saved.update(changed)

    def _is_stored(self, tick: Tick) -> bool:
        known = self._stored.get(tick.symbol)
        if known is None:
            return False
        if tick.ts_ns > known.newest_ns:  # nothing of what is stored comes any more
            del self._stored[tick.symbol]
            return False
        return known.take(tick)
