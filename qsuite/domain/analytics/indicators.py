"""Indicators over whole series, oldest first: TA-Lib's where it has them, in its terms where it has not.

Each returns series of the same length, NaN while there is not enough past. Invariant: the value at a bar depends on
that bar and those before it, never on a later one, to the last bit.

A further indicator is one function here and an entry in ``catalog``.
"""

from typing import Any, NamedTuple

import numpy as np

from qsuite.domain.analytics.series import Candles, Ranges, Series
from qsuite.domain.times import DAY_NS

CUTLERS_NONE = 1e-14
"""TA-Lib takes average moves that add up to less for none, and gives 0 there."""
TALIB_NO_FLOW = 1.0
"""TA-Lib takes a flow of money below this for none."""


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
    typical = (bars.highs + bars.lows + bars.closes) / 3.0
    value = typical * bars.volumes
    if length is not None:
        traded = highest(bars.volumes, length) > 0.0
        return _ratio(_called("SUM", value, timeperiod=length), _called("SUM", bars.volumes, timeperiod=length), traded)
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
    gains = sma(np.maximum(moves, 0.0), length)
    both = gains + sma(np.maximum(-moves, 0.0), length)
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
    """Return the commodity channel index."""
    return _called("CCI", bars.highs, bars.lows, bars.closes, timeperiod=length)


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
    return Bands(
        *_called_for_more("BBANDS", closes, timeperiod=length, nbdevup=deviations, nbdevdn=deviations, matype=0)
    )


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
    """Return the money flow index, 0 to 100; NaN where nothing was traded.

    It does not depend on the unit of volume, but TA-Lib gives 0 for flows below 1: fractions of coins are scaled up.
    """
    volumes, traded = bars.volumes, bars.volumes > 0.0
    if not traded.any():
        return np.full(len(volumes), np.nan)
    least = float((bars.lows * volumes)[traded].min())
    if 0.0 < least < TALIB_NO_FLOW:
        volumes = volumes / least
    found = _called("MFI", bars.highs, bars.lows, bars.closes, volumes, timeperiod=length)
    # The first of its flows is the one after the first bar.
    return np.where(highest(bars.volumes, length) > 0.0, found, np.nan)


def volume_ratio(volumes: Series, length: int = 20) -> Series:
    """Return the volume in units of the mean of the last ``length``, this one among them; NaN where that is zero."""
    return _ratio(volumes, sma(volumes, length), highest(volumes, length) > 0.0)


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
