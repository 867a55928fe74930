"""Indicators over whole series, oldest first: TA-Lib's where it has them, in its terms where it has not.

Each returns series of the same length, NaN while there is not enough past. Invariant: the value at a bar depends on
that bar and those before it, never on a later one, to the last bit. What TA-Lib makes of moving sums and then divides,
or of squares that cancel out, is computed by ``windows`` instead: to TA-Lib's digits on prices as they are, and right
where volumes vary by a million times or prices stand still.

A further indicator is one function here and an entry in ``catalog``.
"""

import functools
import itertools
import math
from typing import Any, NamedTuple

import numpy as np

from qsuite.domain.analytics.series import Candles, Flags, Ranges, Series
from qsuite.domain.analytics.windows import in_pieces, sums, window_deviation
from qsuite.domain.times import DAY_NS

FEW_DIGITS = 1e-4
"""What is below this part of the greatest so far is computed by windows: TA-Lib's moving sums leave it too few digits.
A deviation is a difference of squares: above it, over a million bars, it is right to 10^-9 of the greatest price."""
SAME_MOVE = 1e-14
"""Typical prices that differ by less, relative to their sum, are the same to TA-Lib: it is how they were added up."""


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
    prices = bars.highs, bars.lows, bars.closes, bars.volumes
    if length is not None:
        (found,) = in_pieces(lambda *piece: (_vwap_of(*piece, length=length),), prices, length)
        return found
    (value,) = in_pieces(lambda *piece: (_value_of(*piece),), prices, 1)
    values, volumes = np.empty_like(value), np.empty_like(value)
    starts = bars.starts_ns
    midnights = np.arange(starts[0] // DAY_NS + 1, starts[-1] // DAY_NS + 1) * DAY_NS if len(starts) else starts
    ends = np.unique(np.searchsorted(starts, midnights)).tolist()  # of days without bars between them once
    for begin, end in itertools.pairwise([0, *ends, len(starts)]):
        np.cumsum(value[begin:end], out=values[begin:end])
        np.cumsum(bars.volumes[begin:end], out=volumes[begin:end])
    (found,) = in_pieces(lambda *piece: (_ratio(*piece),), (values, volumes), 1)
    return found


def _value_of(highs: Series, lows: Series, closes: Series, volumes: Series) -> Series:
    return typical_prices(highs, lows, closes) * volumes


def _vwap_of(highs: Series, lows: Series, closes: Series, volumes: Series, *, length: int) -> Series:
    return _ratio(sums(_value_of(highs, lows, closes, volumes), length), sums(volumes, length))


# -- momentum ---------------------------------------------------------------------------------------------------------


def rsi(closes: Series, length: int = 14) -> Series:
    """Return Wilder's relative strength index, 0 to 100; 0 too where no price ever moved, as TA-Lib has it."""
    return _called("RSI", closes, timeperiod=length)


def rsi_simple(closes: Series, length: int = 14) -> Series:
    """Return the index of plain means instead of Wilder's averages (Cutler's), which forgets all before them."""
    (found,) = in_pieces(lambda piece: (_rsi_simple_of(piece, length),), (closes,), length + 1)
    return found


def _rsi_simple_of(closes: Series, length: int) -> Series:
    moves = closes[1:] - closes[:-1]
    gains, both = sums(np.maximum(moves, 0.0), length) / length, sums(np.abs(moves), length) / length
    moved = both > 0.0
    return np.where(moved, 100.0 * gains / np.where(moved, both, 1.0), 0.0)


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
    """Return the commodity channel index; 0 where typical prices differ by no more than rounding."""
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
    found = _called_for_more("BBANDS", closes, timeperiod=length, nbdevup=deviations, nbdevdn=deviations, matype=0)
    width, least = found[0] - found[1], FEW_DIGITS * deviations
    # A quick look at all of them, then at each beside what was before it: a later price must not count.
    if not len(closes) or width[length - 1 :].min(initial=math.inf) >= least * max(closes.max(), -closes.min()):
        return Bands(*found)
    narrow = width < least * np.maximum.accumulate(np.abs(closes))
    if not narrow.any():
        return Bands(*found)
    ours = functools.partial(_bands_where, length=length, deviations=deviations)
    return Bands(*in_pieces(ours, (closes, narrow, *found), length))


def _bands_where(closes: Series, narrow: Flags, *found: Series, length: int, deviations: float) -> tuple[Series, ...]:
    """Return the bands of windows where they are narrow, else those found."""
    narrow, found = narrow[length - 1 :], tuple(each[length - 1 :] for each in found)
    if not narrow.any():
        return found
    middle, deviation = window_deviation(closes, length)
    width = deviations * deviation
    exact = (each[length - 1 :] for each in (middle + width, middle, middle - width))
    return tuple(np.where(narrow, ours, theirs) for ours, theirs in zip(exact, found, strict=True))


def atr(bars: Ranges, length: int = 14) -> Series:
    """Return Wilder's average true range."""
    return _called("ATR", bars.highs, bars.lows, bars.closes, timeperiod=length)


def donchian(bars: Candles, length: int = 20) -> Bands:
    """Return the highest high and lowest low of the last ``length`` bars, this one among them, and their middle."""
    upper, lower = highest(bars.highs, length), lowest(bars.lows, length)
    (middle,) = in_pieces(lambda top, bottom: ((top + bottom) / 2.0,), (upper, lower), 1)
    return Bands(upper, middle, lower)


def keltner(bars: Candles, length: int = 20, ranges: float = 2.0, range_length: int = 10) -> Bands:
    """Return the exponential average and so many average true ranges to both sides."""
    middle, width = ema(bars.closes, length), atr(bars, range_length)
    return Bands(*in_pieces(lambda *piece: _keltner_of(*piece, ranges=ranges), (middle, width), 1))


def _keltner_of(middle: Series, width: Series, *, ranges: float) -> tuple[Series, Series, Series]:
    upper, lower = middle + ranges * width, middle - ranges * width
    return upper, np.where(np.isnan(width), np.nan, middle), lower


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
    prices = bars.highs, bars.lows, bars.closes, bars.volumes
    found = _called("MFI", *prices, timeperiod=length)
    volumes = bars.volumes
    if not len(volumes) or volumes.min() * bars.lows.min() > FEW_DIGITS * volumes.max() * bars.highs.max():
        return found
    (flow,) = in_pieces(lambda *piece: (_value_of(*piece),), prices, 1)
    small = flow <= FEW_DIGITS * np.maximum.accumulate(flow)  # a sum is no less than its newest flow
    if not small.any():
        return found
    (found,) = in_pieces(functools.partial(_mfi_where, length=length), (*prices, small, found), length + 1)
    return found


def _mfi_where(*columns: Series, length: int) -> tuple[Series]:
    """Return the index of windows where the newest flow is small, else the one found."""
    small, found = (column[length:] for column in columns[-2:])
    return (np.where(small, _mfi_of(*columns[:-2], length=length), found) if small.any() else found,)


def _mfi_of(highs: Series, lows: Series, closes: Series, volumes: Series, *, length: int) -> Series:
    typical = typical_prices(highs, lows, closes)
    moves, flow = typical[1:] - typical[:-1], typical[1:] * volumes[1:]
    moved = np.abs(moves) >= SAME_MOVE * (np.abs(typical[1:]) + np.abs(typical[:-1]))
    moved &= moves != 0.0
    risen, both = sums(flow * (moved & (moves > 0.0)), length), sums(flow * moved, length)
    found = np.divide(100.0 * risen, both, out=np.zeros_like(both), where=both > 0.0)
    found[sums(volumes[1:], length) <= 0.0] = np.nan
    return found


def volume_ratio(volumes: Series, length: int = 20) -> Series:
    """Return the volume in units of the mean of the last ``length``, this one among them; NaN where that is zero."""
    (found,) = in_pieces(lambda piece: (_ratio(piece[length - 1 :], sums(piece, length) / length),), (volumes,), length)
    return found


def typical_prices(highs: Series, lows: Series, closes: Series) -> Series:
    """Return the mean of high, low and close."""
    return (highs + lows + closes) / 3.0


# -- TA-Lib -----------------------------------------------------------------------------------------------------------


def _called(name: str, *series: Series, **options: Any) -> Series:
    found: Series = _function(name)(*series, **options)
    return found


def _called_for_more(name: str, *series: Series, **options: Any) -> tuple[Series, ...]:
    found: tuple[Series, ...] = _function(name)(*series, **options)
    return found


@functools.cache
def _function(name: str) -> Any:
    # Imported at its first use: it brings pandas along, which a start does without.
    import talib

    return getattr(talib, name)


def _ratio(value: Series, by: Series) -> Series:
    """Return the quotient, NaN where there is nothing to divide by."""
    found: Series = np.divide(value, by, out=np.full(len(by), np.nan), where=by > 0.0)
    return found
