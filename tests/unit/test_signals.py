"""What the algorithms advise, by the published rules worked out by hand and, on real prices, the plain way."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from qsuite.domain.analytics.algorithms import ALGORITHMS, Unscored, judge, judge_all
from qsuite.domain.analytics.indicators import rsi
from qsuite.domain.analytics.signals import (
    Advice,
    BarSeries,
    Scored,
    Verdict,
    above,
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
    closes, volumes = after_a_fall()
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
    assert list(ALGORITHMS) == ["technical_indicators_v1", "sma_cross"]
