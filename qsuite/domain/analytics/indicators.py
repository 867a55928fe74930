"""Indicators as TA-Lib defines them: same names, same seeds, same first value.

Each takes whole series, oldest first, and returns series of the same length, NaN while there is not enough past.
Invariant: the value at a bar depends on that bar and those before it, never on a later one.

A further indicator is one function here, or in a module of its family, over the sums of ``series``.
"""

from typing import NamedTuple

import numpy as np

from qsuite.domain.analytics.series import Series, fading_sums, from_place, window_sums

# TA-Lib calls a sum of average moves below this zero, and the index of a market that never moved 0.
NO_MOVEMENT = 1e-14


class Macd(NamedTuple):
    """The difference of two averages, its own average, and how far the one is above the other."""

    line: Series
    signal: Series
    histogram: Series


def sma(values: Series, length: int) -> Series:
    """Return the mean of the last ``length`` values."""
    return from_place(window_sums(values, length) / length, length - 1, len(values))


def ema(values: Series, length: int, first: int | None = None) -> Series:
    """Return the exponential average with weight ``2 / (length + 1)``.

    It starts at place ``first`` (``length - 1`` by default) from the mean of the ``length`` values that end there.
    """
    first = length - 1 if first is None else first
    if len(values) <= first:
        return np.full(len(values), np.nan)
    weight = 2.0 / (length + 1)
    steps = weight * values[first:]
    steps[0] = window_sums(values[first - length + 1 : first + 1], length)[0] / length
    return from_place(fading_sums(steps, 1.0 - weight), first, len(values))


def rsi(closes: Series, length: int = 14) -> Series:
    """Return Wilder's relative strength index, 0 to 100; 0 too where no price ever moved, as TA-Lib has it."""
    if len(closes) <= length:
        return np.full(len(closes), np.nan)
    moves = np.diff(closes)
    gains = _wilder(np.maximum(moves, 0.0), length)
    both = gains + _wilder(np.maximum(-moves, 0.0), length)
    moved = both >= NO_MOVEMENT
    index = np.where(moved, 100.0 * gains / np.where(moved, both, 1.0), 0.0)
    return from_place(index, length, len(closes))


def macd(closes: Series, fast: int = 12, slow: int = 26, smoothing: int = 9) -> Macd:
    """Return moving average convergence/divergence; all three begin where the signal does.

    Both averages start at the slow one's first place, so that neither is older than the other.
    """
    count = len(closes)
    line = (ema(closes, fast, slow - 1) - ema(closes, slow))[slow - 1 :]
    signal = ema(line, smoothing)
    line = np.where(np.isnan(signal), np.nan, line)
    return Macd(*(from_place(part, slow - 1, count) for part in (line, signal, line - signal)))


def _wilder(values: Series, length: int) -> Series:
    """Return Wilder's average, a weight of ``1 / length``, from the mean of the first ``length`` values on."""
    steps = values[length - 1 :] / length
    steps[0] = window_sums(values[:length], length)[0] / length
    return fading_sums(steps, 1.0 - 1.0 / length)
