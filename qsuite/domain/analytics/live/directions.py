"""Wilder's true range and directional movement, one bar at a time (New Concepts in Technical Trading Systems, 1978)."""

import math

from qsuite.domain.analytics.live.blocks import NAN, Values, Wilder, WilderSum
from qsuite.domain.analytics.series import Candle


class Atr:
    """The average true range."""

    def __init__(self, length: int) -> None:
        self._average = Wilder(length)
        self._before: Candle | None = None

    def __call__(self, bar: Candle, keep: bool) -> Values:
        """Return it."""
        before = self._before
        if keep:
            self._before = bar
        return (NAN if before is None else self._average(true_range(bar, before), keep),)


class Adx:
    """The average directional index, and its two directions."""

    def __init__(self, length: int) -> None:
        self._up, self._down, self._ranges = WilderSum(length), WilderSum(length), WilderSum(length)
        self._average = Wilder(length)
        self._before: Candle | None = None

    def __call__(self, bar: Candle, keep: bool) -> Values:
        """Return the index, the upward and the downward direction."""
        before = self._before
        if keep:
            self._before = bar
        if before is None:
            return NAN, NAN, NAN
        rise, fall = bar.high - before.high, before.low - bar.low
        up = self._up(rise if rise > 0.0 and rise > fall else 0.0, keep)
        down = self._down(fall if fall > 0.0 and fall > rise else 0.0, keep)
        ranges = self._ranges(true_range(bar, before), keep)
        if math.isnan(ranges):
            return NAN, NAN, NAN
        plus, minus = (100.0 * (up / ranges), 100.0 * (down / ranges)) if ranges else (0.0, 0.0)
        return self._index(plus, minus, keep), plus, minus

    def _index(self, plus: float, minus: float, keep: bool) -> float:
        if plus + minus:
            return self._average(100.0 * (abs(minus - plus) / (plus + minus)), keep)
        # Without any direction the average begins as if there were balance, and later stays what it was.
        return self._average(0.0, keep) if math.isnan(self._average.last) else self._average.last


def true_range(bar: Candle, before: Candle) -> float:
    """Return the greatest of the bar's range and of how far its high and its low are from the close before."""
    return max(bar.high - bar.low, abs(before.close - bar.high), abs(before.close - bar.low))
