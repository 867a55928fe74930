"""What a symbol's price can be held against: its own last minute, when anything last arrived, whether it jumped.

    average   of the trades of the 60 seconds up to its last tick, weighted by size: what "a fair price" was a moment
              ago; by the ticks' own time, so that a recording played faster is judged by the same minute
    arrived   when the last tick came in here; market time would call a replay of 1999 stale, or a wrong clock fresh
    jumped    how far the last trade's price lies from the one's before it, as a fraction

A single print far off is as likely wrong as right; the next one near it makes it the market. So it is two trades in a
row that must agree, whichever way the price went.
"""

from collections import deque
from decimal import Decimal
from typing import NamedTuple

from qsuite.domain.market import Tick, Trade
from qsuite.domain.money import ZERO
from qsuite.domain.times import NS_PER_MS, NS_PER_S

WINDOW_NS = 60 * NS_PER_S
SLICE_NS = 100 * NS_PER_MS
"""Trades are forgotten by slices of this: a symbol that trades ten thousand times a second takes no more memory."""


class ReferencePrice(NamedTuple):
    """What is known of a symbol's recent prices; all None of one that no tick of has arrived."""

    average: Decimal | None = None
    arrived: int | None = None
    jumped: Decimal | None = None


UNKNOWN = ReferencePrice()


class Recent:
    """One symbol's last minute, in running sums. A tick costs O(1) over time, looking nothing."""

    __slots__ = ("_jumped", "_last", "_seq", "_size", "_trades", "_value", "arrived")

    def __init__(self) -> None:
        self.arrived: int | None = None
        self._trades: deque[tuple[int, Decimal, Decimal]] = deque()
        self._value = ZERO
        self._size = ZERO
        self._last: Decimal | None = None
        self._jumped = ZERO
        self._seq = 0

    def see(self, tick: Tick, now: int) -> None:
        """Take in a tick that arrived now; one that is known by its number already changes nothing."""
        if 0 < tick.seq <= self._seq:
            return
        self._seq, self.arrived = tick.seq, now
        if isinstance(tick, Trade):
            self._add(tick.ts_ns - tick.ts_ns % SLICE_NS, tick.price * tick.size, tick.size)
            self._compare(tick.price)
        self._forget(tick.ts_ns)

    def look(self) -> ReferencePrice:
        """Return what is known."""
        average = self._value / self._size if self._size else None
        return ReferencePrice(average, self.arrived, self._jumped)

    def _add(self, slice_: int, value: Decimal, size: Decimal) -> None:
        self._value += value
        self._size += size
        if self._trades and self._trades[-1][0] == slice_:
            _, before, traded = self._trades[-1]
            self._trades[-1] = (slice_, before + value, traded + size)
        else:
            self._trades.append((slice_, value, size))

    def _compare(self, price: Decimal) -> None:
        before, self._last = self._last, price
        self._jumped = abs(price - before) / before if before else ZERO

    def _forget(self, ts_ns: int) -> None:
        # Also what lies far ahead: a recording that is played again begins a minute of its own.
        trades = self._trades
        while trades and not -WINDOW_NS < trades[0][0] - ts_ns < WINDOW_NS:
            _, value, size = trades.popleft()
            self._value -= value
            self._size -= size
        if not trades:  # what sums of long decimals lost to rounding goes with them
            self._value = self._size = ZERO


class ReferenceTape:
    """Every symbol's last minute."""

    def __init__(self) -> None:
        self._recent: dict[str, Recent] = {}

    def see(self, tick: Tick, now: int) -> None:
        """Take in a tick that arrived now."""
        recent = self._recent.get(tick.symbol)
        if recent is None:
            recent = self._recent[tick.symbol] = Recent()
        recent.see(tick, now)

    def look(self, symbol: str) -> ReferencePrice:
        """Return what is known of a symbol."""
        recent = self._recent.get(symbol)
        return UNKNOWN if recent is None else recent.look()
