"""The live twin of each family of ``catalog``: made from its numbers, called with a bar and whether to keep it.

Each returns its values in the order of the family's ``parts``, NaN where there is too little past. Invariant: begun at
the same bar, it says at every bar what the function in ``indicators`` says there, to 1e-9 of the size of its inputs.
"""

import math
from collections.abc import Callable, Mapping

from qsuite.domain.analytics.indicators import SAME_MOVE
from qsuite.domain.analytics.live.blocks import NAN, Before, Exponential, Mean, Values, Wilder, Window, mean_of
from qsuite.domain.analytics.live.directions import Adx, Atr
from qsuite.domain.analytics.series import Candle
from qsuite.domain.times import DAY_NS

Twin = Callable[[Candle, bool], Values]
SAME_SPREAD = 1e-12
"""Typical prices no farther apart, relative to their size, are the same: TA-Lib sees no deviation there."""
NONE_OF_THREE = (NAN, NAN, NAN)


def typical_price(bar: Candle) -> float:
    """Return the mean of high, low and close."""
    return (bar.high + bar.low + bar.close) / 3.0


def _of_closes(block: Callable[[float, bool], float]) -> Twin:
    return lambda bar, keep: (block(bar.close, keep),)


# -- averages ---------------------------------------------------------------------------------------------------------


def _wma(length: int) -> Twin:
    window = Window(length)
    weights, total = range(1, length + 1), length * (length + 1) / 2

    def twin(bar: Candle, keep: bool) -> Values:
        values = window(bar.close, keep)
        if values is None:
            return (NAN,)
        return (math.fsum(weight * value for weight, value in zip(weights, values, strict=True)) / total,)

    return twin


class DayVwap:
    """The mean price by volume since midnight UTC."""

    def __init__(self) -> None:
        self._day = -1
        self._value = self._volume = 0.0

    def __call__(self, bar: Candle, keep: bool) -> Values:
        """Return it, NaN while nothing was traded."""
        day = bar.start_ns // DAY_NS
        value, volume = (self._value, self._volume) if day == self._day else (0.0, 0.0)
        value += typical_price(bar) * bar.volume
        volume += bar.volume
        if keep:
            self._day, self._value, self._volume = day, value, volume
        return (value / volume if volume > 0.0 else NAN,)


def _vwap(length: int | None = None) -> Twin:
    if length is None:
        return DayVwap()
    values, volumes = Window(length), Window(length)

    def twin(bar: Candle, keep: bool) -> Values:
        value, volume = values(typical_price(bar) * bar.volume, keep), volumes(bar.volume, keep)
        traded = 0.0 if volume is None else math.fsum(volume)
        return (math.fsum(value) / traded if value is not None and traded > 0.0 else NAN,)

    return twin


# -- momentum ---------------------------------------------------------------------------------------------------------


def _index_of(gains: Callable[[float, bool], float], losses: Callable[[float, bool], float]) -> Twin:
    before = Before()

    def twin(bar: Candle, keep: bool) -> Values:
        move = bar.close - before(bar.close, keep)
        if math.isnan(move):
            return (NAN,)
        gain, loss = gains(max(move, 0.0), keep), losses(max(-move, 0.0), keep)
        if math.isnan(gain):
            return (NAN,)
        return (100.0 * (gain / (gain + loss)) if gain + loss else 0.0,)

    return twin


def _macd(fast: int, slow: int, smoothing: int) -> Twin:
    quick, steady, signal = Exponential(fast, slow - fast), Exponential(slow), Exponential(smoothing)

    def twin(bar: Candle, keep: bool) -> Values:
        line = quick(bar.close, keep) - steady(bar.close, keep)
        smooth = signal(line, keep)
        return NONE_OF_THREE if math.isnan(smooth) else (line, smooth, line - smooth)

    return twin


def _roc(length: int) -> Twin:
    window = Window(length + 1)

    def twin(bar: Candle, keep: bool) -> Values:
        closes = window(bar.close, keep)
        if closes is None:
            return (NAN,)
        return ((bar.close / closes[0] - 1.0) * 100.0 if closes[0] else 0.0,)

    return twin


def _stochastic(length: int, smoothing: int, averaged: int) -> Twin:
    highs, lows, first, second = Window(length), Window(length), Mean(smoothing), Mean(averaged)

    def twin(bar: Candle, keep: bool) -> Values:
        high, low = highs(bar.high, keep), lows(bar.low, keep)
        if high is None or low is None:
            return NAN, NAN
        bottom, width = min(low), (max(high) - min(low)) / 100.0
        k = first((bar.close - bottom) / width if width else 0.0, keep)
        d = second(k, keep)
        return (NAN, NAN) if math.isnan(d) else (k, d)

    return twin


