"""The newest closed bars of a symbol, which is all that a signal may be made of.

    stored bars of the interval ── then, for what came after them, bars made from smaller ones and from ticks

A bar is closed when its end has passed. One made from ticks that is the market's newest counts only while the market
is live, that is, its last trade is recent: of a recording that is still being played nobody knows where it stands, so
there a bar waits for the first trade after it.
"""

import time
from collections import deque
from collections.abc import Callable

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

    async def newest(self, symbol: str, interval: str, count: int) -> list[Bar]:
        """Return up to ``count`` closed bars, oldest first."""
        now = self._clock()
        stored = await self._market_data.read(BarQuery(symbol, interval, None, now), count + 1, newest_first=True)
        if stored:
            stored.reverse()
            made = await self._made(symbol, interval, bar_end(stored[-1].ts_ns, interval), count)
        else:
            made = await self._looked_for(symbol, interval, count)
        if made and not self._is_over(made[-1], now):
            made.pop()
        closed = [bar for bar in stored if bar_end(bar.ts_ns, interval) <= now]
        return (closed + [bar for bar in made if bar.final])[-count:]

    async def _looked_for(self, symbol: str, interval: str, count: int) -> list[Bar]:
        """Look ever farther back from the last price until there are enough."""
        newest = self._market.snapshot(symbol).trade
        width = parse_interval(interval).width_ns or _MONTH_NS
        found: list[Bar] = []
        if newest is None:
            return found
        for span in SPANS:
            start_ns = max(EARLIEST_NS, newest.ts_ns - span * count * width)
            found = await self._made(symbol, interval, start_ns, count)
            if len(found) > count:
                break
        return found

    async def _made(self, symbol: str, interval: str, start_ns: int, count: int) -> list[Bar]:
        """Return the newest of the bars that start at an instant or later; one more than asked, it may be open."""
        asked = BarsAsked(symbol, interval, start_ns)
        kept: deque[Bar] = deque(maxlen=count + 1)
        cursor: str | None = ""
        while cursor is not None:
            page = await self._history.bars(asked, page_size=PAGE, cursor=cursor)
            kept.extend(page.items)
            cursor = page.next_cursor
        return list(kept)

    def _is_over(self, bar: Bar, now: int) -> bool:
        end_ns = bar_end(bar.ts_ns, bar.interval)
        newest = self._market.snapshot(bar.symbol).trade
        if newest is None or not bar.ts_ns <= newest.ts_ns < end_ns:
            return True
        return now - newest.ts_ns <= 2 * (end_ns - bar.ts_ns) + MINUTE_NS
