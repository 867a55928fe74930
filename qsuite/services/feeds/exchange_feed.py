"""An exchange's trades and quotes, live: asked for in rounds, from where the last one, or the last run, had come to.

    leading? ──> breaker ──> markets, positions from storage ──> trades since, top of the book ──> publish ──┐
       ^            └─open──> later                                ^                                         │
       └───────────── pause with jitter <──── error                └─────────────── poll_s ──────────────────┘

Invariants: a trade that the exchange gives is published once, also when it is given again, and across restarts, for a
position is no more than the last trade in storage; a gap is filled by asking from there on. Only the process that has
the engine asks. What is missed in an absence beyond ``catch_up_s`` is left out, and logged.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

import structlog

from qsuite.domain.errors import SetupError
from qsuite.domain.market import Quote, Tick
from qsuite.domain.times import NS_PER_MS, NS_PER_S
from qsuite.repos.ticks import TicksRepo
from qsuite.services.feeds.already_stored import AlreadyStored
from qsuite.services.feeds.exchange_source import ExchangeSource, Page
from qsuite.services.feeds.followed import FollowedFeed
from qsuite.services.feeds.mapping import pairs
from qsuite.services.market_data import MarketDataService
from qsuite.services.reference import ReferenceService
from qsuite.settings import ExchangeSettings

log = structlog.get_logger(__name__)

OVERLAP_MS = 2_000
"""Asked for again in each round: an exchange may show a trade later than a younger one."""


@dataclass(slots=True)
class Position:
    """How far a market has been read. ``seen`` are the trades that may be given again, with their times."""

    since_ms: int | None = None
    seen: dict[str, int] = field(default_factory=dict)
    stored: AlreadyStored = field(default_factory=AlreadyStored)
    quote: Quote | None = None

    def new_of(self, page: Page) -> list[Tick]:
        """Return what is new in a page, and go on to its end."""
        new: list[Tick] = []
        for key, trade in page.trades:
            if key not in self.seen:
                self.seen[key] = trade.ts_ns // NS_PER_MS
                if not self.stored.take(trade):
                    new.append(trade)
        if page.trades:
            newest_ms = page.trades[-1].trade.ts_ns // NS_PER_MS
            self.since_ms = max(self.since_ms or 0, newest_ms - OVERLAP_MS)
            self.seen = {key: at_ms for key, at_ms in self.seen.items() if at_ms >= self.since_ms}
        return new


class ExchangeFeed(FollowedFeed):
    """A supervised loop: a session is rounds of requests until one fails."""

    name = "exchange_feed"
    gaps = None

    def __init__(
        self,
        *,
        settings: ExchangeSettings,
        symbols: Sequence[str],
        market: MarketDataService,
        reference: ReferenceService,
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
        self._markets = _markets(settings, symbols)
        self._source = ExchangeSource(settings)
        self._ticks = ticks
        self._positions: dict[str, Position] = {}

    async def _session(self) -> None:
        async with self._source.connected(self._markets):
            self._note_connected(exchange=self._settings.name)
            await self._follow()

    def _forget(self) -> None:
        self._positions.clear()

    async def _follow(self) -> None:
        for symbol in self._markets.keys() - self._positions.keys():
            self._positions[symbol] = await self._resumed(symbol)
        while self._leading():
            for symbol, market in self._markets.items():
                await self._round(symbol, market, self._positions[symbol])
            self.breaker.worked()
            await asyncio.sleep(self._settings.poll_s)

    async def _resumed(self, symbol: str) -> Position:
        """Return where storage ends; an exchange we know nothing of yet gives its latest trades."""
        await self._market.stored()
        trade = self._market.snapshot(symbol).trade
        if trade is None:
            return Position()
        since_ns = trade.ts_ns - OVERLAP_MS * NS_PER_MS
        oldest_ns = self._market.now() - int(self._settings.catch_up_s * NS_PER_S)
        if since_ns < oldest_ns:
            log.warning("feed.gap_too_long", symbol=symbol, absent_s=(self._market.now() - trade.ts_ns) // NS_PER_S)
            since_ns = oldest_ns
        since_ms = since_ns // NS_PER_MS
        return Position(since_ms, stored=await AlreadyStored.read(self._ticks, symbol, since_ms * NS_PER_MS))

    async def _round(self, symbol: str, market: str, position: Position) -> None:
        """Publish what came since the last round, page by page, and the top of the book if it is another."""
        more = True
        while more:
            since_ms = position.since_ms
            page = await self._source.trades(symbol, market, since_ms)
            self.counts.frames += 1
            self.counts.bad += page.bad
            await self._publish(sorted(position.new_of(page), key=attrgetter("ts_ns")))
            more = page.full and since_ms is not None and self._turned(position, since_ms, page)
        if self._settings.quotes:
            quote = await self._source.quote(symbol, market, self._market.now())
            self.counts.frames += 1
            if quote is not None and (position.quote is None or quote[2:] != position.quote[2:]):
                position.quote = quote
                await self._publish([quote])

    @staticmethod
    def _turned(position: Position, since_ms: int, page: Page) -> bool:
        """Go on behind a full page, without the overlap where that is all there was on it."""
        if position.since_ms == since_ms:
            position.since_ms = max(since_ms + 1, page.trades[-1].trade.ts_ns // NS_PER_MS)
        return True


def _markets(settings: ExchangeSettings, symbols: Sequence[str]) -> dict[str, str]:
    """Return the exchange's market of each of our symbols; what is not renamed has the same name there."""
    theirs = {ours: market for market, ours in pairs("exchange.rename", settings.rename).items()}
    for ours in theirs.keys() - set(symbols):
        raise SetupError(f"exchange.rename: {ours} is not among feed.symbols")
    return {symbol: theirs.get(symbol, symbol) for symbol in symbols}
