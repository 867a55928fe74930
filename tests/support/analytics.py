"""Series for tests of analytics: prices whose advice is known, and figures worked out elsewhere."""

import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from qsuite.domain.analytics.catalog import FAMILIES, panel
from qsuite.domain.analytics.live import LivePanel
from qsuite.domain.analytics.series import Candles, Series, as_series, each_bar
from qsuite.domain.analytics.signals import BarSeries


def rows_of(path: Path) -> list[dict[str, str]]:
    """Read a CSV file, packed or not."""
    packed = path.read_bytes()
    text = (gzip.decompress(packed) if path.suffix == ".gz" else packed).decode()
    return list(csv.DictReader(text.splitlines()))


def column(rows: list[dict[str, str]], name: str) -> Series:
    """Return a column as numbers, NaN where a field is empty."""
    return as_series([float(row[name]) if row[name] else np.nan for row in rows])


def talib_cases(shared: Path, file: str) -> Iterator[dict[str, Any]]:
    """Yield TA-Lib's own cases of a test file, those that its default settings apply to."""
    for row in rows_of(shared / "reference/talib/regtest_cases.csv.gz"):
        case = json.loads(row["case_json"])
        plain = case.get("compatibility", "TA_COMPATIBILITY_DEFAULT") == "TA_COMPATIBILITY_DEFAULT"
        if row["test_file"] == file and plain and case["expectedNbElement"]:
            yield case


def after_a_fall(volume_factor: float = 2.0, bars: int = 120) -> BarSeries:
    """Return a fall from 10,000 to 100 sixty bars ago and a cent more each bar since, the last on a high volume.

    Oversold, because the index remembers the fall; price > SMA20 > SMA50; MACD coming back from far below: the most
    that ``technical_indicators_v1`` can be for, 0.3 + 0.2 + 0.1, by 1.2.
    """
    closes = np.concatenate((np.full(bars - 60, 10_000.0), np.round(100 + 0.01 * np.arange(60), 2)))
    volumes = np.full(bars, 1_000.0)
    volumes[-1] *= volume_factor
    return BarSeries(closes, volumes)


def after_a_rise(volume_factor: float = 2.0, bars: int = 120) -> BarSeries:
    """Return the mirror: a rise from 100 to 10,000 and a cent less each bar since."""
    closes = np.concatenate((np.full(bars - 60, 100.0), np.round(10_000 - 0.01 * np.arange(60), 2)))
    volumes = np.full(bars, 1_000.0)
    volumes[-1] *= volume_factor
    return BarSeries(closes, volumes)


def rising_by_steps(volume_factor: float = 1.0) -> BarSeries:
    """Return two up, one down, each step a hundredth longer: neither oversold nor overbought, in an uptrend."""
    steps = np.where(np.arange(121) % 2 == 0, 2.0, -1.0) * 1.01 ** np.arange(121)
    volumes = np.full(121, 1_000.0)
    volumes[-1] *= volume_factor
    return BarSeries(100.0 + np.cumsum(steps), volumes)


# -- live indicators ---------------------------------------------------------------------------------------------------

PLAIN_AND_ODD_INDICATORS = [
    *FAMILIES,
    *("sma_2", "ema_3", "wma_5", "vwap_20", "vwap_2", "rsi_2", "rsi_30", "rsi_simple_3", "macd_3_10_4", "macd_5_40_2"),
    *("roc_2", "stoch_5_1_1", "stoch_2_4_2", "cci_2", "cci_5", "adx_2", "adx_5", "bbands_5_1.5", "bbands_50_3"),
    *("atr_2", "donchian_2", "keltner_10_1.5_30", "keltner_30_2.5_5", "mfi_2", "volume_ratio_2"),
]


def one_by_one(names: list[str], bars: Candles) -> dict[str, Series]:
    """Return what live indicators say at each bar."""
    live = LivePanel(names)
    found = [live.push(bar) for bar in each_bar(bars)]
    return {name: np.array([np.nan if at[name] is None else at[name] for at in found]) for name in found[0]}


PRICED = {"sma", "ema", "wma", "vwap", "macd", "bbands", "atr", "donchian", "keltner"}


def assert_live_equals_whole(bars: Candles, names: list[str]) -> None:
    """Compare at every bar, to 1e-9 of the greatest price, of all volume, or of the hundred that an index goes to."""
    price, volume = float(np.abs(bars.highs).max()), float(bars.volumes.sum())
    live, whole = one_by_one(names, bars), panel(names, bars)
    assert live.keys() == whole.keys()
    for name, values in whole.items():
        family = max((each for each in FAMILIES if name.startswith(each)), key=len)
        assert np.array_equal(np.isnan(values), np.isnan(live[name])), name
        known = ~np.isnan(values)
        off = np.abs(values - live[name])[known].max(initial=0.0)
        size = volume if family == "obv" else price if family in PRICED else 100.0
        assert off <= 1e-9 * size, (name, off)
