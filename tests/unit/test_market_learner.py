"""The learner: it finds what is there, claims nothing where nothing is, and cannot be told the future unnoticed."""

from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from uuid import UUID

import numpy as np
import pytest

from qsuite.domain.analytics.learning.judgement import MODEL, Judgement, Terms, judge_forecasts
from qsuite.domain.analytics.learning.market_model import bound
from qsuite.domain.analytics.learning.rows import Rows, rows_of
from qsuite.domain.backtests.asks import Ask
from qsuite.domain.backtests.feeds import of_bars
from qsuite.domain.backtests.look_ahead import Bars, look_ahead
from qsuite.domain.backtests.run import run
from qsuite.domain.backtests.terms import Terms as Trading
from qsuite.domain.backtests.terms import open_limits
from qsuite.domain.backtests.traders import AlgorithmTrader
from qsuite.domain.errors import Invalid
from qsuite.domain.strategies import Strategy
from qsuite.services.market_learner import Recipe, chances, fit, foretell
from tests.support.backtests import GOOG, bar, ticker
from tests.support.learnable import market

RECIPE = Recipe(folds=3, embargo=2, seed=7)


def judged(rows: Rows) -> Judgement:
    tested, forecasts = foretell(rows, RECIPE, lambda part: None)
    return judge_forecasts(tested, forecasts, Terms(1, 0.02, 5.0, 150, np.random.default_rng(7)))


def test_a_market_whose_volume_tells_the_next_move_is_learned() -> None:
    # A shift of 0.4 standard deviations: P(rise) is 0.655 or 0.345, and the best AUC that it allows the same.
    found = judged(rows_of({"A": market(11, edge=0.4)}, horizon=1).rows)
    assert found.usable, found.reason
    scores = found.scores[MODEL]
    assert 0.60 < scores.auc.value < 0.70
    assert scores.auc.low < scores.auc.value < scores.auc.high
    assert scores.net_return_bps.low > 0.0


@pytest.mark.parametrize("seed", [1, 2])
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


def test_a_backtest_by_a_model_knows_no_later_bar_whether_it_scores_at_once_or_bar_by_bar() -> None:
    rows = rows_of({"A": market(11, bars=900, edge=1.0)}, horizon=1).rows
    algorithm = bound(partial(chances, fit(rows, RECIPE)))
    strategy = Strategy(
        id=UUID(int=1), name="", account=UUID(int=2), created_by=UUID(int=3), risk_limit=Decimal(10_000_000),
        algorithm="market_model", symbols=(GOOG,), parameters={"quantity": Decimal(10), "allow_short": True},
    )  # fmt: skip
    terms = Trading(cash=Decimal(1_000_000), tickers={GOOG: ticker(GOOG)}, limits=open_limits(short_sale=True))
    later = market(12, bars=100, edge=1.0)
    figures = zip(later.opens, later.highs, later.lows, later.closes, later.volumes, strict=True)
    bars = {
        GOOG: [
            bar(number, " ".join(f"{each:.2f}" for each in prices), int(volume), symbol=GOOG)
            for number, (*prices, volume) in enumerate(figures)
        ]
    }

    def asked(given: Bars | None) -> Sequence[Ask]:
        trader = AlgorithmTrader(strategy, given, algorithm=algorithm)
        return run(terms, of_bars(bars.values()), trader).asked

    assert len(asked(bars)) > 10
    assert asked(bars) == asked(None)
    assert look_ahead(terms, bars, lambda given: AlgorithmTrader(strategy, given, algorithm=algorithm), cuts=2) is None
