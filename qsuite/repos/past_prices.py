"""What positions were worth at an instant of the past: by the same rule as now, from what is stored.

    the last quote before it    its bid for what is held, its ask for what is owed
    else the last trade
    else, of a symbol without ticks, the close of the last bar that was over

For threads.
"""

from decimal import Decimal

from qsuite.domain.intervals import bar_end
from qsuite.domain.market import NO_MARKET, Snapshot
from qsuite.domain.money import ZERO
from qsuite.domain.reports.statement import ClosingPrice
from qsuite.repos.market_data import BarQuery, MarketDataRepo
from qsuite.repos.ticks import TicksRepo

BARS_LOOKED_AT = 50


class PastPrices:
    """Read prices of the past. ``remembering`` makes one that reads each once: for one report, or one round."""

    def __init__(self, ticks: TicksRepo, bars: MarketDataRepo) -> None:
        self._ticks = ticks
        self._bars = bars
        self._known: dict[tuple[str, int], tuple[Snapshot, ClosingPrice | None]] = {}

    def remembering(self) -> "PastPrices":
        """Return one that knows nothing yet: what is stored of the past may still grow."""
        return PastPrices(self._ticks, self._bars)

    def at(self, symbol: str, quantity: Decimal, ts_ns: int) -> ClosingPrice | None:
        """Return what a unit of a position was worth just before an instant, None where nothing is known of it."""
        key = (symbol, ts_ns)
        if key not in self._known:
            self._known[key] = self._read(symbol, ts_ns)
        (trade, quote), close = self._known[key]
        if quote is not None:
            side = quote.bid if quantity >= ZERO else quote.ask
            if side is not None:
                return ClosingPrice(side, "quote", quote.ts_ns)
        return close if trade is None else ClosingPrice(trade.price, "trade", trade.ts_ns)

    def _read(self, symbol: str, ts_ns: int) -> tuple[Snapshot, ClosingPrice | None]:
        market = self._ticks.as_of(symbol, ts_ns)
        return market, self._last_close(symbol, ts_ns) if market == NO_MARKET else None

    def _last_close(self, symbol: str, ts_ns: int) -> ClosingPrice | None:
        bars = self._bars.newest_before(BarQuery(symbol, end_ns=ts_ns), BARS_LOOKED_AT)
        over = [(bar_end(bar.ts_ns, bar.interval), bar.close) for bar in bars]
        ends = [(end_ns, close) for end_ns, close in over if end_ns <= ts_ns]
        if not ends:
            return None
        end_ns, close = max(ends, key=lambda each: each[0])
        return ClosingPrice(close, "bar", end_ns)
