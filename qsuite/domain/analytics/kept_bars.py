"""The newest closed bars of one symbol, as numbers: each bar that closes is added, the oldest is let go.

Memory is twice what is kept, four doubles a bar, and adding costs the same however many there are.
"""

import numpy as np

from qsuite.domain.analytics.signals import BarSeries

COLUMNS = 4


class KeptBars:
    """At most ``count`` bars, oldest first."""

    __slots__ = ("_columns", "_count", "_end", "last_ns")

    def __init__(self, count: int) -> None:
        self._count = count
        self._columns = np.empty((COLUMNS, 2 * count))
        self._end = 0
        self.last_ns: int | None = None

    def add(self, start_ns: int, numbers: tuple[float, float, float, float]) -> None:
        """Add a bar's close, volume, high and low; one that is not after the last is there already."""
        if self.last_ns is not None and start_ns <= self.last_ns:
            return
        if self._end == 2 * self._count:
            self._columns[:, : self._count] = self._columns[:, self._count :]
            self._end = self._count
        self._columns[:, self._end] = numbers
        self._end += 1
        self.last_ns = start_ns

    def series(self) -> BarSeries:
        """Return them as they are now; what is added later does not change it."""
        return BarSeries(*self._columns[:, max(0, self._end - self._count) : self._end].copy())
