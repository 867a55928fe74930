"""How good forecasts of a rise were: AUC, Brier's score, hit rate, and what trading on them would have left.

Every score takes a weight for each row, so that the bootstrap counts rows instead of copying them.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from qsuite.domain.analytics.learning.rows import Places
from qsuite.domain.analytics.series import Flags, Series

Weights = npt.NDArray[np.float64]
BPS = 10_000.0


class Ranked(NamedTuple):
    """Rows by the rank of their forecast: equal forecasts share one. Ranked once, weighed often."""

    rank: Places
    up: Flags


def ranked(probability: Series, up: Flags) -> Ranked:
    """Rank forecasts, the lowest first."""
    _, rank = np.unique(probability, return_inverse=True)
    return Ranked(rank, up)


def auc(rows: Ranked, weights: Weights) -> float:
    """Return how often a row that rose was forecast above one that did not, ties by half; NaN without both."""
    ups = np.bincount(rows.rank, weights * rows.up)
    downs = np.bincount(rows.rank, weights * ~rows.up)
    pairs = ups.sum() * downs.sum()
    below = np.cumsum(downs) - downs
    return float((ups * (below + downs / 2.0)).sum() / pairs) if pairs else float("nan")


def squared_errors(probability: Series, up: Flags) -> Series:
    """Return each forecast's share in Brier's score: 0 for the best, 1 for the worst, 0.25 for an even chance."""
    return (probability - up) ** 2


def mean(values: Series, weights: Weights) -> float:
    """Return the weighted mean."""
    return float(np.dot(values, weights) / weights.sum())


def stances(probability: Series, margin: float) -> Series:
    """Return 1 where a rise is likelier than one half by ``margin``, -1 where less likely by it, 0 between."""
    return (probability > 0.5 + margin).astype(np.float64) - (probability < 0.5 - margin)


class Traded(NamedTuple):
    """What each row of a position brought, costs off, and how much of the money was turned over for it."""

    returns: Series
    turnover: Series


def traded(stance: Series, steps: Series, symbol: Places, horizon: int, cost_bps: float) -> Traded:
    """Trade on stances at the next open: each holds for ``horizon`` bars, so a position is the mean of the last ones.

    Rows are by time within each symbol, whose position begins and ends at none. ``cost_bps`` is what turning the whole
    money over costs: from long to short is two such turns.
    """
    returns, turnover = np.empty(len(stance)), np.empty(len(stance))
    for name in np.unique(symbol):
        own = np.flatnonzero(symbol == name)
        sums = np.cumsum(np.concatenate((np.zeros(horizon), stance[own])))
        position = (sums[horizon:] - sums[:-horizon]) / horizon
        turned = np.abs(np.diff(position, prepend=0.0))
        turned[-1] += abs(position[-1])
        turnover[own] = turned
        returns[own] = position * steps[own] - turned * cost_bps / BPS
    return Traded(returns, turnover)
