"""What live indicators are made of: averages and windows that take one value after the other.

    block(value, keep=True)     the value is final: the block moves on
    block(value, keep=False)    what it would say, were this the next value; the block stays as it is

NaN, "not known", is passed on and never kept, so that a block behind another begins where that one begins. A window is
added up anew for each value, exactly: no rounding outlives the values that it came from.
"""

import math
from collections import deque
from collections.abc import Sequence

NAN = math.nan
Values = tuple[float, ...]
"""What a live indicator says at a bar, one number for each of its parts."""


def mean_of(values: Sequence[float] | None) -> float:
    """Return the mean, NaN of a window that is not full."""
    return NAN if values is None else math.fsum(values) / len(values)


class Window:
    """The last ``length`` values."""

    __slots__ = ("_before", "_most")

    def __init__(self, length: int) -> None:
        self._most = length - 1
        self._before: deque[float] = deque(maxlen=self._most)

    def __call__(self, value: float, keep: bool) -> tuple[float, ...] | None:
        """Return the values with this one, oldest first; None while they are too few."""
        if math.isnan(value):
            return None
        found = (*self._before, value) if len(self._before) == self._most else None
        if keep:
            self._before.append(value)
        return found


class Mean:
    """The mean of the last ``length`` values."""

    __slots__ = ("_window",)

    def __init__(self, length: int) -> None:
        self._window = Window(length)

    def __call__(self, value: float, keep: bool) -> float:
        """Return it."""
        return mean_of(self._window(value, keep))


class Exponential:
    """The exponential average, begun with the mean of ``length`` values; ``later`` values before those do not count."""

    __slots__ = ("_last", "_seed", "_wait", "_weight")

    def __init__(self, length: int, later: int = 0) -> None:
        self._weight = 2.0 / (length + 1)
        self._seed = Mean(length)
        self._wait = later
        self._last = NAN

    def __call__(self, value: float, keep: bool) -> float:
        """Return it."""
        if math.isnan(value):
            return NAN
        if self._wait:
            self._wait -= keep
            return NAN
        last = self._last
        now = self._seed(value, keep) if math.isnan(last) else (value - last) * self._weight + last
        if keep:
            self._last = now
        return now


class Wilder:
    """Wilder's average: begun with the mean of ``length`` values, a new one weighs one in ``length``."""

    __slots__ = ("_length", "_seed", "last")

    def __init__(self, length: int) -> None:
        self._length = length
        self._seed = Mean(length)
        self.last = NAN

    def __call__(self, value: float, keep: bool) -> float:
        """Return it."""
        if math.isnan(value):
            return NAN
        last, length = self.last, self._length
        now = self._seed(value, keep) if math.isnan(last) else (last * (length - 1) + value) / length
        if keep:
            self.last = now
        return now


class WilderSum:
    """Wilder's running sum: ``length - 1`` values are added up, then each new one drives out one in ``length``."""

    __slots__ = ("_length", "_total", "_wait")

    def __init__(self, length: int) -> None:
        self._length = length
        self._wait = length - 1
        self._total = 0.0

    def __call__(self, value: float, keep: bool) -> float:
        """Return it, NaN while it is only being added up."""
        if self._wait:
            if keep:
                self._total += value
                self._wait -= 1
            return NAN
        total = self._total - self._total / self._length + value
        if keep:
            self._total = total
        return total


class Before:
    """The value before this one."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = NAN

    def __call__(self, value: float, keep: bool) -> float:
        """Return it, NaN at the first."""
        before = self._last
        if keep:
            self._last = value
        return before
