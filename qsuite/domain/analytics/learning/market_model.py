"""A trained model as an algorithm: chances of a rise become scores, as any other algorithm's.

    bars ──features──> [the model's classifier] ──> P(rise) ──> score ──> BUY, SELL or HOLD

    P(rise) above 50 % and the margin      score  P(rise)           BUY, as sure as the rise is likely
    P(rise) below 50 % without it          score  P(rise) - 1       SELL, as sure as the fall is likely
    between                                score  2 P(rise) - 1     HOLD: with a margin of at most 15 % never beyond 0.3

Scores are whole hundredths, rounded towards none: 0.7049 is no more than 0.70, which no order follows from. The
algorithm is of no use by itself: ``bound`` gives it the classifier, which is a file's and not a formula's, and every
function of algorithms takes what that returns.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from qsuite.domain.analytics.algorithms import Algorithm, Unscored, advice_of
from qsuite.domain.analytics.learning.features import FEATURES, WARM_UP, Matrix, features_of
from qsuite.domain.analytics.learning.scores import stances
from qsuite.domain.analytics.learning.training import CHOICES
from qsuite.domain.analytics.series import Flags, Series
from qsuite.domain.analytics.signals import WHOLE, BarSeries, Scored, Verdict

NAME = "market_model"
ALGORITHM = "boosted_trees_v1"
"""How such a model is made: with other features or another learner it will be of another name."""
CHANCE = "probability_up"
MARGIN = "margin_percent"

Chances = Callable[[Matrix], Series]
"""The probability of a rise for each row of features."""


def _unbound(bars: BarSeries, parameters: Mapping[str, Any]) -> Scored:
    raise AssertionError("a model's algorithm is bound to the model before it judges")


MARKET_MODEL = Algorithm(NAME, _unbound, lambda parameters: WARM_UP, {MARGIN: CHOICES[MARGIN]}, texts=("model",))


def bound(chances: Chances) -> Algorithm:
    """Return the algorithm that judges by these chances."""
    return replace(MARKET_MODEL, score=partial(score_by, chances))


def score_by(chances: Chances, bars: BarSeries, parameters: Mapping[str, Any]) -> Scored:
    """Score each bar that has features; of one that has none, ``probability_up`` is NaN and the score 0."""
    features = features_of(bars)
    known: Flags = np.asarray(np.isfinite(features).all(axis=1))
    chance = np.full(len(known), np.nan)
    if known.any():
        chance[known] = chances(features[known])
    columns = dict(zip(FEATURES, features.T, strict=True))
    return Scored(_hundredths(chance, parameters[MARGIN] / 100.0), columns | {CHANCE: chance})


def judge_by(chances: Chances, parameters: Mapping[str, Any], many: Sequence[BarSeries]) -> list[Verdict | Unscored]:
    """Return the advice for each of several symbols, in their order."""
    return [_judged(bound(chances), parameters, bars) for bars in many]


def _judged(algorithm: Algorithm, parameters: Mapping[str, Any], bars: BarSeries) -> Verdict | Unscored:
    found = advice_of(algorithm, parameters, bars)
    if isinstance(found, Verdict) and np.isnan(found.features[CHANCE]):
        return Unscored("signal.no_features", "the newest bars lack a price to reckon from")
    return found


def _hundredths(chance: Series, margin: float) -> Any:
    stance = stances(chance, margin)
    leaning = 2.0 * np.where(np.isnan(chance), 0.5, chance) - 1.0
    score = np.where(stance > 0.0, chance, np.where(stance < 0.0, chance - 1.0, leaning))
    return np.trunc(WHOLE * score).astype(np.int64)
