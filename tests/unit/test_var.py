"""Value at risk against figures that others computed: empyrical on real prices, Hull's worked examples, and by hand."""

import csv
import gzip
import math
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from qsuite.domain.analytics.var import VarMethod, VarQuestion, covariance, least_returns, tail_of, value_at_risk

DAY_NS = 86_400_000_000_000


def closes_of(returns: list[float], first: float = 100.0) -> dict[int, float]:
    """Return closes that have these returns."""
    closes = {0: first}
    for day, change in enumerate(returns, start=1):
        closes[day * DAY_NS] = closes[(day - 1) * DAY_NS] * (1 + change)
    return closes


def ask(values: dict[str, float], closes: dict[str, dict[int, float]], **changed: Any) -> Any:
    given = {"method": VarMethod.PARAMETRIC, "confidence": 0.95, "horizon_days": 1, "window": 250}
    return value_at_risk(VarQuestion(values=values, closes=closes, **(given | changed)))


def correlated(first: float, second: float, correlation: float, repeats: int = 25) -> tuple[list[float], list[float]]:
    """Return two series of exactly these volatilities and correlation, and of mean zero."""
    a, b = [1.0, 1.0, -1.0, -1.0] * repeats, [1.0, -1.0, 1.0, -1.0] * repeats
    rest = math.sqrt(1 - correlation**2)
    return [first * x for x in a], [second * (correlation * x + rest * y) for x, y in zip(a, b, strict=True)]


# -- independent figures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("symbol", ["AAPL", "GOOG", "IBM", "MSFT"])
def test_historical_figures_of_real_stocks_are_those_of_empyrical(shared_data: Path, symbol: str) -> None:
    with (shared_data / "reference/risk/empyrical_metrics.csv").open() as file:
        expected = {row["metric"]: row["value"] for row in csv.DictReader(file) if row["symbol"] == symbol}
    with gzip.open(shared_data / "daily/us_equities_wiki_daily.csv.gz", "rt") as file:
        prices = [float(row["adj_close"]) for row in csv.DictReader(file) if row["symbol"] == symbol]
    found = ask(
        {symbol: 1.0},
        {symbol: {day * DAY_NS: close for day, close in enumerate(prices)}},
        method=VarMethod.HISTORICAL,
        window=100_000,
    )
    assert found.observations == int(expected["n_returns"])
    assert found.value_at_risk == pytest.approx(-float(expected["value_at_risk_0.05"]), rel=1e-9)
    assert found.expected_shortfall == pytest.approx(-float(expected["conditional_value_at_risk_0.05"]), rel=1e-9)


# Hull, Risk Management and Financial Institutions, 3rd ed., chapter 15: $10 million in Microsoft at 2 % a day and
# $5 million in AT&T at 1 %. His normal quantile of 99 % is 2.33.
HULL = NormalDist().cdf(2.33)


def test_the_ten_day_loss_of_two_stocks_is_as_published() -> None:
    microsoft, att = correlated(0.02, 0.01, 0.3)
    found = ask(
        {"MSFT": 10e6, "T": 5e6},
        {"MSFT": closes_of(microsoft), "T": closes_of(att)},
        confidence=HULL,
        horizon_days=10,
    )
    assert found.value_at_risk == pytest.approx(1_622_657, rel=5e-6)  # he goes on from 220,227, rounded
    assert found.by_symbol == pytest.approx({"MSFT": 1_473_621, "T": 368_405}, rel=1e-6)


def test_with_a_higher_correlation_less_is_saved_as_published() -> None:
    # The same, in the 4th edition of Options, Futures, and Other Derivatives: correlation 0.7, deviation 751,665.
    microsoft, att = correlated(0.02, 0.01, 0.7)
    closes = {"IBM": closes_of(microsoft), "T": closes_of(att)}
    found = ask({"IBM": 10e6, "T": 5e6}, closes, confidence=HULL, horizon_days=10)
    assert found.value_at_risk == pytest.approx(1_751_379, rel=1e-6)


def test_exponential_weights_follow_the_published_recursion() -> None:
    # Hull, chapter 5, example 5.2: at decay 0.9 a variance of 0.0001 and a return of 2 % give 0.00013.
    returns = np.array([[0.01], [-0.01]] * 500 + [[0.02]])
    assert covariance(returns, 0.9)[0, 0] == pytest.approx(0.00013)


def test_exponential_weights_are_those_of_riskmetrics() -> None:
    returns = [0.012, -0.03, 0.004, 0.02, -0.015] * 60
    variance = returns[0] ** 2
    for change in returns[1:]:
        variance = 0.94 * variance + 0.06 * change**2
    found = ask({"A": 1000.0}, {"A": closes_of(returns)}, method=VarMethod.EWMA, window=300)
    assert found.value_at_risk == pytest.approx(1000 * 1.6448536269514722 * math.sqrt(variance), rel=1e-6)


