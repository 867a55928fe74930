"""Bars from ticks as they arrive, and larger bars from smaller ones.

Invariant: a bar's open, high, low and close are prices that were seen, its volume is their exact sum, and an interval
in which nothing happened has no bar. Market data passes here between the tick and everything that reads bars:
charts, indicators, stop triggers and backtests.

Late ticks. Inside the bar being built arrival order does not matter: open and close go by ``(ts, seq)``. A tick for
an interval that is already complete is counted in ``BarBuilder.late`` and changes nothing, because a bar once given
out as final is never taken back.
"""

from collections.abc import Iterable, Iterator
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Literal

from qsuite.domain.intervals import bucket_end, bucket_start, nests, parse_interval
from qsuite.domain.market import Bar, Quote, Tick, Trade
from qsuite.domain.money import MONEY, ZERO

PriceSide = Literal["trade", "bid", "ask", "mid"]

# Wide enough for every sum of products of two 34-digit numbers: only the result is rounded to a Decimal128.
_SUMS = Context(prec=120, rounding=ROUND_HALF_EVEN)
_HALF = Decimal("0.5")


class BarBuilder:
    """Build one symbol's bars of one interval from its ticks.

    ``side`` chooses what the bar is made of: trades, or the bid, the ask or the middle of quotes. Ticks of the other
    kind, and quotes without the chosen side, pass without effect. Bars of quotes have no volume.
    """

    def __init__(self, symbol: str, interval: str, *, side: PriceSide = "trade", utc_offset_ns: int = 0) -> None:
        self.symbol = symbol
        self.interval = parse_interval(interval)
        self.side = side
        self.late = 0
        self._utc_offset_ns = utc_offset_ns
        self._start_ns: int | None = None
        self._end_ns = -(2**63)

    def add(self, tick: Tick) -> Bar | None:
        """Take the next tick; return the bar it completed by being the first of a later interval."""
        price, size = self._price_of(tick)
        if price is None:
            return None
        completed = None
        if tick.ts_ns >= self._end_ns:
            completed = self.close()
            self._open(tick, price)
        elif self._start_ns is None or tick.ts_ns < self._start_ns:
            self.late += 1
            return None
        self._fold(tick, price, size)
        return completed

    def advance(self, now_ns: int) -> Bar | None:
        """Complete the current bar if its interval has ended by now; ticks for it are late from then on."""
        return self.close() if now_ns >= self._end_ns else None

    def close(self) -> Bar | None:
        """Complete the current bar, if there is one, before its end."""
        bar = self._bar(final=True)
        self._start_ns = None
        return bar

    @property
    def partial(self) -> Bar | None:
        """The bar so far, ``final=False``; None before its first tick."""
        return self._bar(final=False)

    def _price_of(self, tick: Tick) -> tuple[Decimal | None, Decimal]:
        if isinstance(tick, Trade):
            return (tick.price, tick.size) if self.side == "trade" else (None, ZERO)
        return quote_price(tick, self.side), ZERO

    def _open(self, tick: Tick, price: Decimal) -> None:
        self._start_ns = bucket_start(tick.ts_ns, self.interval, self._utc_offset_ns)
        self._end_ns = bucket_end(tick.ts_ns, self.interval, self._utc_offset_ns)
        self._open_price = self._high = self._low = self._close_price = price
        self._first = self._last = (tick.ts_ns, tick.seq)
        self._volume = self._notional = ZERO
        self._count = 0

    def _fold(self, tick: Tick, price: Decimal, size: Decimal) -> None:
        key = (tick.ts_ns, tick.seq)
        if key >= self._last:
            self._last, self._close_price = key, price
        elif key < self._first:
            self._first, self._open_price = key, price
        if price > self._high:
            self._high = price
        elif price < self._low:
            self._low = price
        if self.side == "trade":
            self._volume = _SUMS.add(self._volume, size)
            self._notional = _SUMS.fma(price, size, self._notional)
        self._count += 1

    def _bar(self, *, final: bool) -> Bar | None:
        if self._start_ns is None:
            return None
        vwap = MONEY.divide(self._notional, self._volume) if self._volume else None
        return Bar(
            self.symbol,
            self.interval.name,
            self._start_ns,
            self._open_price,
            self._high,
            self._low,
            self._close_price,
            MONEY.plus(self._volume),
            vwap=vwap,
            trades=self._count if self.side == "trade" else None,
            final=final,
        )


