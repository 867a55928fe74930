"""What a model is shown of a bar: figures without a unit, so that prices of any height and time look alike.

    returns of 1, 2, 5 and 20 bars      the close to SMA20, SMA20 to SMA50      RSI(14), MACD(12, 26, 9) by the close
    the spread of returns, true range by the close                              volume to its mean of 20 bars

Invariant: the features of a bar follow from that bar and those before it, to the last bit. Bars may be adjusted for
splits and dividends: an adjustment scales all prices before it alike, so that it shows in no ratio of earlier bars, and
nothing is known from the future by it.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from qsuite.domain.analytics.indicators import atr, macd, rsi, sma, volume_ratio
from qsuite.domain.analytics.series import Candles, Series
from qsuite.domain.analytics.signals import BarSeries

Matrix = npt.NDArray[np.float64]

WARM_UP = 50
"""So many bars there must be for the last of them to have features: the slow average needs the most."""
RSI_LENGTH, FAST, SLOW, SPREAD, VOLUMES, RANGE = 14, 20, 50, 20, 20, 14
RETURNS = (1, 2, 5, 20)
FEATURES = (
    *(f"return_{length}" for length in RETURNS),
    f"to_sma_{FAST}",
    f"sma_{FAST}_to_sma_{SLOW}",
    f"rsi_{RSI_LENGTH}",
    "macd_12_26_9",
    "macd_12_26_9.histogram",
    f"volatility_{SPREAD}",
    f"atr_{RANGE}",
    f"volume_ratio_{VOLUMES}",
)
"""The columns' names, in their order. A model is of use only to the features that it was fitted to."""


def features_of(bars: Candles | BarSeries) -> Matrix:
    """Return a row for each bar and a column for each of ``FEATURES``; NaN in the whole row where any is not known."""
    closes = bars.closes
    with np.errstate(divide="ignore", invalid="ignore"):  # a price of zero gives no ratio: its rows are not known
        fast, momentum = sma(closes, FAST), macd(closes)
        columns = [
            *(_change(closes, length) for length in RETURNS),
            closes / fast - 1.0,
            fast / sma(closes, SLOW) - 1.0,
            rsi(closes, RSI_LENGTH) / 100.0,
            momentum.line / closes,
            momentum.histogram / closes,
            _volatility(closes),
            atr(bars, RANGE) / closes,
            _volume(bars.volumes),
        ]
    found = np.column_stack(columns)
    found[~np.isfinite(found).all(axis=1)] = np.nan
    return found


def rose(features: Matrix) -> Any:
    """Say for each row whether its close was above the one before: yesterday's sign."""
    return features[:, FEATURES.index("return_1")] > 0.0


def _change(values: Series, length: int) -> Series:
    found = np.full(len(values), np.nan)
    found[length:] = values[length:] / values[:-length] - 1.0
    return found


def _volatility(closes: Series) -> Series:
    """Return the standard deviation of the last returns, each window reckoned by itself: no gap reaches beyond it."""
    found = np.full(len(closes), np.nan)
    if len(closes) <= SPREAD:
        return found
    windows = np.lib.stride_tricks.sliding_window_view(_change(closes, 1)[1:], SPREAD)
    found[SPREAD:] = windows.std(axis=1)
    return found


def _volume(volumes: Series) -> Series:
    """Return the volume by its mean, and 1, which is nothing unusual, where none is traded or none is told."""
    found = volume_ratio(volumes, VOLUMES)
    found[VOLUMES - 1 :] = np.where(np.isnan(found[VOLUMES - 1 :]), 1.0, found[VOLUMES - 1 :])
    return found
