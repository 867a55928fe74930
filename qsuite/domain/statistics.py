"""What a ticker's stored bars amount to, gathered bar by bar so that a long history needs no memory.

Invariant: sums are exact; only the averages are rounded, half-even to 34 digits.
"""

from collections.abc import Iterable
from decimal import Context, Decimal
from typing import NamedTuple

from qsuite.domain.market import Bar
from qsuite.domain.money import MONEY, ZERO

_SUMS = Context(prec=60)


class BarStatistics(NamedTuple):
    """The figures of ``record_count`` bars; everything else is None where there are none."""

    record_count: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    last_close: Decimal | None = None
    avg_close: Decimal | None = None
    max_high: Decimal | None = None
    min_low: Decimal | None = None
    avg_volume: Decimal | None = None
    total_volume: Decimal | None = None


def describe_bars(bars: Iterable[Bar]) -> BarStatistics:
    """Describe bars given in any order; the caller chooses one symbol and one interval."""
    count, closes, volume = 0, ZERO, ZERO
    first: Bar | None = None
    last: Bar | None = None
    highest: Decimal | None = None
    lowest: Decimal | None = None
    for bar in bars:
        count += 1
        closes = _SUMS.add(closes, bar.close)
        volume = _SUMS.add(volume, bar.volume)
        first = bar if first is None or bar.ts_ns < first.ts_ns else first
        last = bar if last is None or bar.ts_ns >= last.ts_ns else last
        highest = bar.high if highest is None or bar.high > highest else highest
        lowest = bar.low if lowest is None or bar.low < lowest else lowest
    if first is None or last is None:
        return BarStatistics()
    return BarStatistics(
        record_count=count,
        first_ns=first.ts_ns,
        last_ns=last.ts_ns,
        last_close=last.close,
        avg_close=average(closes, count),
        max_high=highest,
        min_low=lowest,
        avg_volume=average(volume, count),
        total_volume=MONEY.plus(volume),
    )


def average(total: Decimal, count: int) -> Decimal | None:
    """Divide a sum by its count, half-even to 34 digits; None for no values."""
    return MONEY.divide(total, Decimal(count)) if count else None
