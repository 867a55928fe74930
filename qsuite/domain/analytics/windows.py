"""Sums and deviations of the last so many values, at every place of a series: exact to the rounding of each window.

A sum that moves on, the new value added and the oldest taken away, keeps the rounding of the greatest value that was
ever in it: of volumes, which differ by a million times, it is soon wrong. Here each window is put together from smaller
ones, of 1, 2, 4, 8 … values, so that a place costs as many additions as its length has binary digits:

    13 values = 8 + 4 + 1        ``sums[8][i] = sums[4][i] + sums[4][i + 4]``, and so on

Deviations are put together in the same way, by the merging of variances (Chan, Golub and LeVeque 1979), and not from
sums of squares, which cancel each other out: of equal values the deviation is exactly 0.
"""

from collections.abc import Callable, Sequence

import numpy as np

from qsuite.domain.analytics.series import Flags, Series

Compute = Callable[..., tuple[Series, ...]]
PIECE = 8_192
"""So many places at a time, so that what is put together stays in the processor's cache."""


def window_sum(values: Series, length: int) -> Series:
    """Return the sum of the last ``length`` values, NaN before there are so many."""
    (found,) = in_pieces(lambda piece: (sums(piece, length),), (values,), length)
    return found


def window_deviation(values: Series, length: int) -> tuple[Series, Series]:
    """Return the mean of the last ``length`` values and their standard deviation, of the population."""
    mean, deviation = in_pieces(lambda piece: _deviations(piece, length), (values,), length)
    return mean, deviation


def in_pieces(
    compute: Callable[..., tuple[Series, ...]], columns: Sequence[Series | Flags], length: int
) -> tuple[Series, ...]:
    """Return what ``compute`` makes of the columns, done piece by piece, where a place needs the last ``length`` rows.

    It gets a piece of each column and returns one value for each row from the ``length``-th on; before it there is NaN.
    """
    rows = len(columns[0])
    if length == 1 and rows <= PIECE:
        return compute(*columns)
    found: tuple[Series, ...] = ()
    for begin in range(0, rows - length + 1, PIECE):
        computed = compute(*(column[begin : begin + PIECE + length - 1] for column in columns))
        found = found or tuple(_unknown(rows, length - 1) for _ in computed)
        first = begin + length - 1
        for whole, piece in zip(found, computed, strict=True):
            whole[first : first + len(piece)] = piece
    return found or tuple(np.full(rows, np.nan) for _ in compute(*(np.ones(length) for _ in columns)))


def _unknown(rows: int, count: int) -> Series:
    found = np.empty(rows)
    found[:count] = np.nan
    return found


def sums(values: Series, length: int) -> Series:
    """Return the sum of each window that lies within the values, of which there must be ``length``."""
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
