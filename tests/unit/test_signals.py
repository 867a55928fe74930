"""What the algorithms advise, by the published rules worked out by hand and, on real prices, the plain way."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from qsuite.domain.analytics.algorithms import ALGORITHMS, Unscored, history_of, judge, judge_all
from qsuite.domain.analytics.indicators import rsi, sma
from qsuite.domain.analytics.signals import (
    Advice,
    BarSeries,
    Scored,
    Verdict,
    above,
    breakout,
    mean_reversion,
    rsi_reversal,
    sma_cross,
    technical_indicators_v1,
    verdict_at,
)
from tests.support.analytics import after_a_fall, after_a_rise, column, rising_by_steps, rows_of

V1 = "technical_indicators_v1"


def judged(bars: BarSeries, algorithm: str = V1) -> Verdict:
    verdict = judge(algorithm, {}, bars)
    assert isinstance(verdict, Verdict)
    return verdict


def of_score(hundredths: int) -> Verdict:
    return verdict_at(Scored(np.array([hundredths]), {}))


def test_two_tenths_and_one_do_not_make_more_than_three() -> None:
    # 0.2 for the trend and 0.1 for MACD; as floats they come to 0.30000000000000004.
    verdict = judged(rising_by_steps())
    assert 30 < verdict.features["rsi_14"] < 70
    assert (verdict.advice, verdict.confidence) == (Advice.HOLD, Decimal("0.7"))
    assert not verdict.actionable


def test_a_high_volume_strengthens_what_the_rest_says() -> None:
    verdict = judged(rising_by_steps(volume_factor=2.0))
    assert (verdict.advice, verdict.confidence) == (Advice.BUY, Decimal("0.36"))
    assert verdict.features["score"] == 0.36


def test_volume_counts_above_one_and_a_half_times_its_mean_not_at_it() -> None:
    # The mean of nineteen times 1 and once v is (19 + v) / 20; v is 1.5 times that where v = 28.5 / 18.5.
    limit = 28.5 / 18.5
    assert judged(rising_by_steps(volume_factor=limit)).advice is Advice.HOLD
    assert judged(rising_by_steps(volume_factor=limit * 1.0001)).advice is Advice.BUY


def test_everything_for_buying_is_sure_by_seventy_two_hundredths() -> None:
    verdict = judged(after_a_fall())
    assert (verdict.advice, verdict.confidence, verdict.actionable) == (Advice.BUY, Decimal("0.72"), True)
    quiet = judged(after_a_fall(volume_factor=1.0))
    assert (quiet.advice, quiet.confidence, quiet.actionable) == (Advice.BUY, Decimal("0.6"), False)


def test_everything_for_selling_is_the_mirror() -> None:
    verdict = judged(after_a_rise())
    assert (verdict.advice, verdict.confidence, verdict.actionable) == (Advice.SELL, Decimal("0.72"), True)


def test_an_index_of_zero_is_a_value_like_any_other() -> None:
    # Falling evenly: RSI 0 (+0.3), price < SMA20 < SMA50 (-0.2), MACD at its signal and so not above it (-0.1).
    falling = BarSeries(200.0 - np.arange(60.0), np.full(60, 1.0))
    verdict = judged(falling)
    assert rsi(falling.closes)[-1] == verdict.features["rsi_14"] == 0.0
    assert (verdict.features["score"], verdict.advice, verdict.confidence) == (0.0, Advice.HOLD, 1)


def test_a_market_that_never_moves_is_decided_by_no_rounding() -> None:
    # 10.1 has no exact double: a mean of fifty of them may be off in the last place, which is no trend. RSI is 0.
    flat = BarSeries(np.full(60, 10.1), np.full(60, 3.3))
    assert judged(flat).features["score"] == pytest.approx(0.3 - 0.1)


@pytest.mark.parametrize(
    ("hundredths", "advice", "confidence"),
    [
        (31, "BUY", "0.31"),
        (30, "HOLD", "0.70"),
        (0, "HOLD", "1"),
        (-30, "HOLD", "0.70"),
        (-31, "SELL", "0.31"),
        (72, "BUY", "0.72"),
        (-120, "SELL", "1"),
    ],
)
def test_what_a_score_amounts_to(hundredths: int, advice: str, confidence: str) -> None:
    verdict = of_score(hundredths)
    assert (verdict.advice, verdict.confidence) == (Advice(advice), Decimal(confidence))


def test_an_order_follows_above_seven_tenths_and_never_from_a_hold() -> None:
    assert [of_score(score).actionable for score in (70, 71, -70, -71, 0, 25)] == [
        False,
        True,
        False,
        True,
        False,
        False,
    ]


def test_fifty_bars_are_needed_and_the_reason_is_given() -> None:
    fallen = after_a_fall()
    closes, volumes = fallen.closes, fallen.volumes
    short = judge(V1, {}, BarSeries(closes[:49], volumes[:49]))
    assert short == Unscored("signal.too_few_bars", "49 closed bars are there, 50 are needed")
    assert isinstance(judge(V1, {}, BarSeries(closes[:50], volumes[:50])), Verdict)


def test_the_rules_on_thirteen_years_of_ibm_applied_bar_by_bar(shared_data: Path) -> None:
    """TA-Lib's own columns, means by hand, and the rules in whole tenths: every bar comes to the same score."""
    prices = [row for row in rows_of(shared_data / "daily/us_equities_wiki_daily.csv.gz") if row["symbol"] == "IBM"]
    reference = rows_of(shared_data / "reference/talib/talib_ibm_daily.csv.gz")
    closes, volumes = column(prices, "close"), column(prices, "volume")
    scored = technical_indicators_v1(BarSeries(closes, volumes), {})
    advices = set()
    for place in range(49, len(closes)):
        row, close = reference[place], Decimal(prices[place]["close"])
        mean = {n: sum(Decimal(each["close"]) for each in prices[place + 1 - n : place + 1]) / n for n in (20, 50)}
        tenths = 3 * (float(row["rsi_14"]) < 30) - 3 * (float(row["rsi_14"]) > 70)
        tenths += 2 * (close > mean[20] > mean[50]) - 2 * (close < mean[20] < mean[50])
        tenths += 1 if float(row["macd_hist"]) > 0 else -1
        volume = sum(Decimal(each["volume"]) for each in prices[place - 19 : place + 1]) / 20
        loud = Decimal(prices[place]["volume"]) > Decimal("1.5") * volume
        assert scored.scores[place] == tenths * (12 if loud else 10), row["date"]
        advices.add(verdict_at(scored, place).advice)
    assert advices == set(Advice)


