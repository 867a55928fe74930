"""Bars of the live market, built as its trades come in.

    trade ──> builder of each watched interval ──completed──> final bar, announced at once
                       └──(every round)──> the bar so far, announced where it changed

One-minute bars are always built, others from when somebody first asks. Bars are also closed by the clock, so that a
market falling silent does not leave its last minute open; a recording played from the past is closed by its own ticks
alone. Invariant: a bar announced as final is not announced again.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from qsuite.domain.bars import BarBuilder
from qsuite.domain.intervals import MINUTE_NS, bar_end, parse_interval
from qsuite.domain.market import Bar, Trade
from qsuite.domain.times import NS_PER_S

ALWAYS = "1m"
WATCHED_MAX = 16
# A tick may arrive this long after its interval before the clock closes the bar over it.
GRACE_NS = NS_PER_S
# Farther back than any late tick: another recording, or the same one from its start.
REWIND_NS = 15 * MINUTE_NS
# A symbol whose ticks are stamped this near to their arrival is traded now, not replayed.
LIVE_NS = MINUTE_NS
RECENT_NS = 5 * MINUTE_NS
# A recording played as fast as possible finishes bars by the thousand.
RECENT_MAX = 5_000

Announce = Callable[[Bar], None]


class Arrived(NamedTuple):
    """A bar and when it last changed, by our own clock."""

    at_ns: int
    bar: Bar


class LiveBars:
    """Build bars and announce them."""

    def __init__(self, announce: Announce) -> None:
        self._announce = announce
        self._intervals = [ALWAYS]
        self._builders: dict[str, list[BarBuilder]] = {}
        self._changed: dict[str, int] = {}
        """Symbols traded since the last round, and the arrival of their newest trade."""
        self._arrivals: dict[str, tuple[int, int]] = {}
        """The arrival and own time of each symbol's newest trade."""
        self._recent: deque[Arrived] = deque(maxlen=RECENT_MAX)

    def watch(self, interval: str) -> None:
        """Build bars of a further interval from now on; beyond sixteen the request is passed over."""
        name = parse_interval(interval).name
        if name in self._intervals or len(self._intervals) >= WATCHED_MAX:
            return
        self._intervals.append(name)
        for symbol, builders in self._builders.items():
            builders.append(BarBuilder(symbol, name))

    def add(self, trade: Trade, now_ns: int) -> None:
        """Take the next trade of a symbol."""
        builders = self._builders.get(trade.symbol)
        known = self._arrivals.get(trade.symbol)
        if builders is None or (known is not None and trade.ts_ns < known[1] - REWIND_NS):
            builders = self._builders[trade.symbol] = [BarBuilder(trade.symbol, name) for name in self._intervals]
        for builder in builders:
            if (completed := builder.add(trade)) is not None:
                self._finish(completed, now_ns)
        self._changed[trade.symbol] = now_ns
        self._arrivals[trade.symbol] = (now_ns, trade.ts_ns)

    def round(self, now_ns: int) -> None:
        """Announce the bars that changed, close those whose time is over, forget what is no longer recent."""
        changed, self._changed = self._changed, {}
        for symbol in changed:
            for builder in self._builders[symbol]:
                if (bar := builder.partial) is not None:
                    self._announce(bar)
        for symbol, (arrived_ns, ts_ns) in self._arrivals.items():
            if abs(arrived_ns - ts_ns) <= LIVE_NS:
                self._close_by_clock(symbol, now_ns)
        while self._recent and self._recent[0].at_ns < now_ns - RECENT_NS:
            self._recent.popleft()

    def recent(self, now_ns: int) -> list[Arrived]:
        """Return the one-minute bars that arrived in the last five minutes, the newest 5,000, finished ones first."""
        found = [item for item in self._recent if item.at_ns >= now_ns - RECENT_NS]
        for symbol, (arrived_ns, _) in self._arrivals.items():
            bar = self._builders[symbol][0].partial
            if bar is not None and arrived_ns >= now_ns - RECENT_NS:
                found.append(Arrived(arrived_ns, bar))
        return found

    def current(self, interval: str, symbols: Iterable[str]) -> list[Bar]:
        """Return the unfinished bars of an interval."""
        name = parse_interval(interval).name
        builders = (builder for symbol in symbols for builder in self._builders.get(symbol, ()))
        return [bar for builder in builders if builder.interval.name == name and (bar := builder.partial) is not None]

    def _close_by_clock(self, symbol: str, now_ns: int) -> None:
        for builder in self._builders[symbol]:
            bar = builder.partial
            if bar is not None and now_ns >= bar_end(bar.ts_ns, bar.interval) + GRACE_NS:
                closed = builder.close()
                assert closed is not None
                self._finish(closed, now_ns)

    def _finish(self, bar: Bar, now_ns: int) -> None:
        self._announce(bar)
        if bar.interval == ALWAYS:
            self._recent.append(Arrived(now_ns, bar))
