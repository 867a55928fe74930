"""Sums and deviations of the last so many values, at every place of a series: exact to the rounding of each window.

A sum that moves on, the new value added and the oldest taken away, keeps the rounding of the greatest value that was
ever in it: of volumes, which differ by a million times, it is soon wrong. Here each window is put together from smaller
ones, of 1, 2, 4, 8 … values, so that a place costs as many additions as its length has binary digits:

    13 values = 8 + 4 + 1        ``sums[8][i] = sums[4][i] + sums[4][i + 4]``, and so on

Deviations are put together in the same way, by the merging of variances (Chan, Golub and LeVeque 1979), and not from
sums of squares, which cancel each other out: of equal values the deviation is exactly 0.
"""

from collections.abc import Callable

import numpy as np

from qsuite.domain.analytics.series import Series

PIECE = 8_192
"""So many places at a time, so that what is put together stays in the processor's cache."""


def window_sum(values: Series, length: int) -> Series:
    """Return the sum of the last ``length`` values, NaN before there are so many."""
    (found,) = _in_pieces(lambda piece: (_sums(piece, length),), values, length, 1)
    return found


def window_deviation(values: Series, length: int) -> tuple[Series, Series]:
    """Return the mean of the last ``length`` values and their standard deviation, of the population."""
    mean, deviation = _in_pieces(lambda piece: _deviations(piece, length), values, length, 2)
    return mean, deviation


def _in_pieces(
    compute: Callable[[Series], tuple[Series, ...]], values: Series, length: int, outputs: int
) -> tuple[Series, ...]:
    found = tuple(np.empty(len(values)) for _ in range(outputs))
    for each in found:
        each[: length - 1] = np.nan
    for begin in range(0, len(values) - length + 1, PIECE):
        piece = values[begin : begin + PIECE + length - 1]
        first = begin + length - 1
        for each, computed in zip(found, compute(piece), strict=True):
            each[first : first + len(computed)] = computed
    return found


def _sums(values: Series, length: int) -> Series:
    """Return the sum of each window that lies within the values."""
    places, width, whole, covered = len(values) - length + 1, 1, values, 0
    total: Series | None = None
    while True:
        if length & width:
            part = whole[covered : covered + places]
            total = part if total is None else total + part
            covered += width
        if covered == length:
            assert total is not None
            return total
        whole = whole[:-width] + whole[width:]
        width *= 2


def _deviations(values: Series, length: int) -> tuple[Series, Series]:
    """Return the mean and the deviation of each window that lies within the values."""
    places, width, means, squares, covered = len(values) - length + 1, 1, values, np.zeros(len(values)), 0
    mean: Series = values
    square: Series = squares
    while True:
        if length & width:
            part, part_squares = means[covered : covered + places], squares[covered : covered + places]
            if covered:
                apart, whole = part - mean, covered + width
                mean = mean + apart * (width / whole)
                square = square + part_squares + apart * apart * (covered * width / whole)
            else:
                mean, square = part, part_squares
            covered += width
        if covered == length:
            return mean, np.sqrt(square / length)
        apart = means[width:] - means[:-width]
        squares = squares[:-width] + squares[width:] + apart * apart * (width / 2)
        means = means[:-width] + apart / 2
        width *= 2
