"""The learner: it finds what is there, claims nothing where nothing is, and cannot be told the future unnoticed."""

import numpy as np
import pytest

from qsuite.domain.analytics.learning.judgement import MODEL, Judgement, Terms, judge_forecasts
from qsuite.domain.analytics.learning.rows import Rows, rows_of
from qsuite.domain.errors import Invalid
from qsuite.services.market_learner import Recipe, chances, fit, foretell
from tests.support.learnable import market

RECIPE = Recipe(folds=3, embargo=2, seed=7)


def judged(rows: Rows) -> Judgement:
    tested, forecasts = foretell(rows, RECIPE, lambda part: None)
    return judge_forecasts(tested, forecasts, Terms(1, 0.02, 5.0, 200, np.random.default_rng(7)))


def test_a_market_whose_volume_tells_the_next_move_is_learned() -> None:
    # A shift of 0.4 standard deviations: P(rise) is 0.655 or 0.345, and the best AUC that it allows the same.
    found = judged(rows_of({"A": market(11, edge=0.4)}, horizon=1).rows)
    assert found.usable, found.reason
    scores = found.scores[MODEL]
    assert 0.60 < scores.auc.value < 0.70
    assert scores.auc.low < scores.auc.value < scores.auc.high
    assert scores.net_return_bps.low > 0.0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_random_walk_is_never_taken_for_more(seed: int) -> None:
    found = judged(rows_of({"A": market(seed)}, horizon=1).rows)
    assert not found.usable
    assert "majority" in found.reason


def test_a_planted_look_ahead_shows_at_once() -> None:
    # What guards against leaks would be worth nothing if one did not show: here tomorrow's return is a feature.
    rows = rows_of({"A": market(1)}, horizon=1).rows
    features = rows.features.copy()
    features[:, 0] = rows.returns
    leaky = Rows(features, *(getattr(rows, name) for name in Rows.__slots__[1:]))
    assert judged(leaky).scores[MODEL].auc.value > 0.98


def test_the_same_rows_and_seed_give_the_same_model_to_the_last_bit() -> None:
    rows = rows_of({"A": market(3, bars=600), "B": market(4, bars=500)}, horizon=2).rows
    one, two = (chances(fit(rows, RECIPE), rows.features) for _ in range(2))
    assert np.array_equal(one, two)


def test_progress_is_told_after_each_fold() -> None:
    told: list[float] = []
    foretell(rows_of({"A": market(1, bars=900)}, horizon=1).rows, RECIPE, told.append)
    assert told == pytest.approx([1 / 3, 2 / 3, 1.0])


@pytest.mark.parametrize("bars", [10, 60, 150])
def test_too_few_bars_are_refused_by_name(bars: int) -> None:
    with pytest.raises(Invalid) as caught:
        foretell(rows_of({"A": market(1, bars=bars)}, horizon=1).rows, RECIPE, lambda part: None)
    assert caught.value.code == "model.too_few_bars"
