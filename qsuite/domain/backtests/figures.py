"""The figures of a backtest: what its equity, its trades and its fills amount to.

    equity e[0..n]       at the closes of the bars, the first from before anything was traded
    returns r[1..n]      r[i] = e[i] / e[i-1] - 1
    P                    bars in a year (``pace``)

    total_return         e[n] / e[0] - 1
    cagr                 (e[n] / e[0]) ** (P / n) - 1
    volatility           s * sqrt(P); s the standard deviation of r, with n - 1 below
    sharpe_ratio         mean(r) / s * sqrt(P); the riskless rate is taken for zero                    (Sharpe 1994)
    sortino_ratio        mean(r) * P / (d * sqrt(P)); d the root of the mean of min(r, 0) ** 2         (Sortino 1994)
    calmar_ratio         cagr / abs(max_drawdown)                                                      (Young 1991)
    max_drawdown         the least of e[i] / max(e[0..i]) - 1: zero or below
    max_drawdown_days    days from that drawdown's peak until the peak was reached again, or to the end
    longest_drawdown_days    the same of the drawdown that lasted longest
    win_rate             closed round trips that made money after commission, of all closed
    profit_factor        what the winning ones made, by what the losing ones lost
    exposure             bars in which anything was held for any time, of all bars
    turnover             value of all fills, both sides, by the mean of e
    costs                commission, and what slippage took
    benchmark_return     of buying all symbols with equal shares at the first close, and holding
    skewness, kurtosis   third and fourth standardised moments of r (of the population; a normal has 0 and 3)

What nothing was measured of is None, never NaN or infinite: a ratio by nothing, a return of an account that was worth
nothing. Plain floats, since statistics are not money; ``costs`` are exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from qsuite.domain.analytics.series import Instants, Series
from qsuite.domain.backtests.trades import ClosedTrade, Trades
from qsuite.domain.intervals import parse_interval
from qsuite.domain.money import ZERO
from qsuite.domain.times import DAY_NS

TRADING_DAYS = 252.0
"""In a year of an exchange that closes on weekends and holidays."""
DAYS_WITH_SUNDAYS = 52.0 * 6.0
"""Currencies trade from Sunday evening to Friday evening: six dates of UTC each week."""
CALENDAR_DAYS = 365.0
_PER_YEAR = {"1w": 52.0, "1mo": 12.0}
_SATURDAY, _SUNDAY = 2, 3  # 1970-01-01 was a Thursday
FLAT = 1e-15
"""A standard deviation of returns below this is rounding: nothing varied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The figures of one run; see the module for each."""

    total_return: float | None
    cagr: float | None
    volatility: float | None
    sharpe_ratio: float | None
    sortino_ratio: float | None
    calmar_ratio: float | None
    max_drawdown: float | None
    max_drawdown_days: float | None
    longest_drawdown_days: float | None
    win_rate: float | None
    profit_factor: float | None
    total_trades: int
    exposure: float | None
    turnover: float | None
    costs: Decimal
    benchmark_return: float | None
    skewness: float | None
    kurtosis: float | None


class Traded(NamedTuple):
    """What a run's fills add up to: their value, their commission, and what slippage made them worse by."""

    value: Decimal = ZERO
    commission: Decimal = ZERO
    slippage: Decimal = ZERO


class CurveFigures(NamedTuple):
    """The figures of an equity curve alone."""

    total_return: float | None
    cagr: float | None
    volatility: float | None
    sharpe_ratio: float | None
    sortino_ratio: float | None
    calmar_ratio: float | None
    skewness: float | None
    kurtosis: float | None


class Drawdown(NamedTuple):
    """The deepest drawdown, how many days it lasted, and how many the longest did."""

    depth: float
    days: float
    longest_days: float


def figures(
    *,
    ends_ns: Instants,
    equity: Series,
    trades: Trades,
    traded: Traded,
    interval: str,
    benchmark: Series | None = None,
) -> Figures:
    """Return the figures of a run over bars that end at ``ends_ns``, oldest first.

    ``equity`` is at those ends, its first from before anything could trade; ``benchmark`` a curve of the same length.
    """
    assert len(ends_ns) == len(equity), "an equity for each bar"
    curve = curve_figures(equity, pace(ends_ns, interval))
    drawdown = drawdown_of(ends_ns, equity)
    wins, factor = winnings(trades.closed)
    mean = float(np.mean(equity)) if len(equity) else 0.0
    return Figures(
        total_return=curve.total_return,
        cagr=curve.cagr,
        volatility=curve.volatility,
        sharpe_ratio=curve.sharpe_ratio,
        sortino_ratio=curve.sortino_ratio,
        calmar_ratio=curve.calmar_ratio,
        max_drawdown=drawdown.depth if drawdown else None,
        max_drawdown_days=drawdown.days if drawdown else None,
        longest_drawdown_days=drawdown.longest_days if drawdown else None,
        win_rate=wins,
        profit_factor=factor,
        total_trades=len(trades.closed),
        exposure=exposure(ends_ns, trades),
        turnover=float(traded.value) / mean if mean > 0.0 else None,
        costs=(traded.commission + traded.slippage) or ZERO,
        benchmark_return=_total(benchmark) if benchmark is not None else None,
        skewness=curve.skewness,
        kurtosis=curve.kurtosis,
    )


