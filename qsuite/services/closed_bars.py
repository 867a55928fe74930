"""The closed bars of a symbol, which is all that a signal or an indicator may be made of.

    stored bars of the interval ── then, for what came after them, bars made from smaller ones and from ticks

A bar is closed when its end has passed. One made from ticks that is the market's newest counts only while the market
is live, that is, its last trade is recent: of a recording that is still being played nobody knows where it stands, so
there a bar waits for the first trade after it.
"""

import time
from collections import deque
from collections.abc import Callable

from qsuite.domain.adjusted import adjusted as adjusted_bar
from qsuite.domain.intervals import MINUTE_NS, bar_end, parse_interval
from qsuite.domain.market import Bar
from qsuite.domain.times import DAY_NS
from qsuite.repos.market_data import BarQuery, MarketDataRepo
from qsuite.services.market_data import MarketDataService
from qsuite.services.price_history import BarsAsked, PriceHistory

PAGE = 5_000
SPANS = (2, 16, 128)
"""Where bars are made: how far back is looked, in times of what the bars asked for would fill without gaps."""
EARLIEST_NS = -200 * 365 * DAY_NS
_MONTH_NS = 31 * DAY_NS


class ClosedBars:
    """Read closed bars."""

    def __init__(
        self,
        *,
        history: PriceHistory,
        market_data: MarketDataRepo,
        market: MarketDataService,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._history = history
        self._market_data = market_data
        self._market = market
        self._clock = clock

    async def newest(
        self, symbol: str, interval: str, count: int, *, before_ns: int | None = None, adjusted: bool = False
    ) -> list[Bar]:
        """Return up to ``count`` closed bars, oldest first; of those that start before an instant, if it is given."""
        now = self._clock()
        asked = BarsAsked(symbol, interval, None, before_ns, adjusted=adjusted)
        end_ns = now if before_ns is None else min(now, before_ns)
        stored = await self._market_data.read(BarQuery(symbol, interval, None, end_ns), count + 1, newest_first=True)
        if stored:
            stored.reverse()
            made = await self._made(asked._replace(start_ns=bar_end(stored[-1].ts_ns, interval)), count)
            stored = [adjusted_bar(bar) for bar in stored] if adjusted else stored
        else:
            made = await self._looked_for(asked, count)
        closed = [bar for bar in stored if bar_end(bar.ts_ns, interval) <= now]
        return (closed + self._closed(made, now))[-count:]

    async def from_start(self, asked: BarsAsked, count: int) -> list[Bar]:
        """Return the first ``count`` closed bars of those asked for."""
        found: list[Bar] = []
        cursor: str | None = ""
        while cursor is not None and len(found) < count:
            page = await self._history.bars(asked, page_size=min(PAGE, count - len(found)), cursor=cursor)
            found += page.items
            cursor = page.next_cursor
        return self._closed(found, self._clock())

    async def _looked_for(self, asked: BarsAsked, count: int) -> list[Bar]:
        """Look ever farther back from the last price until there are enough."""
        newest = self._market.snapshot(asked.symbol).trade
        width = parse_interval(asked.interval).width_ns or _MONTH_NS
        found: list[Bar] = []
        if newest is None:
            return found
        end_ns = newest.ts_ns if asked.end_ns is None else min(newest.ts_ns, asked.end_ns)
        for span in SPANS:
            start_ns = max(EARLIEST_NS, end_ns - span * count * width)
            found = await self._made(asked._replace(start_ns=start_ns), count)
            if len(found) > count:
                break
        return found

    async def _made(self, asked: BarsAsked, count: int) -> list[Bar]:
        """Return the newest of the bars asked for; one more than is wanted, since it may be open."""
        if asked.end_ns is not None and asked.start_ns is not None and asked.start_ns >= asked.end_ns:
            return []
        kept: deque[Bar] = deque(maxlen=count + 1)
        cursor: str | None = ""
        while cursor is not None:
            page = await self._history.bars(asked, page_size=PAGE, cursor=cursor)
            kept.extend(page.items)
            cursor = page.next_cursor
        return list(kept)

    def _closed(self, bars: list[Bar], now: int) -> list[Bar]:
        if bars and not self._is_over(bars[-1], now):
            bars = bars[:-1]
        return [bar for bar in bars if bar.final]

    def _is_over(self, bar: Bar, now: int) -> bool:
        end_ns = bar_end(bar.ts_ns, bar.interval)
        newest = self._market.snapshot(bar.symbol).trade
        if newest is None or not bar.ts_ns <= newest.ts_ns < end_ns:
            return True
        return now - newest.ts_ns <= 2 * (end_ns - bar.ts_ns) + MINUTE_NS