def test_the_normal_tail_beyond_95_per_cent_is_2_063_deviations() -> None:
    # phi(1.6449) / 0.05 = 0.10314 / 0.05, from any table of the normal distribution.
    found = ask({"A": 100.0}, {"A": closes_of([0.01, -0.01] * 50)})
    assert found.value_at_risk == pytest.approx(1.6449, rel=1e-4)
    assert found.expected_shortfall == pytest.approx(2.0627, rel=1e-4)


# -- by hand ----------------------------------------------------------------------------------------------------------


def test_the_quantile_lies_between_order_statistics() -> None:
    # 41 profits from -20 to 20: rank 0.05 x 40 = 2 is the third worst, and the three worst have the mean -19.
    assert tail_of(np.arange(-20.0, 21.0), 0.95) == (18.0, 19.0)
    # 31: rank 1.5, half way between -14 and -13; the two worst count.
    assert tail_of(np.arange(-15.0, 16.0), 0.95) == (13.5, 14.5)


def test_a_short_position_loses_where_a_long_one_gains() -> None:
    closes = {"A": closes_of([0.05] * 5 + [0.0] * 95)}
    assert ask({"A": 100.0}, closes, method=VarMethod.HISTORICAL).value_at_risk == pytest.approx(0.0)
    assert ask({"A": -100.0}, closes, method=VarMethod.HISTORICAL, confidence=0.98).value_at_risk == pytest.approx(5.0)


def test_a_position_and_its_opposite_risk_nothing() -> None:
    same = closes_of([0.03, -0.02, 0.01] * 20)
    for method in VarMethod:
        if method is not VarMethod.EWMA:
            found = ask({"A": 500.0, "B": -500.0}, {"A": same, "B": same}, method=method)
            assert found.value_at_risk == pytest.approx(0.0, abs=1e-9)


def test_only_days_that_all_symbols_have_are_looked_at() -> None:
    first, second = closes_of([0.01, -0.01] * 50), closes_of([0.02, -0.02] * 50)
    del second[7 * DAY_NS]
    found = ask({"A": 1.0, "B": 1.0}, {"A": first, "B": second})
    assert (found.observations, found.first_ns, found.last_ns) == (99, 0, 100 * DAY_NS)


def test_the_window_keeps_the_newest_returns() -> None:
    found = ask({"A": 100.0}, {"A": closes_of([0.5, -0.5] * 20 + [0.01, -0.01] * 30)}, window=60)
    assert (found.observations, found.first_ns) == (60, 40 * DAY_NS)
    assert found.value_at_risk == pytest.approx(1.6449, rel=1e-4)


# -- no made-up numbers -----------------------------------------------------------------------------------------------


def test_nothing_held_risks_nothing() -> None:
    found = ask({"A": 0.0}, {})
    assert (found.value_at_risk, found.expected_shortfall, found.reason) == (0.0, 0.0, None)


@pytest.mark.parametrize(
    ("method", "confidence", "least"),
    [
        (VarMethod.PARAMETRIC, 0.99, 30),
        (VarMethod.HISTORICAL, 0.95, 30),
        (VarMethod.HISTORICAL, 0.99, 100),
        (VarMethod.HISTORICAL, 0.999, 1000),
        (VarMethod.EWMA, 0.95, 74),
    ],
)
def test_too_little_history_gives_a_reason_and_no_figure(method: VarMethod, confidence: float, least: int) -> None:
    assert least_returns(method, confidence) == least
    returns = [0.01, -0.01] * least
    short = ask({"A": 1.0}, {"A": closes_of(returns[: least - 1])}, method=method, confidence=confidence, window=5000)
    assert (short.value_at_risk, short.expected_shortfall, short.observations) == (None, None, least - 1)
    assert f"needs {least} daily returns" in short.reason
    enough = ask({"A": 1.0}, {"A": closes_of(returns[:least])}, method=method, confidence=confidence, window=5000)
    assert enough.value_at_risk > 0


def test_a_symbol_without_closes_is_named() -> None:
    found = ask({"A": 1.0, "B": 1.0}, {"A": closes_of([0.01] * 50)})
    assert (found.value_at_risk, found.reason) == (None, "no daily closes of B")


def test_a_close_of_zero_gives_no_figure() -> None:
    closes = closes_of([0.01] * 50)
    closes[20 * DAY_NS] = 0.0
    found = ask({"A": 1.0}, {"A": closes})
    assert (found.value_at_risk, found.reason) == (None, "a close is zero or negative")