def _cci(length: int) -> Twin:
    window = Window(length)

    def twin(bar: Candle, keep: bool) -> Values:
        typical = window(typical_price(bar), keep)
        if typical is None:
            return (NAN,)
        if max(typical) - min(typical) <= SAME_SPREAD * max(typical):
            return (0.0,)
        mean = mean_of(typical)
        return ((typical[-1] - mean) / (0.015 * mean_of([abs(each - mean) for each in typical])),)

    return twin


# -- ranges -----------------------------------------------------------------------------------------------------------


def _bollinger(length: int, deviations: float) -> Twin:
    window = Window(length)

    def twin(bar: Candle, keep: bool) -> Values:
        closes = window(bar.close, keep)
        if closes is None:
            return NONE_OF_THREE
        if max(closes) == min(closes):
            return bar.close, bar.close, bar.close
        mean = mean_of(closes)
        width = deviations * math.sqrt(mean_of([(each - mean) ** 2 for each in closes]))
        return mean + width, mean, mean - width

    return twin


def _donchian(length: int) -> Twin:
    highs, lows = Window(length), Window(length)

    def twin(bar: Candle, keep: bool) -> Values:
        high, low = highs(bar.high, keep), lows(bar.low, keep)
        if high is None or low is None:
            return NONE_OF_THREE
        upper, lower = max(high), min(low)
        return upper, (upper + lower) / 2.0, lower

    return twin


def _keltner(length: int, ranges: float, range_length: int) -> Twin:
    average, true_range = Exponential(length), Atr(range_length)

    def twin(bar: Candle, keep: bool) -> Values:
        middle, width = average(bar.close, keep), ranges * true_range(bar, keep)[0]
        return NONE_OF_THREE if math.isnan(middle + width) else (middle + width, middle, middle - width)

    return twin


# -- volume -----------------------------------------------------------------------------------------------------------


class Obv:
    """On-balance volume."""

    def __init__(self) -> None:
        self._before = Before()
        self._total = 0.0

    def __call__(self, bar: Candle, keep: bool) -> Values:
        """Return it; the first bar's volume begins it."""
        before = self._before(bar.close, keep)
        falls = bar.close < before
        total = self._total if bar.close == before else self._total + (-bar.volume if falls else bar.volume)
        if keep:
            self._total = total
        return (total,)


def _mfi(length: int) -> Twin:
    before, risen, fallen, volumes = Before(), Window(length), Window(length), Window(length)

    def twin(bar: Candle, keep: bool) -> Values:
        typical = typical_price(bar)
        move = typical - before(typical, keep)
        volume = volumes(bar.volume, keep)
        if math.isnan(move):
            return (NAN,)
        flow = typical * bar.volume
        if abs(move) < SAME_MOVE * (abs(typical) + abs(typical - move)):
            move = 0.0
        up, down = risen(flow if move > 0.0 else 0.0, keep), fallen(flow if move < 0.0 else 0.0, keep)
        if up is None or down is None or volume is None or max(volume) <= 0.0:
            return (NAN,)
        gain = math.fsum(up)
        both = gain + math.fsum(down)
        return (100.0 * gain / both if both > 0.0 else 0.0,)

    return twin


def _volume_ratio(length: int) -> Twin:
    mean = Mean(length)

    def twin(bar: Candle, keep: bool) -> Values:
        usual = mean(bar.volume, keep)
        return (bar.volume / usual if usual > 0.0 else NAN,)

    return twin


TWINS: Mapping[str, Callable[..., Twin]] = {
    "sma": lambda length: _of_closes(Mean(length)),
    "ema": lambda length: _of_closes(Exponential(length)),
    "wma": _wma,
    "vwap": _vwap,
    "rsi": lambda length: _index_of(Wilder(length), Wilder(length)),
    "rsi_simple": lambda length: _index_of(Mean(length), Mean(length)),
    "macd": _macd,
    "roc": _roc,
    "stoch": _stochastic,
    "cci": _cci,
    "adx": Adx,
    "bbands": _bollinger,
    "atr": Atr,
    "donchian": _donchian,
    "keltner": _keltner,
    "obv": Obv,
    "mfi": _mfi,
    "volume_ratio": _volume_ratio,
}
"""By the family's name."""
