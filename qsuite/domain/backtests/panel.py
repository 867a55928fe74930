"""The past of several symbols as matrices, one row a period and one column a symbol: what a sweep trades on.

Plain floats: a price of up to 15 digits is the float nearest to it, and that is written back as the same decimal.
Invariant: a symbol that has no bar in a period is marked there at its last close, and cannot be traded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qsuite.domain.analytics.series import Candles, Flags, Instants, Series
from qsuite.domain.analytics.signals import BarSeries
from qsuite.domain.intervals import bar_end
from qsuite.domain.market import Bar


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """``bars`` are each symbol's own, ``periods`` the rows they lie in.

    The matrices have one row a period and one column a symbol: ``shown`` is what each was last worth once the period's
    opens are known, ``closes`` at its end (zero before a symbol's first bar), ``traded`` where it has a bar.
    """

    symbols: tuple[str, ...]
    interval: str
    starts_ns: Instants
    ends_ns: Instants
    bars: tuple[Candles, ...]
    periods: tuple[Instants, ...]
    shown: Series
    closes: Series
    traded: Flags

    def series(self, column: int) -> BarSeries:
        """Return a symbol's bars as algorithms take them."""
        own = self.bars[column]
        return BarSeries(own.closes, own.volumes, own.highs, own.lows)


def panel_of(interval: str, bars: Mapping[str, Candles]) -> Panel:
    """Put the bars of symbols side by side; each oldest first and not empty."""
    starts = np.unique(np.concatenate([own.starts_ns for own in bars.values()]))
    ends = np.array([bar_end(int(each), interval) for each in starts], dtype=np.int64)
    shown, closes = np.zeros((len(starts), len(bars))), np.zeros((len(starts), len(bars)))
    traded = np.zeros(shown.shape, dtype=np.bool_)
    periods = []
    for column, own in enumerate(bars.values()):
        rows = np.searchsorted(starts, own.starts_ns)
        periods.append(rows)
        traded[rows, column] = True
        # The newest own bar in each period or before it; -1 where there was none.
        newest = np.cumsum(traded[:, column]) - 1
        closes[:, column] = np.where(newest >= 0, own.closes[np.maximum(newest, 0)], 0.0)
        shown[1:, column] = closes[:-1, column]
        shown[rows, column] = own.opens
    return Panel(tuple(bars), interval, starts, ends, tuple(bars.values()), tuple(periods), shown, closes, traded)


def candles_of(bars: Sequence[Bar]) -> Candles:
    """Return bars, oldest first, as arrays of the floats nearest to their prices."""
    columns = ([float(getattr(bar, name)) for bar in bars] for name in ("open", "high", "low", "close", "volume"))
    return Candles(np.array([bar.ts_ns for bar in bars], dtype=np.int64), *map(np.array, columns))
