"""How values are spread, counted by bucket: cheap to add to on every order's way, and read by whoever shows it.

Invariant: adding is additions to plain numbers (a third of a microsecond), and counts only rise, so that two readings
can be subtracted: what lies between them is what was counted between them.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

LATENCY_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
STAGE_BOUNDS_S = (0.00001, 0.000025, 0.00005, 0.0001, 0.00025, *LATENCY_BOUNDS_S)
"""For what is part of a request: from ten microseconds on."""
LONG_BOUNDS_S = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0)
"""For work that takes seconds to an hour."""


class Reading(NamedTuple):
    """What a histogram held at one time."""

    counts: tuple[int, ...]
    total: float


class Histogram:
    """Counts of values by bucket; ``bounds`` are the buckets' upper ends, ascending."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = LATENCY_BOUNDS_S) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Count one value, or one that so many have in common."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times

    @property
    def count(self) -> int:
        """Return how many values were counted."""
        return sum(self.counts)

    def read(self) -> Reading:
        """Return what it holds now."""
        return Reading(tuple(self.counts), self.total)

    def buckets(self) -> list[tuple[str, float]]:
        """Return Prometheus' cumulative buckets, the last one ``+Inf``."""
        running, shown = 0, []
        for bound, count in zip([*map(str, self.bounds), "+Inf"], self.counts, strict=True):
            running += count
            shown.append((bound, float(running)))
        return shown

    def quantile(self, q: float) -> float | None:
        """Estimate a quantile, 0 to 1, as ``quantile_of`` does."""
        return quantile_of(self.bounds, self.counts, q)


def quantile_of(bounds: Sequence[float], counts: Sequence[int], q: float) -> float | None:
    """Estimate a quantile, 0 to 1, within the bucket it falls in; None where nothing was counted.

    Linear inside the bucket as Prometheus' ``histogram_quantile`` does it; above the last bound, that bound.
    """
    rank, below = q * sum(counts), 0
    for index, count in enumerate(counts):
        if count and below + count >= rank:
            low = bounds[index - 1] if index else 0.0
            high = bounds[min(index, len(bounds) - 1)]
            return low + (high - low) * max(0.0, rank - below) / count
        below += count
    return None
