"""Indicators over whole series, oldest first: TA-Lib's where it has them, in its terms where it has not.

Each returns series of the same length, NaN while there is not enough past. Invariant: the value at a bar depends on
that bar and those before it, never on a later one, to the last bit. What TA-Lib makes of moving sums and then divides,
or of squares that cancel out, is computed by ``windows`` instead: to TA-Lib's digits on prices as they are, and right
where volumes vary by a million times or prices stand still.

A further indicator is one function here and an entry in ``catalog``.
"""

from typing import Any, NamedTuple

import numpy as np

from qsuite.domain.analytics.series import Candles, Ranges, Series
from qsuite.domain.analytics.windows import window_deviation, window_sum
from qsuite.domain.times import DAY_NS

SAME = 1e-12
"""Typical prices that differ by less, relative to their size, are the same: what differs is how they were added up."""
CUTLERS_NONE = 1e-14
"""TA-Lib takes average moves that add up to less for none, and gives 0 there."""


class Macd(NamedTuple):
    """The difference of two averages, its own average, and how far the one is above the other."""

    line: Series
    signal: Series
    histogram: Series


class Bands(NamedTuple):
    """A middle, and how far to both sides of it prices usually go."""

    upper: Series
    middle: Series
    lower: Series


class Stochastic(NamedTuple):
    """Where in its range the close lies, 0 to 100, and the average of that."""

    k: Series
    d: Series


class Directional(NamedTuple):
    """The strength of a trend, 0 to 100, and of its two directions."""

    adx: Series
    plus_di: Series
    minus_di: Series


# -- averages ---------------------------------------------------------------------------------------------------------


def sma(values: Series, length: int) -> Series:
    """Return the mean of the last ``length`` values."""
    return _called("SMA", values, timeperiod=length)


def ema(values: Series, length: int) -> Series:
    """Return the exponential average with weight ``2 / (length + 1)``, begun with the mean of the first ``length``."""
    return _called("EMA", values, timeperiod=length)


def wma(values: Series, length: int) -> Series:
    """Return the mean of the last ``length`` values, weighted 1 for the oldest to ``length`` for the newest."""
    return _called("WMA", values, timeperiod=length)


def vwap(bars: Candles, length: int | None = None) -> Series:
    """Return the mean price by volume, of typical prices: over ``length`` bars, by default since midnight UTC.

    NaN where nothing was traded.
    """
    value = typical_prices(bars) * bars.volumes
    if length is not None:
        volumes = window_sum(bars.volumes, length)
        return _ratio(window_sum(value, length), volumes, volumes > 0.0)
    values, volumes = np.empty_like(value), np.empty_like(value)
    days = bars.starts_ns // DAY_NS
    begins = np.flatnonzero(np.diff(days, prepend=days[:1] - 1))
    for begin, end in zip(begins, [*begins[1:], len(days)], strict=True):
        np.cumsum(value[begin:end], out=values[begin:end])
        np.cumsum(bars.volumes[begin:end], out=volumes[begin:end])
    return _ratio(values, volumes, volumes > 0.0)


# -- momentum ---------------------------------------------------------------------------------------------------------


def rsi(closes: Series, length: int = 14) -> Series:
    """Return Wilder's relative strength index, 0 to 100; 0 too where no price ever moved, as TA-Lib has it."""
    return _called("RSI", closes, timeperiod=length)


def rsi_simple(closes: Series, length: int = 14) -> Series:
    """Return the index of plain means instead of Wilder's averages (Cutler's), which forgets all before them."""
    moves = np.diff(closes, prepend=closes[:1])
    moves[:1] = np.nan
    gains = window_sum(np.maximum(moves, 0.0), length) / length
    both = window_sum(np.abs(moves), length) / length
    moved = both >= CUTLERS_NONE
    return np.where(np.isnan(both), np.nan, np.where(moved, 100.0 * gains / np.where(moved, both, 1.0), 0.0))


def macd(closes: Series, fast: int = 12, slow: int = 26, smoothing: int = 9) -> Macd:
    """Return moving average convergence/divergence; all three begin where the signal does.

    Both averages start at the slow one's first place, so that neither is older than the other.
    """
    return Macd(*_called_for_more("MACD", closes, fastperiod=fast, slowperiod=slow, signalperiod=smoothing))


def roc(closes: Series, length: int) -> Series:
    """Return by how many per cent the close is above the one ``length`` bars ago."""
    return _called("ROC", closes, timeperiod=length)


