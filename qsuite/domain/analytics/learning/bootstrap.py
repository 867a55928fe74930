"""How far a score may be off by chance: intervals from drawing the times again, in blocks.

Returns of neighbouring bars, and of several symbols at one time, are no independent draws. So whole stretches of time
are drawn, with all rows of each (the circular block bootstrap of D. Politis and J. Romano, 1992), and scores that are
compared are reckoned on the same draws.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from qsuite.domain.analytics.learning.rows import Places
from qsuite.domain.analytics.learning.scores import Weights
from qsuite.domain.analytics.series import Series

SURE = 0.95


class Estimate(NamedTuple):
    """A figure and the interval that it lies in with a chance of ``SURE``."""

    value: float
    low: float
    high: float


def block_length(times: int, horizon: int) -> int:
    """Return how many bars a block has: more than any outcome spans, and growing as the cube root of their number."""
    return max(horizon + 1, round(math.cbrt(times)))


def resampled(at: Places, length: int, draws: int, generator: np.random.Generator) -> Iterator[Weights]:
    """Yield, for each draw, how often each row was drawn."""
    _, time = np.unique(at, return_inverse=True)
    count = int(time.max()) + 1
    for _ in range(draws):
        starts = generator.integers(0, count, size=-(-count // length))
        drawn = (starts[:, None] + np.arange(length)).ravel()[:count] % count
        yield np.bincount(drawn, minlength=count).astype(np.float64)[time]


def estimate(value: float, drawn: Series) -> Estimate:
    """Return a figure between the percentiles of what was drawn for it; NaN where no draw had it."""
    known = drawn[~np.isnan(drawn)]
    if not known.size:
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.quantile(known, ((1 - SURE) / 2, (1 + SURE) / 2))
    return Estimate(value, float(low), float(high))
