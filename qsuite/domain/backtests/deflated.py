"""The deflated Sharpe ratio: how likely the best of many trials is better than the best that luck would show.

Bailey and López de Prado, "The Deflated Sharpe Ratio: Correcting for Selection Bias, Backtest Overfitting and
Non-Normality", Journal of Portfolio Management 40 (5), 2014. With ratios per period, not annualised:

    luck     sqrt(V) * ((1 - g) * Z(1 - 1 / N) + g * Z(1 - 1 / (N * e)))
    DSR      F((SR - luck) * sqrt(T - 1) / sqrt(1 - skewness * SR + (kurtosis - 1) / 4 * SR ** 2))

V is the variance of the ratios of N trials, g Euler's constant, F the normal distribution and Z its inverse, T the
number of returns. Trials are taken for independent, as the paper's N has it. Sets that trade much alike are fewer than
they are counted for, which makes the answer the more careful one.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist, variance
from typing import NamedTuple

EULER = 0.5772156649015329
_NORMAL = NormalDist()


class Deflated(NamedTuple):
    """``probability`` from 0 to 1 that skill is left; ``luck`` the ratio to expect of the best of such trials without.

    Both ratios are per period, as ``variance`` is theirs.
    """

    probability: float
    luck: float
    trials: int
    variance: float


def deflated_sharpe(
    ratio: float, trials: Sequence[float], *, returns: int, skewness: float, kurtosis: float
) -> Deflated | None:
    """Deflate the Sharpe ratio of one of several trials.

    All ratios are per period, ``kurtosis`` is 3 of a normal distribution. None for fewer than two trials or returns:
    there is nothing to compare with.
    """
    if len(trials) < 2 or returns < 2:
        return None
    spread = variance(trials)
    luck = expected_best(len(trials), spread)
    probability = probable_sharpe(ratio, luck, returns=returns, skewness=skewness, kurtosis=kurtosis)
    return None if probability is None else Deflated(probability, luck, len(trials), spread)


def expected_best(count: int, spread: float) -> float:
    """Return the greatest ratio to expect of so many trials without skill, by the variance of their ratios."""
    high = _NORMAL.inv_cdf(1.0 - 1.0 / count)
    higher = _NORMAL.inv_cdf(1.0 - 1.0 / (count * math.e))
    return math.sqrt(spread) * ((1.0 - EULER) * high + EULER * higher)


def probable_sharpe(ratio: float, least: float, *, returns: int, skewness: float, kurtosis: float) -> float | None:
    """Return the probability that the true ratio is above ``least``; None where the moments contradict each other."""
    spread = 1.0 - skewness * ratio + (kurtosis - 1.0) / 4.0 * ratio**2
    if not spread > 0.0:
        return None
    return _NORMAL.cdf((ratio - least) * math.sqrt(returns - 1) / math.sqrt(spread))
