"""The live market: every tick enters here, from whatever feed, and from here reaches all who use prices.

    POST ticks, replay, demo ──publish──> number ──┬──> writer ──> time series ``ticks``, feed of other processes
                                                   │
    ticks of other processes ──follow──────────────┴──> snapshot ──> engine (resting orders)
                                                            ├──> live bars ──┐
                                                            └──> stream <────┘

Invariants: the market now is what arrived last, whatever its time stamp, so that a replay of the past moves it;
``seq`` rises with every tick of a symbol, across restarts too; no published tick is lost while the process lives.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import NamedTuple, Protocol

from qsuite.domain.bars import quote_price
from qsuite.domain.channels import parse_channel
from qsuite.domain.errors import NotFound
from qsuite.domain.intervals import bar_end
from qsuite.domain.market import NO_MARKET, Bar, Quote, Snapshot, Tick, Trade
from qsuite.domain.roles import Caller
from qsuite.repos.market_data import MarketDataRepo
from qsuite.repos.ticks import TicksRepo
from qsuite.services.live_bars import Arrived, LiveBars
from qsuite.services.market_messages import Message, bar_channel, bar_message, tick_channel, tick_message
from qsuite.services.price_marks import Mark, PriceMarks
from qsuite.services.reference import ReferenceService
from qsuite.services.tick_writer import TickWriter
from qsuite.settings import MarketSettings

SLICE_TICKS = 256
"""Ticks handled before others get their turn on the event loop."""
STORED_TIMEOUT_S = 10.0
SLOWEST_TICKS_PER_S = 10_000
"""A database slower than this counts as away."""
LOADS_AT_ONCE = 16

TickCallback = Callable[[Sequence[Tick]], None]
BarCallback = Callable[[Bar], None]


class LatestPrice(NamedTuple):
    """A price and where it is from: the last ``trade``, the middle of the last ``quote``, or the close of a ``bar``."""

    symbol: str
    price: Decimal
    bid: Decimal | None
    ask: Decimal | None
    ts_ns: int
    source: str
    mark: Mark


class Publisher(Protocol):
    """What the market needs of the stream."""

    def publish(self, channel: str, message: Message) -> None:
        """Send a message to all who listen."""

    def wanted(self, channel: str) -> bool:
        """Say whether anybody listens."""

    def snapshot_source(self, prefix: str, source: Callable[[Caller, str], Awaitable[list[Message]]]) -> None:
        """Register how a channel's snapshot is made."""