def curve_figures(equity: Series, per_year: float) -> CurveFigures:
    """Return what the curve alone tells; of an account that was ever worth nothing, only its total return."""
    total = _total(equity)
    if len(equity) < 2 or not bool(np.all(equity > 0.0)):
        return CurveFigures(total, None, None, None, None, None, None, None)
    returns = equity[1:] / equity[:-1] - 1.0
    count = len(returns)
    cagr = float((equity[-1] / equity[0]) ** (per_year / count) - 1.0)
    depth = float(np.min(equity / np.maximum.accumulate(equity))) - 1.0
    calmar = cagr / -depth if depth < 0.0 else None
    mean = float(np.mean(returns))
    low = float(np.sqrt(np.mean(np.minimum(returns, 0.0) ** 2)))
    sortino = mean * per_year**0.5 / low if low > FLAT else None
    if count < 2:
        return CurveFigures(total, cagr, None, None, sortino, calmar, None, None)
    deviation = float(np.std(returns, ddof=1))
    varied = deviation > FLAT
    sharpe = mean / deviation * per_year**0.5 if varied else None
    skewness, kurtosis = _moments(returns) if varied else (None, None)
    return CurveFigures(total, cagr, deviation * per_year**0.5, sharpe, sortino, calmar, skewness, kurtosis)


def drawdown_of(ends_ns: Instants, equity: Series) -> Drawdown | None:
    """Return the deepest drawdown of a curve and the lengths in days, None of an empty one."""
    if not len(equity) or not equity[0] > 0.0:
        return None
    peaks = np.maximum.accumulate(equity)
    depths = equity / peaks - 1.0
    at_peak = np.flatnonzero(equity >= peaks)
    # From each peak to the next instant at one; the last lasts to the end.
    lasts = np.append(ends_ns[at_peak[1:]], ends_ns[-1]) - ends_ns[at_peak]
    # Neighbours without anything below a peak between them are no drawdown.
    lasts[np.append(np.diff(at_peak) == 1, at_peak[-1] == len(equity) - 1)] = 0
    deepest = int(np.argmin(depths))
    within = int(np.searchsorted(at_peak, deepest, side="right")) - 1
    return Drawdown(float(depths[deepest]), float(lasts[within] / DAY_NS), float(lasts.max() / DAY_NS))


def winnings(trades: Sequence[ClosedTrade]) -> tuple[float | None, float | None]:
    """Return the win rate and the profit factor of closed trades."""
    won = [trade.pnl for trade in trades if trade.pnl > ZERO]
    lost = -sum((trade.pnl for trade in trades if trade.pnl < ZERO), ZERO)
    rate = len(won) / len(trades) if trades else None
    return rate, float(sum(won, ZERO) / lost) if lost else None


def exposure(ends_ns: Instants, trades: Trades) -> float | None:
    """Return the share of bars in which a position was held for any time.

    A fill belongs to the bar that ends after it: one at a bar's open has the very instant at which the bar before ended
    where a market never closes.
    """
    if not len(ends_ns):
        return None
    begun = _bars_of(ends_ns, [each.entry_ts for each in trades.closed] + [each.entry_ts for each in trades.open])
    ended = _bars_of(ends_ns, [each.exit_ts for each in trades.closed])
    changes = np.zeros(len(ends_ns) + 2, dtype=np.int64)
    np.add.at(changes, begun, 1)
    np.add.at(changes, ended + 1, -1)
    return float(np.mean(np.cumsum(changes)[: len(ends_ns)] > 0))


def pace(ends_ns: Instants, interval: str) -> float:
    """Return how many bars make a year.

    Days of exchanges are 252 a year, of markets that trade on Saturdays 365, on Sundays only besides 312; shorter bars
    as many as there were on the mean date that had any.
    """
    name = parse_interval(interval).name
    if name in _PER_YEAR:
        return _PER_YEAR[name]
    # An end at midnight belongs to the date before.
    dates = np.unique((ends_ns - 1) // DAY_NS)
    weekdays = set((dates % 7).tolist())
    days = CALENDAR_DAYS if _SATURDAY in weekdays else DAYS_WITH_SUNDAYS if _SUNDAY in weekdays else TRADING_DAYS
    if name == "1d":
        # A day that is cut at another hour than midnight UTC has ends on Saturdays without trading on them.
        return CALENDAR_DAYS if {_SATURDAY, _SUNDAY} <= weekdays else TRADING_DAYS
    return days * len(ends_ns) / len(dates) if len(dates) else TRADING_DAYS


def buy_and_hold(closes: Sequence[Series]) -> Series:
    """Return the worth of equal shares in several symbols, bought at their first closes, as multiples of the start."""
    return np.asarray(np.mean([each / each[0] for each in closes], axis=0), dtype=np.float64)


def _total(equity: Series) -> float | None:
    return float(equity[-1] / equity[0] - 1.0) if len(equity) and equity[0] > 0.0 else None


def _moments(returns: Series) -> tuple[float, float]:
    """Return skewness and kurtosis; 0 and 3 for a normal distribution."""
    away = returns - np.mean(returns)
    squares, count = away * away, len(away)  # powers of arrays take ten times as long
    variance = float(np.sum(squares)) / count
    return float(squares @ away) / count / variance**1.5, float(squares @ squares) / count / variance**2


def _bars_of(ends_ns: Instants, fills_ns: Sequence[int]) -> Instants:
    found: Instants = np.searchsorted(ends_ns, np.array(fills_ns, dtype=np.int64), side="right")
    return found
