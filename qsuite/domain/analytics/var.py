"""Value at risk: what a portfolio may lose within some days, at a confidence, judged by what its symbols did before.

Both figures are amounts of money, positive for a loss:

    value at risk        V with P(loss > V) = 1 - confidence
    expected shortfall   the mean loss of the cases beyond it

The portfolio is held as it is, so the profit of a day is ``sum of value x simple return``, short positions negative.
Days are those on which every symbol has a close; ``window`` is how many returns are looked at, the newest.

    historical   the quantile of the profits that today's positions would have made on each of those days; interpolated
                 linearly between order statistics (Hyndman and Fan 1996, type 7), the shortfall being the mean of the
                 ``floor((n - 1)(1 - c)) + 1`` worst. Jorion, Value at Risk, 3rd ed., chapter 10.
    parametric   ``z sqrt(v' S v)``, S the covariance matrix, all days alike, z the normal quantile; shortfall
                 ``phi(z) / (1 - c) sqrt(v' S v)``. Jorion, chapter 7. The mean return is taken as zero, as RiskMetrics
                 does: over a day its estimate is mostly noise.
    ewma         the same, days weighing ``0.94^age``: RiskMetrics Technical Document, 4th ed. 1996, section 5.2. The
                 weights are scaled to sum to one over the window.

All are scaled to ``horizon_days`` by its square root, which holds where days are independent and alike.

Where there is too little history there is no figure but a ``reason``: fewer than 30 returns; fewer than ``1 / (1 - c)``
of them for a historical quantile, which nothing would lie beyond; fewer than 74 for ewma, which forgets all but 1 % of
its weight by then (the same document, table 5.7).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LEAST_RETURNS = 30
LEAST_EWMA = 74
DECAY = 0.94


class VarMethod(StrEnum):
    """How it is estimated."""

    HISTORICAL = "historical"
    PARAMETRIC = "parametric"
    EWMA = "ewma"


@dataclass(frozen=True, slots=True, kw_only=True)
class VarQuestion:
    """What is held, in money by symbol, and each symbol's closes by instant (positive, adjusted for splits)."""

    values: Mapping[str, float]
    closes: Mapping[str, Mapping[int, float]]
    method: VarMethod
    confidence: float
    horizon_days: int
    window: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueAtRisk:
    """The answer. ``reason`` says why there are no figures, if there are none.

    ``observations`` returns were used, of closes from ``first_ns`` to ``last_ns``. ``by_symbol`` is each position's own
    figure; where these add up to more than the whole, the difference is what diversification saves.
    """

    value_at_risk: float | None = None
    expected_shortfall: float | None = None
    reason: str | None = None
    observations: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    by_symbol: Mapping[str, float] = field(default_factory=dict)


def value_at_risk(question: VarQuestion) -> ValueAtRisk:
    """Estimate what is asked for; of nothing held it is zero."""
    symbols = sorted(symbol for symbol, value in question.values.items() if value)
    if not symbols:
        return ValueAtRisk(value_at_risk=0.0, expected_shortfall=0.0)
    days, returns = aligned_returns([question.closes.get(symbol, {}) for symbol in symbols], question.window)
    first_ns, last_ns = (days[0], days[-1]) if days else (None, None)
    answer = ValueAtRisk(observations=len(returns), first_ns=first_ns, last_ns=last_ns)
    needed = least_returns(question.method, question.confidence)
    if len(returns) < needed:
        return replace(answer, reason=_too_few(question, symbols, len(returns), needed))
    if not np.isfinite(returns).all():
        return replace(answer, reason="a close is zero or negative")
    values = np.array([question.values[symbol] for symbol in symbols])
    scale = math.sqrt(question.horizon_days)
    estimate = _historical if question.method is VarMethod.HISTORICAL else _parametric
    loss, shortfall = estimate(values, returns, question)
    alone = {
        symbol: scale * estimate(values[place : place + 1], returns[:, place : place + 1], question)[0]
        for place, symbol in enumerate(symbols)
    }
    return replace(answer, value_at_risk=scale * loss, expected_shortfall=scale * shortfall, by_symbol=alone)


def least_returns(method: VarMethod, confidence: float) -> int:
    """Return how many returns there must be for a figure."""
    if method is VarMethod.HISTORICAL:
        return max(LEAST_RETURNS, math.ceil(round(1 / tail_left(confidence), 6)))
    return LEAST_EWMA if method is VarMethod.EWMA else LEAST_RETURNS


def aligned_returns(closes: list[Mapping[int, float]], window: int) -> tuple[list[int], Floats]:
    """Return the newest days that all series have, ascending, and their simple returns, one column a series.

    There is one return fewer than days, and at most ``window`` of them.
    """
    common = set(closes[0]).intersection(*closes[1:])
    days = sorted(common)[-(window + 1) :]
    prices = np.array([[series[day] for series in closes] for day in days], dtype=np.float64)
    if len(days) < 2:
        return days, np.empty((0, len(closes)))
    before, after = prices[:-1], prices[1:]
    good = (before > 0) & (after > 0)
    return days, np.where(good, after / np.where(good, before, 1.0) - 1.0, np.nan)


def tail_of(profits: Floats, confidence: float) -> tuple[float, float]:
    """Return value at risk and expected shortfall of profits that are equally likely, by their order statistics."""
    tail = tail_left(confidence)
    worst = int((len(profits) - 1) * tail) + 1
    shortfall = np.partition(profits, worst - 1)[:worst].mean()
    return -float(np.quantile(profits, tail, method="linear")), -float(shortfall)


def covariance(returns: Floats, decay: float = 1.0) -> Floats:
    """Return the second moments about zero; a day weighs ``decay`` times the day after it."""
    weights = decay ** np.arange(len(returns) - 1, -1, -1, dtype=np.float64)
    moments: Floats = (returns * (weights / weights.sum())[:, None]).T @ returns
    return moments


def _historical(values: Floats, returns: Floats, question: VarQuestion) -> tuple[float, float]:
    return tail_of(returns @ values, question.confidence)


def _parametric(values: Floats, returns: Floats, question: VarQuestion) -> tuple[float, float]:
    decay = DECAY if question.method is VarMethod.EWMA else 1.0
    deviation = math.sqrt(max(0.0, float(values @ covariance(returns, decay) @ values)))
    normal = NormalDist()
    quantile = normal.inv_cdf(question.confidence)
    return quantile * deviation, normal.pdf(quantile) / tail_left(question.confidence) * deviation


def tail_left(confidence: float) -> float:
    """Return what is left beyond a confidence: 0.05 of 0.95, and not 0.050000000000000044."""
    return round(1.0 - confidence, 12)


def _too_few(question: VarQuestion, symbols: list[str], found: int, needed: int) -> str:
    without = [symbol for symbol in symbols if len(question.closes.get(symbol, {})) < 2]
    if without:
        return f"no daily closes of {', '.join(without)}"
    what = f"{question.method.value} at {question.confidence:g}"
    return f"{what} needs {needed} daily returns on common days, there are {found}"
