"""A sweep: one algorithm traded with many parameter sets over the same past, all accounts at once.

    sets ──swept_orders──> what each asks for ──swept_account──> fills ──figures──> one row a set ──> ranked, deflated

What a set comes to is what the event-driven run comes to with its parameters, to the cent: the same decisions at
closes, orders at opens, whole lots, commission, slippage and buying power, and the same functions for the figures.
That is so for market orders that fill at once. What a bar's inside decides (limits, stops, brackets, a part of the
volume), and slippage that is drawn, is for the event-driven run: ``check_terms`` refuses it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from qsuite.domain.analytics.series import Series
from qsuite.domain.backtests.figures import CurveFigures, Drawdown, curve_figures, drawdown_of, pace
from qsuite.domain.backtests.panel import Panel
from qsuite.domain.backtests.plan import sized
from qsuite.domain.backtests.swept_account import Fills, Market, Sizes, market_of, traded
from qsuite.domain.backtests.swept_orders import Asked, Orders
from qsuite.domain.backtests.terms import Terms, open_limits
from qsuite.domain.errors import Invalid

BLOCK = 500
CELLS = 4_000_000
"""At most so many sets, and so many orders (of the set with the most, for each), are traded at once: 150 MB."""

PLACES = 8

Told = Callable[[float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What one set came to; names and meanings as in ``figures``."""

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
    costs: float
    skewness: float | None
    kurtosis: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRun:
    """What is swept: an algorithm on a past, on terms."""

    algorithm: str
    panel: Panel
    terms: Terms


def check_terms(terms: Terms) -> None:
    """Refuse what only the event-driven run can do. Invalid names it."""
    low, high = terms.slippage_bps
    wrong: dict[str, list[str]] = {}
    if terms.participation is not None:
        wrong["participation"] = ["a sweep fills every order at once: run a backtest for a part of the volume"]
    if low != high:
        wrong["slippage_bps"] = ["a sweep slips every order alike: run a backtest for slippage that is drawn"]
    if replace(terms.limits, short_sale=False) != open_limits():
        wrong["limits"] = ["a sweep knows buying power only: run a backtest for other limits"]
    if any(ticker.fill for ticker in terms.tickers.values()):
        wrong["symbols"] = ["a ticker with fill rules of its own cannot be swept: run a backtest"]
    if wrong:
        raise Invalid("this cannot be swept", errors=wrong)


def sweep(run: SweepRun, sets: Sequence[Mapping[str, Any]], told: Told = lambda part: None) -> list[Swept]:
    """Return what each set comes to, in their order; ``told`` hears how much is done, often, and may end it."""
    found: list[Swept] = []
    market, bars = market_of(run.panel, run.terms), pace(run.panel.ends_ns, run.panel.interval)
    for orders, block in _blocks(run, sets, lambda: told(len(found) / len(sets))):
        heard = partial(_tell, told, len(found), len(block), len(sets))
        fills = traded(market, orders, _sizes(run, block), heard)
        found.extend(_figures(run, fills, number, curve, bars) for number, curve in enumerate(_curves(market, fills)))
    told(1.0)
    return found


def _tell(told: Told, before: int, now: int, of_all: int, part: float) -> None:
    told((before + part * now) / of_all)


def equity_of(run: SweepRun, parameters: Mapping[str, Any]) -> Series:
    """Return one set's equity at the closes."""
    ((orders, block),) = _blocks(run, [parameters], lambda: None)
    market = market_of(run.panel, run.terms)
    return next(_curves(market, traded(market, orders, _sizes(run, block))))


def _blocks(
    run: SweepRun, sets: Sequence[Mapping[str, Any]], ask: Callable[[], None]
) -> Iterator[tuple[list[Orders], list[Mapping[str, Any]]]]:
    """Yield what so many sets ask for as are traded at once, and the sets. ``ask`` may end it."""
    check_terms(run.terms)
    asked = Asked(run.algorithm, run.panel)
    block: list[Mapping[str, Any]] = []
    orders: list[Orders] = []
    most = 0
    for each in sets:
        ask()
        own = asked.by(each)
        most = max(most, len(own.periods))
        if block and (len(block) == BLOCK or most * (len(block) + 1) > CELLS):
            yield orders, block
            block, orders, most = [], [], len(own.periods)
            asked.forget()
        block.append(each)
        orders.append(own)
    if block:
        yield orders, block


def _sizes(run: SweepRun, sets: Sequence[Mapping[str, Any]]) -> Sizes:
    given = [sized(each, run.panel.symbols) for each in sets]

    def column(name: str) -> Series:
        return np.array([float(each.get(name, 0)) for each in given])

    quantity, money, fraction = column("quantity"), column("order_value"), column("equity_fraction")
    shorts = np.array([bool(each.get("allow_short", False)) for each in given])
    return Sizes(quantity, money, fraction, shorts)


def _curves(market: Market, fills: Fills) -> Iterator[Series]:
    """Yield each set's equity at the closes."""
    panel = market.panel
    for number in range(fills.lots.shape[1]):
        steps = np.flatnonzero(fills.lots[:, number])
        periods = fills.periods[steps, number]
        cash = np.concatenate(([float(market.terms.cash)], fills.cash[steps, number]))
        lasts = np.diff(np.concatenate(([0], periods, [len(panel.starts_ns)])))
        equity = np.repeat(cash, lasts)
        lots, columns = fills.lots[steps, number], fills.columns[steps, number]
        for column in range(len(panel.symbols)):
            own = columns == column
            held = np.concatenate(([0.0], np.cumsum(lots[own]))) * market.lots[column]
            if len(held) > 1:
                lasts = np.diff(np.concatenate(([0], periods[own], [len(panel.starts_ns)])))
                equity += np.repeat(held, lasts) * panel.closes[:, column]
        # Two equal worths are equal doubles then, as where they come from decimals: a peak may be met again.
        yield np.round(equity, PLACES)


def _figures(run: SweepRun, fills: Fills, number: int, equity: Series, per_year: float) -> Swept:
    curve = curve_figures(equity, per_year)
    drawdown = drawdown_of(run.panel.ends_ns, equity)
    sums, mean = fills.tallies, float(np.mean(equity))
    trips, lost = int(sums.trips[number]), float(sums.lost[number])
    return Swept(
        **_of_curve(curve, drawdown),
        win_rate=float(sums.wins[number] / trips) if trips else None,
        profit_factor=float(sums.gained[number]) / lost if lost else None,
        total_trades=trips,
        exposure=float(sums.bars_held[number] / len(equity)),
        turnover=float(sums.value[number]) / mean if mean > 0.0 else None,
        costs=float(sums.commission[number] + sums.slippage[number]),
    )


def _of_curve(curve: CurveFigures, drawdown: Drawdown | None) -> dict[str, float | None]:
    return curve._asdict() | {
        "max_drawdown": drawdown.depth if drawdown else None,
        "max_drawdown_days": drawdown.days if drawdown else None,
        "longest_drawdown_days": drawdown.longest_days if drawdown else None,
    }
