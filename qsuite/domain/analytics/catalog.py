"""Indicators by name, as they are asked for: ``sma_20``, ``macd_12_26_9``, ``bbands_20_2.upper``.

    macd_12_26_9   family ``macd``, its parameters in order ──> {"macd_12_26_9": …, "macd_12_26_9.signal": …, …}

A name without numbers takes the usual ones: ``macd`` is MACD(12, 26, 9). A further indicator is an entry in FAMILIES.
"""

import functools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from qsuite.domain.analytics import indicators
from qsuite.domain.analytics.series import Candles, Series, from_bar

LONGEST = 400
FADED = 1e-12
"""What is left of a price's weight in an average when it no longer counts."""

_NAME = re.compile(r"([a-z]+(?:_[a-z]+)*)((?:_\d{1,4}(?:\.\d{1,4})?)*)", re.ASCII)


class Parameter(NamedTuple):
    """A number of an indicator: a count of bars, or a multiple where it is not ``whole``."""

    name: str
    default: float
    low: float = 2
    high: float = LONGEST
    whole: bool = True


Numbers = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Family:
    """How an indicator is computed from bars and its numbers.

    ``parts`` are the endings of the names of what it returns, "" for the one that bears the indicator's own. ``begins``
    is the place of the first bar at which all of them are known, ``remembers`` how many bars before it they depend on.
    ``adds_up``: a sum over all bars, so that it is the bars shown that count and none before them.
    """

    name: str
    title: str
    parameters: tuple[Parameter, ...]
    compute: Callable[..., Any]
    begins: Callable[..., int]
    parts: tuple[str, ...] = ("",)
    remembers: Callable[..., int] = lambda *numbers: 0
    check: Callable[..., str] = lambda *numbers: ""
    adds_up: bool = False


