"""Was value at risk right? The present portfolio's, estimated anew for each past day, beside what that day brought.

    returns  … ├─── window ───┤ day        the window ends the day before: nothing is known that was not known then
                 value at risk ──> breached where the day's loss is greater

It is the one-day figure that is judged, whatever the horizon asked for: losses of overlapping days are no independent
cases.

    kupiec          Do breaches come as often as they should? Likelihood ratio of the proportion of failures,
                    chi-squared with one degree of freedom: Kupiec, Techniques for Verifying the Accuracy of Risk
                    Measurement Models, Journal of Derivatives 3 (1995), p. 73.
    independence    Does a breach make the next more likely? Likelihood ratio against a first-order Markov chain, the
                    same distribution: Christoffersen, Evaluating Interval Forecasts, International Economic Review 39
                    (1998), p. 841. Not known where no breach, or no day without one, has a day after it.
    coverage        Both together: the sum of the ratios, two degrees of freedom.

A model is refused at 5 %: ``too_many`` breaches, and it makes little of risk; ``too_few``, and it ties up capital.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from qsuite.domain.analytics.var import DECAY, VarMethod, VarQuestion, aligned_returns, least_returns, tail_left

Floats = npt.NDArray[np.float64]
LEAST_DAYS = 30
SIGNIFICANCE = 0.05
ROWS = 256
"""Days estimated at once: so many windows are in memory."""


class BacktestVerdict(StrEnum):
    """What the number of breaches says."""

    ACCEPTED = "accepted"
    TOO_MANY = "too_many"
    TOO_FEW = "too_few"


@dataclass(frozen=True, slots=True)
class LikelihoodRatio:
    """A test's statistic, and how likely one as large is where the model is right."""

    statistic: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Breach:
    """A day whose loss was greater than the value at risk, both in money."""

    ts_ns: int
    loss: float
    value_at_risk: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VarBacktest:
    """The answer; ``reason`` says why there is none. ``least`` to ``most`` breaches would be accepted."""

    reason: str | None = None
    days: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    expected: float | None = None
    breaches: tuple[Breach, ...] = ()
    kupiec: LikelihoodRatio | None = None
    independence: LikelihoodRatio | None = None
    coverage: LikelihoodRatio | None = None
    least: int | None = None
    most: int | None = None
    verdict: BacktestVerdict | None = None


def backtest(question: VarQuestion, days: int) -> VarBacktest:
    """Judge the newest ``days`` days, or as many as there are after the first window."""
    symbols = sorted(symbol for symbol, value in question.values.items() if value)
    if not symbols:
        return VarBacktest(reason="nothing is held")
    dates, returns = aligned_returns([question.closes.get(symbol, {}) for symbol in symbols], question.window + days)
    needed = least_returns(question.method, question.confidence)
    if question.window < needed:
        return VarBacktest(reason=f"{question.method.value} at {question.confidence:g} needs a window of {needed}")
    tested = len(returns) - question.window
    if tested < LEAST_DAYS:
        needed = question.window + LEAST_DAYS
        return VarBacktest(reason=f"{needed} daily returns on common days are needed, there are {len(returns)}")
    if not np.isfinite(returns).all():
        return VarBacktest(reason="a close is zero or negative")
    profits = returns @ np.array([question.values[symbol] for symbol in symbols])
    estimates = rolling_value_at_risk(profits, question)
    losses = -profits[question.window :]
    days_ns = dates[question.window + 1 :]
    return _judged(days_ns, losses, estimates, tail_left(question.confidence))


def rolling_value_at_risk(profits: Floats, question: VarQuestion) -> Floats:
    """Return the one-day value at risk of each day that has a window of profits before it, from that window alone."""
    windows = np.lib.stride_tricks.sliding_window_view(profits, question.window)[:-1]
    found = np.empty(len(windows))
    for begin in range(0, len(windows), ROWS):
        found[begin : begin + ROWS] = _estimates(windows[begin : begin + ROWS], question)
    return found


