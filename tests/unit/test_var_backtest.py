"""How value at risk did: Kupiec's published table, likelihoods by hand, and days that know nothing of what comes."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qsuite.domain.analytics.var import VarMethod, VarQuestion, value_at_risk
from qsuite.domain.analytics.var_backtest import (
    BacktestVerdict,
    LikelihoodRatio,
    VarBacktest,
    accepted_breaches,
    backtest,
    independence,
    kupiec,
)
from tests.support.analytics import rows_of

DAY_NS = 86_400_000_000_000


def closes_of(returns: list[float]) -> dict[int, float]:
    closes = {0: 100.0}
    for day, change in enumerate(returns, start=1):
        closes[day * DAY_NS] = closes[(day - 1) * DAY_NS] * (1 + change)
    return closes


def ask(returns: list[float], days: int, **changed: Any) -> VarBacktest:
    return backtest(question(returns, **changed), days)


def question(returns: list[float], **changed: Any) -> VarQuestion:
    given = {"method": VarMethod.HISTORICAL, "confidence": 0.95, "horizon_days": 1, "window": 100}
    return VarQuestion(values={"A": 1_000.0}, closes={"A": closes_of(returns)}, **(given | changed))


# Kupiec (1995), table of regions in which the model is not refused at a test level of 5 %; also in Jorion, Value at
# Risk, 3rd ed., table 6-2. Bounds are exclusive there.
PUBLISHED = [
    (0.01, 255, None, 7), (0.01, 510, 1, 11), (0.01, 1_000, 4, 17),
    (0.025, 255, 2, 12), (0.025, 510, 6, 21), (0.025, 1_000, 15, 36),
    (0.05, 255, 6, 21), (0.05, 510, 16, 36), (0.05, 1_000, 37, 65),
    (0.075, 255, 11, 28), (0.075, 510, 27, 51), (0.075, 1_000, 59, 92),
    (0.1, 255, 16, 36), (0.1, 510, 38, 65), (0.1, 1_000, 81, 120),
]  # fmt: skip


@pytest.mark.parametrize(("tail", "days", "above", "below"), PUBLISHED)
def test_the_breaches_that_are_accepted_are_those_of_kupiecs_table(
    tail: float, days: int, above: int | None, below: int
) -> None:
    least, most = accepted_breaches(days, tail)
    assert most == below - 1
    if above is None:  # the table has no bound there; the ratio of no breach at all is 5.13, beyond the 3.84 of 5 %
        assert (least, kupiec(days, 0, tail).statistic) == (1, pytest.approx(-2 * 255 * math.log(0.99)))
    else:
        assert least == above + 1


def test_kupiecs_ratio_is_the_likelihoods_by_hand() -> None:
    # 8 breaches in 250 days at 99 %: 2 ln(0.968^242 0.032^8 / (0.99^242 0.01^8)).
    by_hand = 2 * (242 * math.log(0.968) + 8 * math.log(0.032) - 242 * math.log(0.99) - 8 * math.log(0.01))
    found = kupiec(250, 8, 0.01)
    assert found.statistic == pytest.approx(by_hand, rel=1e-12)
    assert found.statistic == pytest.approx(7.7336, abs=1e-4)
    # As many as expected; none at all; all of them.
    assert kupiec(200, 10, 0.05) == LikelihoodRatio(0.0, 1.0)
    assert kupiec(250, 0, 0.01).statistic == pytest.approx(-2 * 250 * math.log(0.99))
    assert kupiec(50, 50, 0.05).statistic == pytest.approx(-2 * 50 * math.log(0.05))


def test_the_tail_of_the_distribution_is_the_tables() -> None:
    # Chi-squared, one degree of freedom: 3.841 leaves 5 %, 6.635 leaves 1 %.
    found = [kupiec(1_000, breaches, 0.05) for breaches in range(30, 80)]
    for ratio in found:
        assert (ratio.statistic > 3.8415) == (ratio.p_value < 0.05)
        assert (ratio.statistic > 6.6349) == (ratio.p_value < 0.01)


def test_breaches_that_follow_one_another_are_not_independent() -> None:
    together = np.array([True] * 5 + [False] * 95)
    found = independence(together)
    assert found is not None
    # From a breach: 4 breaches, 1 calm; from calm: 94 calm. Of all 99 steps 4 lead to a breach.
    apart = 4 * math.log(0.8) + 1 * math.log(0.2)
    same = 4 * math.log(4 / 99) + 95 * math.log(95 / 99)
    assert found.statistic == pytest.approx(2 * (apart - same), rel=1e-12)
    assert found.p_value < 1e-4
    assert independence(np.zeros(50, dtype=np.bool_)) is None
    assert independence(np.array([False, False, True])) is None


@pytest.mark.parametrize("method", list(VarMethod))
def test_each_day_is_judged_by_what_could_be_said_the_evening_before(method: VarMethod) -> None:
    chance = np.random.default_rng(11)
    returns = chance.normal(0, 0.01, 260).tolist()
    found = ask(returns, 150, method=method, window=100)
    expected = []
    for day in range(110, 260):
        before = value_at_risk(question(returns[:day], method=method, window=100)).value_at_risk
        assert before is not None
        if -1_000 * returns[day] > before:
            expected.append((day + 1, -1_000 * returns[day], before))
    assert found.days == 150
    assert [breach.ts_ns // DAY_NS for breach in found.breaches] == [day for day, _, _ in expected]
    assert [breach.loss for breach in found.breaches] == pytest.approx([loss for _, loss, _ in expected])
    assert [breach.value_at_risk for breach in found.breaches] == pytest.approx([value for _, _, value in expected])
    assert expected


def test_another_future_changes_nothing_of_what_was_said_before() -> None:
    returns = np.random.default_rng(3).normal(0, 0.01, 300).tolist()
    crash = returns[:250] + [-0.5] * 50
    first, second = ask(returns, 200), ask(crash, 200)
    early = [breach for breach in first.breaches if breach.ts_ns <= 250 * DAY_NS]
    assert early == [breach for breach in second.breaches if breach.ts_ns <= 250 * DAY_NS]
    assert second.breaches[len(early)].value_at_risk == pytest.approx(
        value_at_risk(question(crash[:250])).value_at_risk
    )


def test_a_model_that_makes_too_little_of_risk_is_refused() -> None:
    # Calm for as long as the window is, then one day in five loses ten times as much as ever before.
    found = ask([0.01, -0.01] * 60 + [-0.1, 0.01, -0.01, 0.01, -0.01] * 12, 60, window=120, method=VarMethod.PARAMETRIC)
    assert (len(found.breaches), found.verdict) == (12, BacktestVerdict.TOO_MANY)


def test_a_model_that_makes_too_much_of_risk_is_refused_too() -> None:
    calm = [0.05, -0.05] * 60 + [0.0] * 300
    found = ask(calm, 300, window=360, method=VarMethod.PARAMETRIC)
    assert found.days == 60
    assert (len(found.breaches), found.verdict) == (0, BacktestVerdict.TOO_FEW)
    assert (found.expected, found.least, found.most) == (pytest.approx(3.0), 1, 6)
    assert found.independence is found.coverage is None


def test_too_little_history_gives_a_reason() -> None:
    assert "130 daily returns" in str(ask([0.01] * 129, 100).reason)
    assert ask([0.01, -0.01] * 65, 100).days == 30
    assert "needs a window of" in str(ask([0.01] * 300, 100, window=20).reason)
    assert ask([0.01, -1.0, 0.5] * 60, 100).reason == "a close is zero or negative"
    assert backtest(VarQuestion(**{**_fields(), "values": {}}), 100).reason == "nothing is held"


def _fields() -> dict[str, Any]:
    asked = question([0.01] * 200)
    return {name: getattr(asked, name) for name in asked.__slots__}


def test_thirteen_years_of_four_stocks_through_two_crashes_are_counted_the_plain_way(shared_data: Path) -> None:
    rows = rows_of(shared_data / "daily/us_equities_wiki_daily.csv.gz")
    closes: dict[str, dict[int, float]] = {}
    for row in rows:
        if row["symbol"] != "GOOG":
            of = closes.setdefault(row["symbol"], {})
            of[int(np.datetime64(row["date"], "ns").astype(np.int64))] = float(row["adj_close"])
    values = {"AAPL": 2_000.0, "IBM": -1_000.0, "MSFT": 3_000.0}
    found = backtest(
        VarQuestion(
            values=values,
            closes=closes,
            method=VarMethod.HISTORICAL,
            confidence=0.99,
            horizon_days=1,
            window=500,
        ),
        2_500,
    )
    days = sorted(closes["IBM"])
    profits = [
        sum(value * (closes[name][after] / closes[name][before] - 1) for name, value in values.items())
        for before, after in itertools.pairwise(days)
    ]
    breaches = 0
    for day in range(len(profits) - 2_500, len(profits)):
        past = sorted(profits[day - 500 : day])
        # The 1 % quantile of 500 lies at place 4.99 of them, counted from 0.
        breaches += profits[day] < past[4] + 0.99 * (past[5] - past[4])
    assert (found.days, len(found.breaches)) == (2_500, breaches)
    assert found.kupiec == kupiec(2_500, breaches, 0.01)
    assert found.coverage is not None
