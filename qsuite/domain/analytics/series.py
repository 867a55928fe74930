"""The two sums that indicators are made of: over a moving window, and over all the past with fading weights.

Both are built by doubling, in about log(n) passes of plain additions and products over the whole array. Invariant: a
value depends on nothing after it, to the last bit. Every pass treats each place alike and looks only backwards, where
a matrix product or a library's pairwise sum may round otherwise once the series is longer.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Series = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

FADED = 1e-30
"""A weight below this no longer reaches the last digit of a double."""


def as_series(values: Any) -> Series:
    """Return an array of doubles."""
    return np.asarray(values, dtype=np.float64)


def window_sums(values: Series, length: int) -> Series:
    """Return the sum of every ``length`` neighbours, oldest first: ``len(values) - length + 1`` of them, maybe none."""
    count = len(values) - length + 1
    if count < 1:
        return np.empty(0)
    total = np.zeros(count)
    doubled, width, taken = values, 1, 0
    while True:
        if length & width:
            total = total + doubled[length - taken - width : length - taken - width + count]
            taken += width
        if taken == length:
            return total
        doubled = doubled[width:] + doubled[:-width]
        width *= 2


def fading_sums(values: Series, decay: float) -> Series:
    """Return ``y`` with ``y[0] = values[0]`` and ``y[t] = decay * y[t-1] + values[t]``, for a decay from 0 to 1."""
    sums, shift, weight = values.copy(), 1, decay
    while shift < len(sums) and weight > FADED:
        sums[shift:] = sums[shift:] + weight * sums[:-shift]
        shift, weight = 2 * shift, weight * weight
    return sums


def from_place(values: Series, place: int, length: int) -> Series:
    """Return values put in at a place of a series that is NaN before it, cut to ``length``."""
    found = np.full(length, np.nan)
    found[min(place, length) :] = values[: max(0, length - place)]
    return found