def test_a_cross_is_advised_at_its_own_bar_alone() -> None:
    closes = np.array([5.0, 5.0, 5.0, 5.0, 8.0, 9.0, 4.0, 1.0, 1.0])
    scores = sma_cross(BarSeries(closes, closes), {"fast": 2, "slow": 4}).scores
    # Means of two: .  5 5 5 6.5 8.5 6.5  2.5 1  — means of four: . . . 5 5.75 6.75 6.5 5.5 3.75
    assert scores.tolist() == [0, 0, 0, 0, 100, 0, 0, -100, 0]


def test_no_cross_before_there_is_a_bar_to_have_crossed_from() -> None:
    closes = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    assert sma_cross(BarSeries(closes, closes), {"fast": 2, "slow": 4}).scores.tolist() == [0] * 5


def test_the_close_is_bought_two_per_cent_below_its_mean_and_sold_two_per_cent_above() -> None:
    closes = np.array([100.0, 100.0, 98.0, 98.0, 101.0, 98.0, 94.0, 100.0])
    # Means of two: . 100 99 98 99.5 99.5 96 97; the closes are off by . 0 -1.01 0 1.51 -1.51 -2.08 3.09 per cent.
    scored = mean_reversion(BarSeries(closes, closes), {"length": 2, "band_percent": 2.0})
    assert scored.scores.tolist() == [0, 0, 0, 0, 0, 0, 100, -100]
    assert scored.features["lower"][1:3].tolist() == [98.0, 99 * 0.98]
    wide = mean_reversion(BarSeries(closes, closes), {"length": 2, "band_percent": 3.0})
    assert wide.scores.tolist() == [0, 0, 0, 0, 0, 0, 0, -100]


def test_a_close_at_the_band_is_within_it() -> None:
    # The mean of 51 and 49 is 50, and 49 is exactly two per cent below it.
    scored = mean_reversion(BarSeries(np.array([51.0, 49.0]), np.ones(2)), {"length": 2, "band_percent": 2.0})
    assert scored.scores.tolist() == [0, 0]


def test_an_index_is_bought_as_it_comes_back_from_below_and_sold_as_it_comes_back_from_above() -> None:
    # Wilder over two: gains and losses average (0, 1), (1/2, 1/2), (5/4, 1/4), (5/8, 9/8), (5/16, 25/16), (61/32, …).
    closes = np.array([12.0, 11.0, 10.0, 11.0, 13.0, 11.0, 9.0, 12.5])
    # Index: . . 0, 50, 83.3, 35.7, 16.7, 69.9
    scores = rsi_reversal(BarSeries(closes, closes), {"length": 2, "low": 30.0, "high": 70.0}).scores
    assert scores.tolist() == [0, 0, 0, 100, 0, -100, 0, 100]


