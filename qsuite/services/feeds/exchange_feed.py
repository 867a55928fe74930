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
from qsuite.domain.feeds.breaker import Breaker, BreakerState, full_jitter_s
from qsuite.domain.market import Quote, Tick
from qsuite.domain.times import NS_PER_MS, NS_PER_S
from qsuite.repos.ticks import TicksRepo
from qsuite.services.feeds.already_stored import AlreadyStored
from qsuite.services.feeds.exchange_source import ExchangeSource, Page
from qsuite.services.feeds.mapping import pairs
from qsuite.services.feeds.source import SourceError
from qsuite.services.feeds.stream_feed import LOOK_S, StreamCounts
from qsuite.services.market_data import MarketDataService
from qsuite.services.reference import ReferenceService
from qsuite.services.ticker_guess import guess_ticker
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


class ExchangeFeed:
    """A supervised loop: a round is one session with the exchange, or one failed try."""

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
        self.interval_s = 0.0
        self.counts = StreamCounts()
        self.connected = False
        self.newest_ns = 0
        self.breaker = Breaker(failures_max=settings.failures_max, open_ns=int(settings.open_s * NS_PER_S))
        self._settings = settings
        self._markets = _markets(settings, symbols)
        self._source = ExchangeSource(settings)
        self._market = market
        self._reference = reference
        self._ticks = ticks
        self._leading = leading
        self._uniform = uniform
        self._monotonic_ns = monotonic_ns
        self._positions: dict[str, Position] = {}

    async def run_once(self, now: int) -> None:
        """Ask in rounds until that fails; ``interval_s`` says how long to wait then."""
        if not self._leading():
            self._positions.clear()  # whoever leads meanwhile goes on from here
            self.interval_s = LOOK_S
            return
        if not self.breaker.allows(self._monotonic_ns()):
            self.interval_s = min(LOOK_S, self.breaker.wait_ns(self._monotonic_ns()) / NS_PER_S)
            return
        try:
            async with self._source.connected(self._markets):
                self._note_connected()
                await self._follow()
            self.interval_s = 0.0
        except SourceError as error:
            self._note_failure(error)
        finally:
            self.connected = False
            if self.breaker.state is BreakerState.HALF_OPEN:  # cancelled, or broken by a fault of ours
                self.breaker.failed(self._monotonic_ns())

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
            new = position.new_of(page)
            await self._publish(new)
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

    async def _publish(self, ticks: list[Tick]) -> None:
        if not ticks:
            return
        symbol = ticks[0].symbol
        if self._reference.ticker(symbol) is None:
            await self._reference.ensure_ticker(symbol, guess_ticker(symbol, ticks, "a feed"))
        await self._market.publish(sorted(ticks, key=attrgetter("ts_ns")))
        self.counts.ticks += len(ticks)
        self.newest_ns = self._market.now()

    def _note_connected(self) -> None:
        self.connected = True
        self.counts.connects += 1
        log.info("feed.connected", connects=self.counts.connects, exchange=self._settings.name)

    def _note_failure(self, error: SourceError) -> None:
        self.breaker.failed(self._monotonic_ns())
        self.counts.failures += 1
        settings = self._settings
        self.interval_s = full_jitter_s(
            self.breaker.failures, self._uniform(), first_s=settings.pause_first_s, max_s=settings.pause_max_s
        )
        log.warning(
            "feed.disconnected", why=str(error), failures=self.breaker.failures, breaker=self.breaker.state.value
        )


def _markets(settings: ExchangeSettings, symbols: Sequence[str]) -> dict[str, str]:
    """Return the exchange's market of each of our symbols; what is not renamed has the same name there."""
    theirs = {ours: market for market, ours in pairs("exchange.rename", settings.rename).items()}
    for ours in theirs.keys() - set(symbols):
        raise SetupError(f"exchange.rename: {ours} is not among feed.symbols")
    return {symbol: theirs.get(symbol, symbol) for symbol in symbols}
