"""Signals: what a series of closed bars advises at each of its bars, how surely, and from which figures.

    bars ──indicators──> figures ──rules──> score, in hundredths from -100 to 100 ──> BUY, SELL or HOLD

Scores are whole hundredths, because 0.2 + 0.1 > 0.3 in floats, and that must not buy anything. For the same reason a
figure is above another only where it is so by more than rounding; two prices are compared as they are. Invariant: the
advice at a bar follows from that bar and those before it; bars that are not closed yet are not given here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from qsuite.domain.analytics.indicators import highest, lowest, macd, rsi, sma
from qsuite.domain.analytics.series import Flags, Series, as_series
from qsuite.domain.market import Bar

Scores = npt.NDArray[np.int64]

WHOLE = 100
THRESHOLD = 30
"""A score beyond this, either way, advises to trade."""
ACTIONABLE = Decimal("0.7")
"""An order follows from a confidence above this, never at it."""
ROUNDING = 1e-12
"""Two figures that differ by less, relative to their size, are equal: what differs is how they were added up.

For a moving mean it is the size of the greatest value so far: a sum that moves on keeps the rounding of whatever was in
it. Relative to the present one it could be any part, after a fall by thousands; and a coarser measure would not do
either: at 100,000.00 the means of 20 and 50 bars truly differ by as little as one part in 10^9.
"""
RSI_LENGTH, RSI_LOW, RSI_HIGH = 14, 30.0, 70.0
FAST, SLOW, VOLUMES = 20, 50, 20
NOT_GIVEN: Series = np.empty(0)


class Advice(StrEnum):
    """What to do."""

    BUY = "BUY"
    SELL = "SELL"
    HOLD = "HOLD"


@dataclass(frozen=True, slots=True, eq=False)
class BarSeries:
    """Closed bars of one symbol and interval as arrays, oldest first; without highs or lows they are the closes."""

    closes: Series
    volumes: Series
    highs: Series = field(default_factory=lambda: NOT_GIVEN)
    lows: Series = field(default_factory=lambda: NOT_GIVEN)

    def __post_init__(self) -> None:
        """Fill in what was not given."""
        for name in ("highs", "lows"):
            if getattr(self, name) is NOT_GIVEN:
                object.__setattr__(self, name, self.closes)


def series_of(bars: Sequence[Bar]) -> BarSeries:
    """Return bars as arrays; statistics are no money, so floats will do."""
    numbers = as_series([numbers_of(bar) for bar in bars]).reshape(-1, 4)
    return BarSeries(*np.ascontiguousarray(numbers.T))


def numbers_of(bar: Bar) -> tuple[float, float, float, float]:
    """Return close, volume, high and low."""
    return float(bar.close), float(bar.volume), float(bar.high), float(bar.low)


class Scored(NamedTuple):
    """A score for each bar, and the figures it was made of; of no meaning before the algorithm's first bar."""

    scores: Scores
    features: Mapping[str, Series]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The advice at one bar; ``confidence`` from 0 to 1 in exact hundredths."""

    advice: Advice
    confidence: Decimal
    features: Mapping[str, float]

    @property
    def actionable(self) -> bool:
        """Say whether an order may follow: never from a HOLD, however sure it is."""
        return self.advice is not Advice.HOLD and self.confidence > ACTIONABLE


def verdict_at(scored: Scored, place: int = -1) -> Verdict:
    """Return the advice at one bar, by default the newest."""
    score = int(scored.scores[place])
    sure = min(abs(score), WHOLE)
    advice = Advice.BUY if score > THRESHOLD else Advice.SELL if score < -THRESHOLD else Advice.HOLD
    hundredths = WHOLE - sure if advice is Advice.HOLD else sure
    features = {name: float(values[place]) for name, values in scored.features.items()}
    return Verdict(advice, Decimal(hundredths) / WHOLE, features | {"score": score / WHOLE})


def technical_indicators_v1(bars: BarSeries, parameters: Mapping[str, Any]) -> Scored:
    """Score by oversold and overbought, trend, momentum and volume; needs 50 bars.

    RSI(14) < 30: +0.3, > 70: -0.3. Price > SMA20 > SMA50: +0.2, the mirror: -0.2. MACD above its signal: +0.1, else
    -0.1. Volume over 1.5 times its 20-bar mean: all of it times 1.2.
    """
    closes, volumes = bars.closes, bars.volumes
    strength = rsi(closes, RSI_LENGTH)
    fast, slow = sma(closes, FAST), sma(closes, SLOW)
    momentum = macd(closes)
    usual = sma(volumes, VOLUMES)
    size = greatest(closes)
    tenths = 3 * _side(above(RSI_LOW, strength), above(strength, RSI_HIGH))
    up = above(closes, fast, size) & above(fast, slow, size)
    down = above(fast, closes, size) & above(slow, fast, size)
    tenths = tenths + 2 * _side(up, down)
    rising = momentum.histogram > ROUNDING * np.abs(closes)
    tenths = tenths + np.where(rising, 1, -1)
    scores = tenths * np.where(above(volumes, 1.5 * usual, greatest(volumes)), 12, 10)
    features = {
        "close": closes,
        "rsi_14": strength,
        "sma_20": fast,
        "sma_50": slow,
        "macd_12_26_9": momentum.line,
        "macd_12_26_9.signal": momentum.signal,
        "macd_12_26_9.histogram": momentum.histogram,
        "volume": volumes,
        "volume_sma_20": usual,
    }
    return Scored(scores, features)


def sma_cross(bars: BarSeries, parameters: Mapping[str, Any]) -> Scored:
    """Buy at the bar where the ``fast`` average passes above the ``slow`` one, sell where it passes below."""
    closes, size = bars.closes, greatest(bars.closes)
    fast, slow = sma(closes, parameters["fast"]), sma(closes, parameters["slow"])
    # From above it falls through the middle too: a bar on which both are equal belongs to neither side.
    up, down = _began(above(fast, slow, size), slow), _began(above(slow, fast, size), slow)
    features = {"close": closes, f"sma_{parameters['fast']}": fast, f"sma_{parameters['slow']}": slow}
    return Scored(WHOLE * _side(up, down), features)


def mean_reversion(bars: BarSeries, parameters: Mapping[str, Any]) -> Scored:
    """Buy where the close is more than ``band_percent`` below its mean of ``length`` bars, sell where so far above."""
    closes, size = bars.closes, greatest(bars.closes)
    mean = sma(closes, parameters["length"])
    width = mean * (parameters["band_percent"] / 100.0)
    lower, upper = mean - width, mean + width
    features = {"close": closes, f"sma_{parameters['length']}": mean, "lower": lower, "upper": upper}
    return Scored(WHOLE * _side(above(lower, closes, size), above(closes, upper, size)), features)


def rsi_reversal(bars: BarSeries, parameters: Mapping[str, Any]) -> Scored:
    """Buy at the bar where RSI(``length``) comes back above ``low``, sell where it comes back below ``high``."""
    strength = rsi(bars.closes, parameters["length"])
    up = _began(above(strength, parameters["low"]), strength)
    down = _began(above(parameters["high"], strength), strength)
    return Scored(WHOLE * _side(up, down), {"close": bars.closes, f"rsi_{parameters['length']}": strength})


def breakout(bars: BarSeries, parameters: Mapping[str, Any]) -> Scored:
    """Buy where the close is above every high of the ``length`` bars before, sell where below every low of them.

    Donchian's rule. A bar is never among those it is compared with.
    """
    length = parameters["length"]
    top, bottom = _shifted(highest(bars.highs, length)), _shifted(lowest(bars.lows, length))
    features = {"close": bars.closes, f"highest_{length}": top, f"lowest_{length}": bottom}
    return Scored(WHOLE * _side(bars.closes > top, bars.closes < bottom), features)


def above(one: "Series | float", other: "Series | float", size: Series | None = None) -> Flags:
    """Say where one figure is above the other by more than rounding. Nowhere where either is not known.

    ``size`` is what rounding is relative to, by default the greater of the two.
    """
    if size is None:
        size = np.maximum(np.abs(one), np.abs(other))
    found: Flags = np.asarray(one - other > ROUNDING * size)
    return found


def greatest(values: Series) -> Series:
    """Return the greatest magnitude so far, at each bar."""
    return np.maximum.accumulate(np.abs(values))


def _side(up: Flags, down: Flags) -> Scores:
    sides: Scores = up.astype(np.int64) - down.astype(np.int64)
    return sides


def _began(flags: Flags, known: Series) -> Flags:
    """Return where something holds that did not at the bar before, and could have been told there."""
    before = np.concatenate((np.ones(1, dtype=np.bool_), flags[:-1] | np.isnan(known[:-1])))
    return flags & ~before[: len(flags)]


def _shifted(values: Series) -> Series:
    """Return at each bar what was at the one before; the first has none."""
    return np.concatenate((np.full(1, np.nan), values))[: len(values)]