def stochastic(bars: Candles, length: int = 14, smoothing: int = 3, averaged: int = 3) -> Stochastic:
    """Return the slow stochastic: the close in the range of ``length`` bars, averaged by plain means."""
    found = _called_for_more(
        "STOCH",
        bars.highs,
        bars.lows,
        bars.closes,
        fastk_period=length,
        slowk_period=smoothing,
        slowk_matype=0,
        slowd_period=averaged,
        slowd_matype=0,
    )
    return Stochastic(*found)


def cci(bars: Candles, length: int = 20) -> Series:
    """Return the commodity channel index; 0 where typical prices differ by no more than their rounding."""
    typical = typical_prices(bars)
    found = _called("CCI", bars.highs, bars.lows, bars.closes, timeperiod=length)
    top = highest(typical, length)
    found[top - lowest(typical, length) <= SAME * top] = 0.0
    return found


def adx(bars: Candles, length: int = 14) -> Directional:
    """Return Wilder's directional movement; the directions begin ``length - 1`` bars before their strength."""
    return Directional(
        *(
            _called(name, bars.highs, bars.lows, bars.closes, timeperiod=length)
            for name in ("ADX", "PLUS_DI", "MINUS_DI")
        )
    )


# -- ranges -----------------------------------------------------------------------------------------------------------


def bollinger(closes: Series, length: int = 20, deviations: float = 2.0) -> Bands:
    """Return the mean and so many standard deviations (of the population) to both sides."""
    middle, deviation = window_deviation(closes, length)
    width = deviations * deviation
    return Bands(middle + width, middle, middle - width)


def atr(bars: Ranges, length: int = 14) -> Series:
    """Return Wilder's average true range."""
    return _called("ATR", bars.highs, bars.lows, bars.closes, timeperiod=length)


def donchian(bars: Candles, length: int = 20) -> Bands:
    """Return the highest high and lowest low of the last ``length`` bars, this one among them, and their middle."""
    upper, lower = highest(bars.highs, length), lowest(bars.lows, length)
    return Bands(upper, (upper + lower) / 2.0, lower)


def keltner(bars: Candles, length: int = 20, ranges: float = 2.0, range_length: int = 10) -> Bands:
    """Return the exponential average and so many average true ranges to both sides."""
    middle, width = ema(bars.closes, length), ranges * atr(bars, range_length)
    middle = np.where(np.isnan(width), np.nan, middle)
    return Bands(middle + width, middle, middle - width)


def highest(values: Series, length: int) -> Series:
    """Return the greatest of the last ``length`` values, this one among them."""
    return _called("MAX", values, timeperiod=length)


def lowest(values: Series, length: int) -> Series:
    """Return the least of the last ``length`` values, this one among them."""
    return _called("MIN", values, timeperiod=length)


# -- volume -----------------------------------------------------------------------------------------------------------


def obv(bars: Candles) -> Series:
    """Return on-balance volume, from the first bar's volume on."""
    return _called("OBV", bars.closes, bars.volumes)


def mfi(bars: Candles, length: int = 14) -> Series:
    """Return the money flow index, 0 to 100; NaN where nothing was traded, 0 where no typical price differs."""
    typical = typical_prices(bars)
    moves = np.diff(typical, prepend=typical[:1])
    flow = typical * bars.volumes
    flow[:1] = np.nan  # the first of its flows is the one after the first bar
    risen = window_sum(np.where(moves > 0.0, flow, 0.0 * flow), length)
    both = risen + window_sum(np.where(moves < 0.0, flow, 0.0 * flow), length)
    moved = both > 0.0
    found = np.where(moved, 100.0 * risen / np.where(moved, both, 1.0), 0.0 * both)
    return np.where(highest(bars.volumes, length) > 0.0, found, np.nan)


def volume_ratio(volumes: Series, length: int = 20) -> Series:
    """Return the volume in units of the mean of the last ``length``, this one among them; NaN where that is zero."""
    mean = window_sum(volumes, length) / length
    return _ratio(volumes, mean, mean > 0.0)


def typical_prices(bars: Candles) -> Series:
    """Return the mean of high, low and close."""
    return (bars.highs + bars.lows + bars.closes) / 3.0


# -- TA-Lib -----------------------------------------------------------------------------------------------------------


def _called(name: str, *series: Series, **options: Any) -> Series:
    (found,) = _called_for_more(name, *series, **options)
    return found


def _called_for_more(name: str, *series: Series, **options: Any) -> tuple[Series, ...]:
    # Imported at its first use: it brings pandas along, which a start does without.
    import talib

    function = getattr(talib, name)
    found = function(*(np.ascontiguousarray(each, dtype=np.float64) for each in series), **options)
    return found if isinstance(found, tuple) else (found,)


def _ratio(value: Series, by: Series, known: Any) -> Series:
    return np.where(known, value / np.where(known, by, 1.0), np.nan)