def test_a_market_that_rose_from_its_first_bar_on_has_come_back_from_nowhere() -> None:
    rising = np.arange(1.0, 10.0)
    assert rsi_reversal(BarSeries(rising, rising), {"length": 2, "low": 30.0, "high": 70.0}).scores.tolist() == [0] * 9


def test_a_breakout_is_above_the_highs_of_the_bars_before_not_of_its_own() -> None:
    closes = np.array([10.0, 11.0, 12.5, 12.0, 12.0, 9.0])
    highs = np.array([12.0, 12.0, 14.0, 12.5, 12.0, 12.0])
    lows = np.array([9.5, 10.0, 11.0, 11.5, 11.5, 8.0])
    scored = breakout(BarSeries(closes, closes, highs, lows), {"length": 2})
    # Highest of the two before: . . 12 14 14 12.5; lowest: . . 9.5 10 11 11.5
    assert scored.scores.tolist() == [0, 0, 100, 0, 0, -100]
    assert scored.features["highest_2"][2:].tolist() == [12.0, 14.0, 14.0, 12.5]
    assert scored.features["lowest_2"][2:].tolist() == [9.5, 10.0, 11.0, 11.5]
    # Without highs and lows the closes stand for them.
    assert breakout(BarSeries(closes, closes), {"length": 2}).scores.tolist() == [0, 0, 100, 0, 0, -100]


@pytest.mark.parametrize(("name", "needed"), [("mean_reversion", 20), ("rsi_reversal", 16), ("breakout", 21)])
def test_each_says_how_many_bars_it_needs_and_has_all_its_figures_then(name: str, needed: int) -> None:
    bars = after_a_fall()
    closes = bars.closes[-needed:]
    short = judge(name, {}, BarSeries(closes[1:], closes[1:]))
    assert short == Unscored("signal.too_few_bars", f"{needed - 1} closed bars are there, {needed} are needed")
    enough = judged(BarSeries(closes, closes), name)
    assert all(np.isfinite(value) for value in enough.features.values())


def test_a_slow_index_is_given_the_bars_it_takes_to_forget_where_it_began() -> None:
    assert history_of("rsi_reversal", {}) == history_of("breakout", {"length": 400}) == 500
    closes = 100.0 + np.cumsum(np.random.default_rng(7).normal(size=4_000))
    enough = history_of("rsi_reversal", {"length": 100})
    assert rsi(closes[-enough:], 100)[-1] == pytest.approx(rsi(closes, 100)[-1], rel=1e-11)


def test_a_price_that_fell_ten_million_fold_is_decided_by_no_rounding() -> None:
    # Both sums still hold the rounding of the prices before, a larger part of the present one than of those.
    before = np.random.default_rng(1).uniform(0.5e6, 1.5e6, 300)
    closes = np.concatenate((before, np.full(100, 0.1)))
    verdict = judged(BarSeries(closes, np.ones(400)))
    assert 0.1 < verdict.features["sma_20"] < verdict.features["sma_50"]
    index, momentum = verdict.features["rsi_14"], verdict.features["macd_12_26_9.histogram"]
    assert verdict.features["score"] == 0.3 * (index < 30) + (0.1 if momentum > 0 else -0.1)  # and no trend


def test_means_that_differ_by_a_part_in_ten_to_the_nine_do_differ() -> None:
    # A last cent more at 100,000.00: the mean of 49 is 0.000204 above, that of 50 0.000200.
    closes = np.full(60, 100_000.0)
    closes[-1] += 0.01
    fast, slow = sma(closes, 49), sma(closes, 50)
    assert 0 < fast[-1] - slow[-1] < 1e-10 * closes[-1]
    assert sma_cross(BarSeries(closes, closes), {"fast": 49, "slow": 50}).scores[-1] == 100


def test_a_figure_is_above_another_by_more_than_rounding() -> None:
    one, other = np.array([0.1 + 0.2, 1.0, np.nan, 2.0]), np.array([0.3, np.nan, 1.0, 1.0])
    assert above(one, other).tolist() == [False, False, False, True]


def test_many_symbols_are_judged_in_their_order() -> None:
    bars = [after_a_fall(), after_a_rise(), BarSeries(np.empty(0), np.empty(0))]
    buy, sell, none = judge_all(V1, {}, bars)
    assert isinstance(buy, Verdict)
    assert isinstance(sell, Verdict)
    assert (buy.advice, sell.advice, type(none)) == (Advice.BUY, Advice.SELL, Unscored)


def test_every_algorithm_is_known_by_its_own_name() -> None:
    assert list(ALGORITHMS) == [
        "technical_indicators_v1",
        "sma_cross",
        "mean_reversion",
        "rsi_reversal",
        "breakout",
    ]
