"""The verdict on a model: its forecasts beside two that need no learning, and whether it may be used at all.

    majority         always what was more frequent where was learned; its probability that frequency
    yesterday_sign   the close's last move goes on; its probability how often it did, after rises and after falls

A model beats a baseline where its Brier score is better by more than chance: the whole interval of the difference, on
the same draws, lies above zero. It may be used when it beats both and the whole interval of its AUC lies above one
half. Brier's score decides, not the hit rate, because the probability is what is used, as a signal's confidence; AUC
must agree, because a constant that is merely nearer the true frequency also improves Brier's score and tells nothing.
Returns are told but decide nothing: their intervals are too wide to, and costs are the user's own.

Invariant: only forecasts of rows that were not learned from come here, so nothing can be judged by what it was shown.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from qsuite.domain.analytics.learning.bootstrap import Estimate, block_length, estimate, resampled
from qsuite.domain.analytics.learning.rows import Places, Rows
from qsuite.domain.analytics.learning.scores import (
    BPS,
    Ranked,
    Traded,
    Weights,
    auc,
    mean,
    ranked,
    squared_errors,
    stances,
    traded,
)
from qsuite.domain.analytics.series import Flags, Series

MODEL = "model"
MAJORITY, YESTERDAY = "majority", "yesterday_sign"
BASELINES = (MAJORITY, YESTERDAY)
EVEN = 0.5


class Forecast(NamedTuple):
    """A probability of a rise for each row, and what it is taken to say."""

    probability: Series
    says_up: Flags


class Terms(NamedTuple):
    """What trading on forecasts is reckoned with, and how often and from which chance times are drawn again.

    ``margin`` is how far from one half a probability must be to be traded on, ``cost_bps`` of the money turned over.
    """

    horizon: int
    margin: float
    cost_bps: float
    draws: int
    generator: np.random.Generator


class Scores(NamedTuple):
    """How good forecasts were. ``net_return_bps`` is per bar, after costs; ``turnover`` in times the money, per bar."""

    auc: Estimate
    brier: Estimate
    hit_rate: Estimate
    net_return_bps: Estimate
    turnover: Estimate


class Judgement(NamedTuple):
    """The scores of the model and of each baseline, by how much its Brier score is better, and the verdict."""

    scores: Mapping[str, Scores]
    better_by: Mapping[str, Estimate]
    usable: bool
    reason: str


class _Measured(NamedTuple):
    """What the scores of a forecast are means of."""

    ranks: Ranked
    errors: Series
    hits: Series
    trades: Traded

    def figures(self, weights: Weights) -> Series:
        returns, turnover = (mean(column, weights) for column in self.trades)
        found = (
            auc(self.ranks, weights),
            mean(self.errors, weights),
            mean(self.hits, weights),
            returns * BPS,
            turnover,
        )
        return np.array(found)


def baselines(train: Rows, test: Rows) -> dict[str, Forecast]:
    """Return what the baselines, learned from ``train``, say of ``test``."""
    often = _frequency(train.up)
    after_rise, after_fall = _frequency(train.up[train.rose]), _frequency(train.up[~train.rose])
    count = len(test)
    return {
        MAJORITY: Forecast(np.full(count, often), np.full(count, often > EVEN)),
        YESTERDAY: Forecast(np.where(test.rose, after_rise, after_fall), test.rose),
    }


def of_model(probability: Series) -> Forecast:
    """Take a probability above one half for a rise."""
    return Forecast(probability, probability > EVEN)


def joined(parts: list[Forecast]) -> Forecast:
    """Put forecasts of successive rows together."""
    probability, says_up = zip(*parts, strict=True)
    return Forecast(np.concatenate(probability), np.concatenate(says_up))


def judge_forecasts(rows: Rows, forecasts: Mapping[str, Forecast], terms: Terms) -> Judgement:
    """Score the forecasts of rows (the model's and both baselines') and say whether the model may be used."""
    names = (MODEL, *BASELINES)
    measured = [_measured(rows, forecasts[name], terms, learned=name == MODEL) for name in names]
    once = np.ones(len(rows))
    values = np.stack([each.figures(once) for each in measured])
    draws = resampled(rows.at, _block(rows.at, terms.horizon), terms.draws, terms.generator)
    drawn = np.stack([[each.figures(weights) for each in measured] for weights in draws])
    scores = {
        name: Scores(*(estimate(float(values[i, j]), drawn[:, i, j]) for j in range(len(Scores._fields))))
        for i, name in enumerate(names)
    }
    brier = Scores._fields.index("brier")
    better_by = {
        name: estimate(float(values[i, brier] - values[0, brier]), drawn[:, i, brier] - drawn[:, 0, brier])
        for i, name in enumerate(names)
        if name != MODEL
    }
    return _verdict(scores, better_by)


def _measured(rows: Rows, forecast: Forecast, terms: Terms, *, learned: bool) -> _Measured:
    # A baseline has no probability worth a margin: it is traded on for what it says.
    stance = stances(forecast.probability, terms.margin) if learned else np.where(forecast.says_up, 1.0, -1.0)
    return _Measured(
        ranked(forecast.probability, rows.up),
        squared_errors(forecast.probability, rows.up),
        (forecast.says_up == rows.up).astype(np.float64),
        traded(stance, rows.steps, rows.symbol, terms.horizon, terms.cost_bps),
    )


def _verdict(scores: Mapping[str, Scores], better_by: Mapping[str, Estimate]) -> Judgement:
    faults = [
        f"its Brier score is not surely better than that of {name} ({_shown(better)})"
        for name, better in better_by.items()
        if not better.low > 0.0  # NaN is no proof either
    ]
    area = scores[MODEL].auc
    if not area.low > EVEN:
        faults.append(f"its AUC is not surely above one half ({_shown(area)})")
    told = "; ".join(faults) or f"it beats both baselines out of sample (AUC {_shown(area)})"
    return Judgement(scores, better_by, not faults, told)


def _shown(figure: Estimate) -> str:
    return f"{figure.value:.5f}, 95 % from {figure.low:.5f} to {figure.high:.5f}"


def _block(at: Places, horizon: int) -> int:
    return block_length(len(np.unique(at)), horizon)


def _frequency(ups: Flags) -> float:
    """Return how often it was so, one half where it never could be."""
    return float(ups.mean()) if len(ups) else EVEN