def kupiec(days: int, breaches: int, tail: float) -> LikelihoodRatio:
    """Return Kupiec's test of so many breaches in so many days, where one in ``1 / tail`` days should have one."""
    rate = breaches / days
    statistic = 2.0 * (_likelihood(days - breaches, breaches, rate) - _likelihood(days - breaches, breaches, tail))
    return _of_one_degree(statistic)


def accepted_breaches(days: int, tail: float) -> tuple[int, int]:
    """Return the least and the most breaches that Kupiec's test does not refuse at 5 %."""
    most = least = round(days * tail)
    while least > 0 and kupiec(days, least - 1, tail).p_value >= SIGNIFICANCE:
        least -= 1
    while most < days and kupiec(days, most + 1, tail).p_value >= SIGNIFICANCE:
        most += 1
    return least, most


def independence(breached: npt.NDArray[np.bool_]) -> LikelihoodRatio | None:
    """Return Christoffersen's test of whether a breach follows a breach more or less often than a day without one."""
    before, after = breached[:-1], breached[1:]
    calm, hit = int((~before & ~after).sum()), int((~before & after).sum())
    calmed, again = int((before & ~after).sum()), int((before & after).sum())
    if not (calm + hit and calmed + again):
        return None
    rate = (hit + again) / (calm + hit + calmed + again)
    apart = _likelihood(calm, hit, hit / (calm + hit)) + _likelihood(calmed, again, again / (calmed + again))
    return _of_one_degree(2.0 * (apart - _likelihood(calm + calmed, hit + again, rate)))


def _judged(days_ns: list[int], losses: Floats, estimates: Floats, tail: float) -> VarBacktest:
    days, breached = len(losses), losses > estimates
    breaches = tuple(
        Breach(days_ns[place], float(losses[place]), float(estimates[place])) for place in np.flatnonzero(breached)
    )
    of_rate, of_order = kupiec(days, len(breaches), tail), independence(breached)
    least, most = accepted_breaches(days, tail)
    too = BacktestVerdict.TOO_MANY if len(breaches) > most else BacktestVerdict.TOO_FEW
    together = None if of_order is None else of_rate.statistic + of_order.statistic
    return VarBacktest(
        days=days,
        first_ns=days_ns[0],
        last_ns=days_ns[-1],
        expected=tail * days,
        breaches=breaches,
        kupiec=of_rate,
        independence=of_order,
        coverage=None if together is None else LikelihoodRatio(together, math.exp(-together / 2.0)),
        least=least,
        most=most,
        verdict=BacktestVerdict.ACCEPTED if least <= len(breaches) <= most else too,
    )


def _estimates(windows: Floats, question: VarQuestion) -> Floats:
    tail = tail_left(question.confidence)
    if question.method is VarMethod.HISTORICAL:
        found: Floats = -np.quantile(windows, tail, axis=1, method="linear")
        return found
    decay = DECAY if question.method is VarMethod.EWMA else 1.0
    weights = decay ** np.arange(question.window - 1, -1, -1, dtype=np.float64)
    # With the mean taken as zero, v' S v is the mean square of the portfolio's own profits.
    variances: Floats = np.square(windows) @ (weights / weights.sum())
    return NormalDist().inv_cdf(question.confidence) * np.sqrt(variances)


def _likelihood(without: int, breaches: int, rate: float) -> float:
    """Return the logarithm of ``(1 - rate)^without rate^breaches``; what never happens counts for nothing."""
    return (without * math.log1p(-rate) if without else 0.0) + (breaches * math.log(rate) if breaches else 0.0)


def _of_one_degree(statistic: float) -> LikelihoodRatio:
    """Return a statistic with its tail of the chi-squared distribution with one degree of freedom."""
    least = max(0.0, statistic)  # rounding alone makes it negative
    return LikelihoodRatio(least, math.erfc(math.sqrt(least / 2.0)))