def quote_price(quote: Quote, side: PriceSide) -> Decimal | None:
    """Return the bid, the ask or their exact middle; None where the quote lacks it, or for ``trade``."""
    if side == "bid":
        return quote.bid
    if side == "ask":
        return quote.ask
    if side == "mid" and quote.bid is not None and quote.ask is not None:
        return MONEY.multiply(MONEY.add(quote.bid, quote.ask), _HALF)
    return None


def build_bars(
    ticks: Iterable[Tick], symbol: str, interval: str, *, side: PriceSide = "trade", utc_offset_ns: int = 0
) -> Iterator[Bar]:
    """Build all bars of one symbol's ticks, oldest first; the last one ends where the ticks end."""
    builder = BarBuilder(symbol, interval, side=side, utc_offset_ns=utc_offset_ns)
    for tick in ticks:
        if (bar := builder.add(tick)) is not None:
            yield bar
    if (bar := builder.close()) is not None:
        yield bar


def resample(bars: Iterable[Bar], interval: str, *, utc_offset_ns: int = 0, now_ns: int | None = None) -> Iterator[Bar]:
    """Build larger bars from one symbol's bars, oldest first, of an interval that fits into the larger one.

    A larger bar is final when all its parts are and, where ``now_ns`` is given, its interval has ended by then.
    ``vwap`` and ``trades`` are known where all parts know them. ValueError when the bars are out of order, of
    several symbols, or of an interval that does not nest.
    """
    group: list[Bar] = []
    start_ns = 0
    for bar in bars:
        _check_part(bar, group[-1] if group else None, interval)
        bar_start_ns = bucket_start(bar.ts_ns, interval, utc_offset_ns)
        if group and bar_start_ns != start_ns:
            yield _merge(group, interval, start_ns, utc_offset_ns, now_ns)
            group = []
        start_ns = bar_start_ns
        group.append(bar)
    if group:
        yield _merge(group, interval, start_ns, utc_offset_ns, now_ns)


def _check_part(bar: Bar, previous: Bar | None, interval: str) -> None:
    if not nests(bar.interval, interval):
        raise ValueError(f"bars of {bar.interval} do not make up bars of {interval}")
    if previous is not None and previous.symbol != bar.symbol:
        raise ValueError("bars of several symbols cannot be merged")
    if previous is not None and previous.ts_ns >= bar.ts_ns:
        raise ValueError("bars must be given oldest first, each once")


def _merge(group: list[Bar], interval: str, start_ns: int, utc_offset_ns: int, now_ns: int | None) -> Bar:
    volume = ZERO
    for bar in group:
        volume = _SUMS.add(volume, bar.volume)
    ended = now_ns is None or now_ns >= bucket_end(start_ns, interval, utc_offset_ns)
    counts = [bar.trades for bar in group]
    return Bar(
        group[0].symbol,
        parse_interval(interval).name,
        start_ns,
        group[0].open,
        max(bar.high for bar in group),
        min(bar.low for bar in group),
        group[-1].close,
        MONEY.plus(volume),
        vwap=_merged_vwap(group, volume),
        trades=None if None in counts else sum(count or 0 for count in counts),
        adjusted_close=group[-1].adjusted_close,
        final=ended and all(bar.final for bar in group),
    )


def _merged_vwap(group: list[Bar], volume: Decimal) -> Decimal | None:
    notional = ZERO
    for bar in group:
        if bar.volume and bar.vwap is None:
            return None
        notional = _SUMS.fma(bar.vwap or ZERO, bar.volume, notional)
    return MONEY.divide(notional, volume) if volume else None