class Indicator(NamedTuple):
    """An indicator that was asked for."""

    name: str
    family: Family
    numbers: tuple[float, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of its series."""
        return _names(self.name, self.family.parts)

    @property
    def bars_before(self) -> int:
        """Return how many bars before one its value depends on, to the last digit that is shown."""
        return self.family.begins(*self.numbers) + self.family.remembers(*self.numbers)

    @property
    def since_midnight(self) -> bool:
        """Say whether its value depends on all bars of the day as well."""
        return self.family.name == "vwap" and not self.numbers

    def values(self, bars: Candles, past: int = 0) -> dict[str, Series]:
        """Return its series by name, NaN where there is too little past; the first ``past`` bars are only that."""
        adds_up = self.family.adds_up
        found = self.family.compute(from_bar(bars, past) if adds_up else bars, *self.numbers)
        series = found if isinstance(found, tuple) else (found,)
        shown = series if adds_up or not past else [values[past:] for values in series]
        return dict(zip(self.names, shown, strict=True))


class UnknownIndicator(ValueError):
    """A name that no indicator has, or that has wrong numbers; the message says which."""


@functools.lru_cache(maxsize=1_024)
def read_name(name: str) -> Indicator:
    """Read a name. UnknownIndicator."""
    match = _NAME.fullmatch(name)
    family = None if match is None else FAMILIES.get(match[1])
    if match is None or family is None:
        raise UnknownIndicator(f"no indicator {name[:40]!r}; there are {', '.join(sorted(FAMILIES))}")
    given = match[2].split("_")[1:]
    if given and len(given) not in _lengths(family):
        wanted = "_".join([family.name, *(parameter.name for parameter in family.parameters)])
        raise UnknownIndicator(f"{name[:40]} should read {wanted}, each a number")
    numbers = tuple(_read(parameter, text) for parameter, text in zip(family.parameters, given, strict=False))
    numbers = numbers or tuple(
        int(each.default) if each.whole else each.default for each in family.parameters if not math.isnan(each.default)
    )
    if wrong := family.check(*numbers):
        raise UnknownIndicator(f"{name[:40]}: {wrong}")
    return Indicator(name, family, numbers)


def panel(names: Sequence[str], bars: Candles, past: int = 0) -> dict[str, Series]:
    """Return the series of all indicators of one symbol, from the bar ``past`` on. UnknownIndicator."""
    found: dict[str, Series] = {}
    for name in names:
        found |= read_name(name).values(bars, past)
    return found


def panels(names: Sequence[str], many: Mapping[str, Candles]) -> dict[str, dict[str, Series]]:
    """Return the same for many symbols, in one call that a worker process can do."""
    return {symbol: panel(names, bars) for symbol, bars in many.items()}


@functools.lru_cache(maxsize=1_024)
def _names(name: str, parts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name + part for part in parts)


def _lengths(family: Family) -> set[int]:
    """Return how many numbers a name may have; one without a default may be left out."""
    return {len(family.parameters), sum(1 for each in family.parameters if not math.isnan(each.default))}


def _read(parameter: Parameter, text: str) -> float:
    number = float(text)
    if parameter.whole and "." in text:
        raise UnknownIndicator(f"{parameter.name} is a whole number, not {text}")
    if not parameter.low <= number <= parameter.high:
        raise UnknownIndicator(f"{parameter.name} is from {parameter.low:g} to {parameter.high:g}, not {text}")
    return int(number) if parameter.whole else number


# -- how far back an average looks ------------------------------------------------------------------------------------


def _fading(decay: float) -> int:
    return math.ceil(math.log(FADED) / math.log(decay))


def _ema_fades(length: int) -> int:
    return _fading(1.0 - 2.0 / (length + 1))


def _wilder_fades(length: int) -> int:
    return _fading(1.0 - 1.0 / length)


def _window(length: int, *_: float) -> int:
    return length - 1


LENGTH = "length"
_BANDS = (".upper", ".middle", ".lower")


def _length(default: float) -> Parameter:
    return Parameter(LENGTH, default)


FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family("sma", "simple moving average", (_length(20),), lambda b, n: indicators.sma(b.closes, n), _window),
        Family(
            "ema",
            "exponential moving average",
            (_length(20),),
            lambda bars, length: indicators.ema(bars.closes, length),
            _window,
            remembers=_ema_fades,
        ),
        Family("wma", "weighted moving average", (_length(20),), lambda b, n: indicators.wma(b.closes, n), _window),
        Family(
            "vwap",
            "volume-weighted average price, since midnight UTC or over a number of bars",
            (_length(math.nan),),
            indicators.vwap,
            lambda length=1: length - 1,
        ),
        Family(
            "rsi",
            "relative strength index (Wilder)",
            (_length(14),),
            lambda bars, length: indicators.rsi(bars.closes, length),
            lambda length: length,
            remembers=_wilder_fades,
        ),
        Family(
            "rsi_simple",
            "relative strength index of plain means (Cutler)",
            (_length(14),),
            lambda bars, length: indicators.rsi_simple(bars.closes, length),
            lambda length: length,
        ),
        Family(
            "macd",
            "moving average convergence/divergence",
            (Parameter("fast", 12), Parameter("slow", 26), Parameter("smoothing", 9)),
            lambda bars, fast, slow, smoothing: indicators.macd(bars.closes, fast, slow, smoothing),
            lambda fast, slow, smoothing: slow + smoothing - 2,
            ("", ".signal", ".histogram"),
            lambda fast, slow, smoothing: _ema_fades(slow) + _ema_fades(smoothing),
            lambda fast, slow, smoothing: "" if fast < slow else "fast must be below slow",
        ),
        Family(
            "roc",
            "rate of change, per cent",
            (_length(10),),
            lambda bars, length: indicators.roc(bars.closes, length),
            lambda length: length,
        ),
        Family(
            "stoch",
            "slow stochastic",
            (_length(14), Parameter("smoothing", 3, 1), Parameter("averaged", 3, 1)),
            indicators.stochastic,
            lambda length, smoothing, averaged: length + smoothing + averaged - 3,
            (".k", ".d"),
        ),
        Family("cci", "commodity channel index", (_length(20),), indicators.cci, _window),
        Family(
            "adx",
            "average directional index, with its two directions",
            (_length(14),),
            indicators.adx,
            lambda length: 2 * length - 1,
            ("", ".plus_di", ".minus_di"),
            lambda length: 2 * _wilder_fades(length),
        ),
        Family(
            "bbands",
            "Bollinger bands",
            (_length(20), Parameter("deviations", 2.0, 0.1, 10.0, whole=False)),
            lambda bars, length, deviations: indicators.bollinger(bars.closes, length, deviations),
            _window,
            _BANDS,
        ),
        Family(
            "atr",
            "average true range (Wilder)",
            (_length(14),),
            indicators.atr,
            lambda length: length,
            remembers=_wilder_fades,
        ),
        Family("donchian", "Donchian channel", (_length(20),), indicators.donchian, _window, _BANDS),
        Family(
            "keltner",
            "Keltner channel",
            (_length(20), Parameter("ranges", 2.0, 0.1, 10.0, whole=False), Parameter("range_length", 10)),
            indicators.keltner,
            lambda length, ranges, range_length: max(length - 1, range_length),
            _BANDS,
            lambda length, ranges, range_length: max(_ema_fades(length), _wilder_fades(range_length)),
        ),
        Family("obv", "on-balance volume, from the first bar shown on", (), indicators.obv, lambda: 0, adds_up=True),
        Family("mfi", "money flow index", (_length(14),), indicators.mfi, lambda length: length),
        Family(
            "volume_ratio",
            "volume in units of its mean",
            (_length(20),),
            lambda bars, length: indicators.volume_ratio(bars.volumes, length),
            _window,
        ),
    )
}
