"""What positions were worth at an instant of the past: by the same rule as now, from what is stored.

    the last quote before it    its bid for what is held, its ask for what is owed
    else the last trade
    else, of a symbol without ticks, the close of the last bar that was over

For threads.
"""

from collections import deque
from contextlib import closing
from decimal import Decimal

from qsuite.domain.intervals import bar_end
from qsuite.domain.market import QUOTE, TRADE, Quote, Tick, Trade
from qsuite.domain.money import ZERO
from qsuite.domain.reports.statement import ClosingPrice
from qsuite.domain.times import NS_PER_S
from qsuite.repos.market_data import BarQuery, MarketDataRepo
from qsuite.repos.ticks import TickQuery, TicksRepo

FIRST_LOOK_NS = 60 * NS_PER_S
LOOKS = 22
"""Each look goes back twice as far as the one before: a minute first, eight years with the last."""
BARS_LOOKED_AT = 50


class PastPrices:
    """Read prices of the past."""

    def __init__(self, ticks: TicksRepo, bars: MarketDataRepo) -> None:
        self._ticks = ticks
        self._bars = bars

    def at(self, symbol: str, quantity: Decimal, ts_ns: int) -> ClosingPrice | None:
        """Return what a unit of a position was worth just before an instant, None where nothing is known of it."""
        quote = self._last_tick(symbol, QUOTE, ts_ns)
        if isinstance(quote, Quote):
            side = quote.bid if quantity >= ZERO else quote.ask
            if side is not None:
                return ClosingPrice(side, "quote", quote.ts_ns)
        trade = self._last_tick(symbol, TRADE, ts_ns)
        if isinstance(trade, Trade):
            return ClosingPrice(trade.price, "trade", trade.ts_ns)
        return None if quote is not None else self._last_close(symbol, ts_ns)

    def _last_tick(self, symbol: str, kind: str, ts_ns: int) -> Tick | None:
        back_ns, end_ns = FIRST_LOOK_NS, ts_ns
        for _ in range(LOOKS):
            query = TickQuery(symbol, end_ns - back_ns, end_ns, kind)
            with closing(self._ticks.iterate(query)) as ticks:
                last = deque(ticks, maxlen=1)
            if last:
                return last[0]
            end_ns, back_ns = end_ns - back_ns, 2 * back_ns
        return None

    def _last_close(self, symbol: str, ts_ns: int) -> ClosingPrice | None:
        bars = self._bars.newest_before(BarQuery(symbol, end_ns=ts_ns), BARS_LOOKED_AT)
        over = [(bar_end(bar.ts_ns, bar.interval), bar.close) for bar in bars]
        ends = [(end_ns, close) for end_ns, close in over if end_ns <= ts_ns]
        if not ends:
            return None
        end_ns, close = max(ends, key=lambda each: each[0])
        return ClosingPrice(close, "bar", end_ns)