class MarketDataService:
    """Publish live ticks. Its ``writer`` and itself (bars) are supervised loops."""

    name = "live_bars"

    def __init__(
        self,
        *,
        settings: MarketSettings,
        ticks: TicksRepo,
        market_data: MarketDataRepo,
        reference: ReferenceService,
        stream: Publisher,
        marks: PriceMarks,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.interval_s = settings.tick_flush_s
        self.writer = TickWriter(ticks, interval_s=settings.tick_flush_s)
        self.published = 0
        self.newest_arrival_ns = 0
        self.marks = marks
        self._settings = settings
        self._ticks = ticks
        self._market_data = market_data
        self._reference = reference
        self._stream = stream
        self._clock = clock
        self._snapshots: dict[str, Snapshot] = {}
        self._before: dict[str, Snapshot] = {}
        self._closes: set[str] = set()
        """Symbols whose last trade is only the close of their last bar."""
        self._seqs: dict[str, int] = {}
        self._callbacks: list[TickCallback] = []
        self._closed_bars: list[BarCallback] = []
        self._bars = LiveBars(self._announce_bar)
        reference.protect("bars", market_data.any_of)
        reference.protect("ticks", ticks.any_of)
        # Microseconds since 1970: above every number a symbol got before the restart, as long as it has fewer than
        # a million ticks a second, and exact in JavaScript until 2255.
        self._first_seq = clock() // 1_000
        stream.snapshot_source("trades", self._ticks_snapshot)
        stream.snapshot_source("quotes", self._ticks_snapshot)
        stream.snapshot_source("bars", self._bars_snapshot)

    async def start(self) -> None:
        """Load the last known prices, so that the market is not empty after a restart."""
        await self._ticks.keep_days(self._settings.ticks_kept_days)
        await self.load_prices([ticker.symbol for ticker in self._reference.tickers()])

    async def load_prices(self, symbols: Sequence[str]) -> None:
        """Take the last stored tick, else the last close, of symbols that had no live tick since the start."""
        loaded = await self._ticks.newest(symbols) if symbols else {}
        gate = asyncio.Semaphore(LOADS_AT_ONCE)

        async def load(symbol: str) -> None:
            async with gate:
                close = await self._last_close(symbol)
            if close is not None and symbol not in self._seqs:
                self._snapshots[symbol] = Snapshot(close)
                self._closes.add(symbol)

        for symbol, snapshot in loaded.items():
            if symbol not in self._seqs:
                self._snapshots[symbol] = snapshot
                self._closes.discard(symbol)
        await asyncio.gather(*(load(symbol) for symbol in symbols if symbol not in loaded))

    def quiet(self) -> list[str]:
        """Return the symbols that had no live tick since the start: of them storage may know something newer."""
        return [ticker.symbol for ticker in self._reference.tickers() if ticker.symbol not in self._seqs]

    async def stop(self) -> None:
        """Write what waits. Unavailable when storage does not take it."""
        await self.writer.flush()

    async def run_once(self, now: int) -> None:
        """Announce the bars that changed and close those whose time is over."""
        self._bars.round(now)

    # -- publishing -------------------------------------------------------------------------------------------------

    async def publish(self, ticks: Sequence[Tick]) -> None:
        """Make ticks of known symbols the market now, in the order given; waits while storage is far behind.

        They are stored a moment later; ``stored`` waits for that.
        """
        for start in range(0, len(ticks), SLICE_TICKS):
            if start:
                await asyncio.sleep(0)
            await self.writer.room()
            self._publish(ticks[start : start + SLICE_TICKS])

    async def follow(self, ticks: Sequence[Tick]) -> None:
        """Make ticks that another process took in and stored the market now, here too."""
        for start in range(0, len(ticks), SLICE_TICKS):
            if start:
                await asyncio.sleep(0)
            part = ticks[start : start + SLICE_TICKS]
            for tick in part:
                self._seqs[tick.symbol] = max(self._seqs.get(tick.symbol, self._first_seq), tick.seq)
            self._take(part)

    async def refresh(self) -> None:
        """Take the last stored ticks of symbols where they are newer: another process may have had some."""
        symbols = [ticker.symbol for ticker in self._reference.tickers()]
        stored = await self._ticks.newest(symbols) if symbols else {}
        for trade, quote in stored.values():
            missed = [tick for tick in (quote, trade) if tick is not None and tick.seq > self._seqs.get(tick.symbol, 0)]
            await self.follow(sorted(missed, key=lambda tick: tick.seq))

    async def stored(self, ticks: int = 0) -> None:
        """Return when everything published so far is durable. OutcomeUnknown when that takes too long for so many."""
        await self.writer.stored(STORED_TIMEOUT_S + ticks / SLOWEST_TICKS_PER_S)

    def snapshot(self, symbol: str) -> Snapshot:
        """Return the last trade and quote of a symbol."""
        return self._snapshots.get(symbol, NO_MARKET)

    def before(self, symbol: str) -> Snapshot:
        """Return the last trade and quote from before the newest ticks; for those who are just being told of them."""
        return self._before.get(symbol) or self.snapshot(symbol)

    def latest_price(self, symbol: str) -> LatestPrice:
        """Return what a symbol costs now. NotFound while no price of it is known."""
        trade, quote = self.snapshot(symbol)
        mark = self.marks.of(symbol, self._clock())
        bid, ask = (quote.bid, quote.ask) if quote is not None else (None, None)
        if trade is not None:
            source = "bar" if symbol in self._closes else "trade"
            return LatestPrice(symbol, trade.price, bid, ask, trade.ts_ns, source, mark)
        if quote is None:
            raise NotFound(f"no price of {symbol} is known yet", code="ticker.no_price")
        middle = quote_price(quote, "mid") or quote.bid or quote.ask
        assert middle is not None
        return LatestPrice(symbol, middle, bid, ask, quote.ts_ns, "quote", mark)

    def on_ticks(self, callback: TickCallback) -> None:
        """Call back with every batch of ticks, after the snapshots show it and before it is stored."""
        self._callbacks.append(callback)

    def on_closed_bar(self, callback: BarCallback) -> None:
        """Call back with every bar that closes, of the intervals that are watched; its ticks may not be stored yet."""
        self._closed_bars.append(callback)

    def watch_bars(self, interval: str) -> None:
        """Build live bars of a further interval from now on."""
        self._bars.watch(interval)

    def now(self) -> int:
        """Return the time, by the clock that arrivals are stamped with."""
        return self._clock()

    def recent_bars(self) -> list[Arrived]:
        """Return the one-minute bars that arrived in the last five minutes."""
        return self._bars.recent(self._clock())

    def _publish(self, ticks: Sequence[Tick]) -> None:
        numbered = [self._numbered(tick) for tick in ticks]
        self.writer.put(numbered)
        self.published += len(numbered)
        self._take(numbered)

    def _take(self, numbered: Sequence[Tick]) -> None:
        """Make ticks the market now, and tell whoever uses it."""
        now = self._clock()
        self._before = {}
        suspect = [self.marks.see(tick, now) for tick in numbered]
        for tick in numbered:
            known = self._snapshots.get(tick.symbol, NO_MARKET)
            self._before.setdefault(tick.symbol, known)
            if isinstance(tick, Trade):
                self._snapshots[tick.symbol] = Snapshot(tick, known.quote)
                self._closes.discard(tick.symbol)
                self._bars.add(tick, now)
            else:
                self._snapshots[tick.symbol] = Snapshot(known.trade, tick)
        self.newest_arrival_ns = now
        for callback in self._callbacks:
            callback(numbered)
        away = self.marks.away()
        for tick, wild in zip(numbered, suspect, strict=True):
            channel = tick_channel(tick)
            if self._stream.wanted(channel):
                self._stream.publish(channel, tick_message(tick, Mark(away, wild)))

    def _numbered(self, tick: Tick) -> Tick:
        seq = self._seqs.get(tick.symbol, self._first_seq) + 1
        self._seqs[tick.symbol] = seq
        if isinstance(tick, Trade):
            return Trade(tick.symbol, tick.ts_ns, tick.price, tick.size, seq)
        return Quote(tick.symbol, tick.ts_ns, tick.bid, tick.ask, tick.bid_size, tick.ask_size, seq)

    def _announce_bar(self, bar: Bar) -> None:
        if bar.final:
            for callback in self._closed_bars:
                callback(bar)
        channel = bar_channel(bar)
        if self._stream.wanted(channel):
            self._stream.publish(channel, bar_message(bar))

    # -- snapshots --------------------------------------------------------------------------------------------------

    async def _ticks_snapshot(self, caller: Caller, channel: str) -> list[Message]:
        name = parse_channel(channel)
        symbols = sorted(self._snapshots) if name.is_wildcard else [name.symbol]
        found = (self.snapshot(symbol) for symbol in symbols)
        newest = (each.trade if name.kind == "trades" else each.quote for each in found)
        now = self._clock()
        return [tick_message(tick, self.marks.of(tick.symbol, now)) for tick in newest if tick is not None]

    async def _bars_snapshot(self, caller: Caller, channel: str) -> list[Message]:
        name = parse_channel(channel)
        interval = name.kind.partition(":")[2]
        self._bars.watch(interval)
        symbols = sorted(self._snapshots) if name.is_wildcard else [name.symbol]
        return [bar_message(bar) for bar in self._bars.current(interval, symbols)]

    async def _last_close(self, symbol: str) -> Trade | None:
        bar = await self._market_data.newest(symbol)
        if bar is None:
            return None
        # A bar of today ends in the future, and nothing was traded there yet.
        ts_ns = min(bar_end(bar.ts_ns, bar.interval), self._clock())
        return Trade(symbol, ts_ns, bar.close, bar.volume)  # a volume of 0 is not known, and bounds no fill
