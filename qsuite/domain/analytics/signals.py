"""Signals: what a series of closed bars advises at each of its bars, how surely, and from which figures.

    bars ──indicators──> figures ──rules──> score, in hundredths from -100 to 100 ──> BUY, SELL or HOLD

Scores are whole hundredths, because 0.2 + 0.1 > 0.3 in floats, and that must not buy anything. For the same reason a
figure is above another only where it is so by more than rounding. Invariant: the advice at a bar follows from that bar
and those before it; bars that are not closed yet are not given here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from qsuite.domain.analytics.indicators import macd, rsi, sma
from qsuite.domain.analytics.series import Flags, Series

Scores = npt.NDArray[np.int64]

WHOLE = 100
THRESHOLD = 30
"""A score beyond this, either way, advises to trade."""
ACTIONABLE = Decimal("0.7")
"""An order follows from a confidence above this, never at it."""
ROUNDING = 1e-12
"""Two figures that differ by less, relative to their size, are equal: what differs is how they were added up."""
RSI_LENGTH, RSI_LOW, RSI_HIGH = 14, 30.0, 70.0
FAST, SLOW, VOLUMES = 20, 50, 20


class Advice(StrEnum):
    """What to do."""

    BUY = "BUY"
    SELL = "SELL"
    HOLD = "HOLD"


class BarSeries(NamedTuple):
    """Closed bars of one symbol and interval as arrays, oldest first."""

    closes: Series
    volumes: Series


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
    closes, volumes = bars
    strength = rsi(closes, RSI_LENGTH)
    fast, slow = sma(closes, FAST), sma(closes, SLOW)
    momentum = macd(closes)
    usual = sma(volumes, VOLUMES)
    tenths = 3 * _side(above(RSI_LOW, strength), above(strength, RSI_HIGH))
    tenths = tenths + 2 * _side(above(closes, fast) & above(fast, slow), above(fast, closes) & above(slow, fast))
    rising = momentum.histogram > ROUNDING * np.abs(closes)
    tenths = tenths + np.where(rising, 1, -1)
    scores = tenths * np.where(above(volumes, 1.5 * usual), 12, 10)
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
    closes = bars.closes
    fast, slow = sma(closes, parameters["fast"]), sma(closes, parameters["slow"])
    is_above, is_below = above(fast, slow), above(slow, fast)
    # From above it falls through the middle too: a bar on which both are equal belongs to neither side.
    up = is_above & ~_before(is_above) & _known_before(slow)
    down = is_below & ~_before(is_below) & _known_before(slow)
    features = {"close": closes, f"sma_{parameters['fast']}": fast, f"sma_{parameters['slow']}": slow}
    return Scored(WHOLE * _side(up, down), features)


def above(one: "Series | float", other: "Series | float") -> Flags:
    """Say where one figure is above the other by more than rounding. Nowhere where either is not known."""
    size = np.maximum(np.abs(one), np.abs(other))
    found: Flags = np.asarray(one - other > ROUNDING * size)
    return found


def _side(up: Flags, down: Flags) -> Scores:
    sides: Scores = up.astype(np.int64) - down.astype(np.int64)
    return sides


def _before(flags: Flags) -> Flags:
    """Return each bar's predecessor; the first has none."""
    return np.concatenate((np.zeros(1, dtype=np.bool_), flags[:-1]))


def _known_before(values: Series) -> Flags:
    return _before(~np.isnan(values))
