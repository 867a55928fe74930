"""Features, outcomes, splits and scores: nothing from the future, and every figure worked out another way."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from qsuite.domain.analytics.learning.bootstrap import block_length, estimate, resampled
from qsuite.domain.analytics.learning.features import FEATURES, WARM_UP, features_of
from qsuite.domain.analytics.learning.judgement import (
    BASELINES,
    MAJORITY,
    MODEL,
    YESTERDAY,
    Terms,
    baselines,
    judge_forecasts,
    of_model,
)
from qsuite.domain.analytics.learning.rows import Rows, rows_of
from qsuite.domain.analytics.learning.scores import auc, mean, ranked, squared_errors, stances, traded
from qsuite.domain.analytics.learning.splits import held_back, known_before, walk_forward
from qsuite.domain.analytics.series import Candles, as_series
from tests.support.learnable import market


def first(bars: Candles, count: int) -> Candles:
    return only(bars, slice(count))


def only(bars: Candles, kept: Any) -> Candles:
    return Candles(**{name: getattr(bars, name)[kept] for name in Candles._fields})


def plain(count: int, up: list[bool]) -> Rows:
    """Return rows one bar apart and one bar long, of one symbol, with nothing to learn from."""
    at = np.arange(count)
    flags = np.resize(np.array(up), count)
    zeros = np.zeros(count)
    return Rows(
        zeros[:, None], flags, zeros, np.where(flags, 0.01, -0.01), flags, at, at + 2, np.zeros(count, np.int64)
    )


# -- features and outcomes --------------------------------------------------------------------------------------------


def test_what_comes_later_changes_no_feature_to_the_last_bit() -> None:
    bars = market(1, bars=300)
    scrambled = Candles(
        bars.starts_ns, *(np.concatenate((column[:200], 3.0 * column[200:][::-1])) for column in bars[1:])
    )
    known = features_of(bars)[:200]
    assert np.isfinite(known[WARM_UP - 1 :]).all()
    assert np.array_equal(features_of(scrambled)[:200], known, equal_nan=True)
    assert np.array_equal(features_of(first(bars, 200)), known, equal_nan=True)


def test_features_begin_whole_after_fifty_bars() -> None:
    found = features_of(market(1, bars=80))
    assert found.shape == (80, len(FEATURES))
    assert np.isnan(found[: WARM_UP - 1]).all()
    assert np.isfinite(found[WARM_UP - 1 :]).all()


def test_features_do_not_know_how_high_prices_are() -> None:
    bars = market(2, bars=200)
    cheap = Candles(bars.starts_ns, *(column / 64.0 for column in bars[1:]))
    assert np.allclose(features_of(cheap), features_of(bars), rtol=1e-9, atol=1e-12, equal_nan=True)


def test_an_adjustment_for_a_later_split_shows_in_no_feature_before_it() -> None:
    bars = market(2, bars=200)
    # All prices of the time before a split of 2 for 1 are halved once it is known; volumes stay what was traded.
    halved = bars._replace(**{name: getattr(bars, name) / 2.0 for name in ("opens", "highs", "lows", "closes")})
    assert np.allclose(features_of(halved), features_of(bars), rtol=1e-9, atol=1e-12, equal_nan=True)


def test_bars_without_volume_have_features_all_the_same() -> None:
    bars = market(3, bars=100)._replace(volumes=np.zeros(100))
    found = features_of(bars)
    assert np.isfinite(found[WARM_UP - 1 :]).all()
    assert (found[WARM_UP - 1 :, FEATURES.index("volume_ratio_20")] == 1.0).all()


def test_an_outcome_runs_from_the_next_open_to_the_one_a_horizon_later() -> None:
    bars = market(4, bars=60)
    rows = rows_of({"A": bars}, horizon=3).rows
    # The first features are at bar 49; the last outcome that is known ends at the open of bar 59.
    assert rows.at.tolist() == list(range(49, 56))
    assert (rows.until - rows.at).tolist() == [4] * 7
    assert rows.returns[0] == bars.opens[53] / bars.opens[50] - 1.0
    assert rows.steps[0] == bars.opens[51] / bars.opens[50] - 1.0
    assert rows.up[0] == (bars.opens[53] > bars.opens[50])
    assert rows.rose[0] == (bars.closes[49] > bars.closes[48])


def test_symbols_with_other_days_off_share_one_axis_of_time() -> None:
    bars = market(5, bars=120)
    without = only(bars, np.delete(np.arange(120), [60, 61]))
    found = rows_of({"B": without, "A": bars}, horizon=1)
    assert found.symbols == ("A", "B")
    assert len(found.axis_ns) == 120
    assert (np.diff(found.rows.at) >= 0).all()
    of_b = found.rows.take(np.flatnonzero(found.rows.symbol == 1))
    # Decided at bar 59, entered at the next that there is, 62, and left at 63.
    assert of_b.until[of_b.at == 59].tolist() == [63]
    assert not np.isin([60, 61], of_b.at).any()


def test_too_few_bars_give_no_rows() -> None:
    assert len(rows_of({"A": market(1, bars=40)}, horizon=1).rows) == 0


# -- splits -----------------------------------------------------------------------------------------------------------


def test_rows_whose_outcome_is_not_over_are_purged_and_the_embargo_after_them_left_out() -> None:
    at = np.arange(12)
    until = at + 3  # entered at the next open, left two bars on
    folds = walk_forward(at, until, folds=2, embargo=2)
    # Foretold from bar 4: known by then is what ended by bar 4, and two bars before that by the embargo, so by bar 2.
    assert folds[0].train.tolist() == []
    assert folds[0].test.tolist() == [4, 5, 6, 7]
    # Foretold from bar 8: ended by bar 6, so decided by bar 3.
    assert folds[1].train.tolist() == [0, 1, 2, 3]
    assert folds[1].test.tolist() == [8, 9, 10, 11]


def test_without_an_embargo_an_outcome_may_end_at_the_open_of_the_first_bar_foretold() -> None:
    assert known_before(np.array([3, 4, 5]), 4, embargo=0).tolist() == [0, 1]


def test_rows_of_one_time_are_never_on_both_sides() -> None:
    at = np.repeat(np.arange(10), 3)
    for fold in walk_forward(at, at + 2, folds=3, embargo=0):
        assert not np.isin(at[fold.train], at[fold.test]).any()
    split = held_back(at, at + 2, share=0.3, embargo=1)
    assert sorted(set(at[split.test])) == [7, 8, 9]
    assert at[split.train].max() == 4  # 4 + 2 + 1 = 7


@pytest.mark.parametrize(("horizon", "embargo"), [(1, 0), (5, 0), (5, 10), (20, 3)])
def test_nothing_is_learned_that_was_not_over_when_the_first_row_was_foretold(horizon: int, embargo: int) -> None:
    rows = rows_of({name: market(seed, bars=400) for seed, name in enumerate("AB")}, horizon).rows
    tested = []
    for fold in walk_forward(rows.at, rows.until, folds=4, embargo=embargo):
        tested += fold.test.tolist()
        assert len(fold.train)
        assert rows.until[fold.train].max() + embargo <= rows.at[fold.test].min()
    assert tested == sorted(set(tested)), "each row is foretold once, in order"


# -- scores -----------------------------------------------------------------------------------------------------------


def test_scores_are_those_of_scikit_learn_ties_and_weights_included() -> None:
    generator = np.random.default_rng(3)
    probability = np.round(generator.random(400), 1)  # eleven values: nearly all are ties
    up = generator.random(400) < 0.3 + 0.4 * probability
    weights = generator.integers(0, 4, 400).astype(np.float64)
    for each in (np.ones(400), weights):
        assert auc(ranked(probability, up), each) == pytest.approx(roc_auc_score(up, probability, sample_weight=each))
        errors = mean(squared_errors(probability, up), each)
        assert errors == pytest.approx(brier_score_loss(up, probability, sample_weight=each))


def test_an_area_needs_both_rises_and_falls() -> None:
    assert np.isnan(auc(ranked(np.array([0.2, 0.7]), np.array([True, True])), np.ones(2)))


def test_the_margin_keeps_out_what_is_nearly_even() -> None:
    assert stances(np.array([0.4, 0.48, 0.5, 0.52, 0.6]), 0.02).tolist() == [-1.0, 0.0, 0.0, 0.0, 1.0]


def test_what_trading_brings_by_hand() -> None:
    steps = as_series([0.10, -0.05, 0.02])
    one = traded(as_series([1, -1, 0]), steps, np.zeros(3, np.int64), horizon=1, cost_bps=100.0)
    # In: 1, from long to short: 2, out: 1; each costs one per cent. Nothing is left to end.
    assert one.turnover.tolist() == [1.0, 2.0, 1.0]
    assert one.returns == pytest.approx([0.10 - 0.01, 0.05 - 0.02, -0.01])
    two = traded(as_series([1, 1, 1]), steps, np.zeros(3, np.int64), horizon=2, cost_bps=100.0)
    # Half the money goes in at each decision and stays for two; the last position is ended.
    assert two.turnover.tolist() == [0.5, 0.5, 1.0]
    assert two.returns == pytest.approx([0.05 - 0.005, -0.05 - 0.005, 0.02 - 0.01])
    apart = traded(as_series([1, 1]), steps[:2], np.array([0, 1]), horizon=1, cost_bps=0.0)
    assert apart.turnover.tolist() == [2.0, 2.0]


# -- intervals --------------------------------------------------------------------------------------------------------


def test_draws_are_whole_blocks_of_time_with_all_symbols_and_follow_the_seed() -> None:
    at = np.repeat(np.arange(20), 2)
    draws = list(resampled(at, 5, 50, np.random.default_rng(1)))
    for weights in draws:
        assert weights.sum() == 40
        assert (weights[::2] == weights[1::2]).all()
        # Four blocks begin at most four runs of drawn times.
        drawn = weights[::2] > 0
        assert (drawn & ~np.roll(drawn, 1)).sum() <= 4
    again = list(resampled(at, 5, 50, np.random.default_rng(1)))
    assert np.array_equal(draws, again)


def test_the_interval_of_a_mean_is_as_wide_as_the_normal_one() -> None:
    values = np.random.default_rng(5).normal(size=2_000)
    at = np.arange(2_000)
    drawn = as_series([mean(values, weights) for weights in resampled(at, 1, 1_000, np.random.default_rng(6))])
    found = estimate(float(values.mean()), drawn)
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(2_000), rel=0.1)


def test_a_block_is_longer_than_an_outcome() -> None:
    assert block_length(1_000, horizon=1) == 10
    assert block_length(1_000, horizon=30) == 31


# -- judgement --------------------------------------------------------------------------------------------------------


def terms(draws: int = 200) -> Terms:
    return Terms(horizon=1, margin=0.0, cost_bps=0.0, draws=draws, generator=np.random.default_rng(9))


def test_baselines_tell_what_was_frequent_where_they_learned() -> None:
    train = replace(plain(10, [True, True, True, False, False]), rose=np.array([True] * 6 + [False] * 4))
    # Of the six rows after a rise four rose (places 0, 1, 2, 5), of the four after a fall two (6, 7).
    test = replace(plain(3, [False]), rose=np.array([True, False, True]))
    found = baselines(train, test)
    assert found[MAJORITY].probability.tolist() == [0.6] * 3
    assert found[MAJORITY].says_up.all()
    assert found[YESTERDAY].probability == pytest.approx([4 / 6, 2 / 4, 4 / 6])
    assert found[YESTERDAY].says_up.tolist() == [True, False, True]


def test_who_knows_the_outcome_beats_both_baselines_and_who_guesses_does_not() -> None:
    generator = np.random.default_rng(2)
    rows = replace(plain(400, [True]), up=generator.random(400) < 0.5, rose=generator.random(400) < 0.5)
    known = baselines(rows, rows)
    seer = judge_forecasts(rows, known | {MODEL: of_model(np.where(rows.up, 0.9, 0.1))}, terms())
    assert seer.usable
    assert seer.scores[MODEL].auc == (1.0, 1.0, 1.0)
    assert seer.scores[MODEL].brier.value == pytest.approx(0.01)
    assert seer.scores[MODEL].hit_rate.value == 1.0
    assert all(seer.better_by[name].low > 0.2 for name in BASELINES)
    guesser = judge_forecasts(rows, known | {MODEL: of_model(generator.random(400))}, terms())
    assert not guesser.usable
    assert "majority" in guesser.reason
    assert "AUC" in guesser.reason


def test_a_constant_that_is_nearer_to_how_often_prices_rise_is_no_model() -> None:
    rows = replace(plain(400, [True, True, True, False]), rose=np.ones(400, dtype=np.bool_))
    known = baselines(plain(400, [True, False]), rows)
    judged = judge_forecasts(rows, known | {MODEL: of_model(np.full(400, 0.75))}, terms())
    assert judged.better_by[MAJORITY].low > 0.0
    assert judged.scores[MODEL].auc.value == 0.5
    assert not judged.usable


def test_a_judgement_follows_its_seed() -> None:
    rows = plain(200, [True, False, False])
    forecasts = baselines(rows, rows) | {MODEL: of_model(np.linspace(0.3, 0.7, 200))}
    assert judge_forecasts(rows, forecasts, terms()) == judge_forecasts(rows, forecasts, terms())
