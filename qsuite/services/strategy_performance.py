"""How a strategy did: everything from its own orders, fills and positions, nothing assumed.

What it holds and earned is what the engine keeps for it as it trades; the rest is added up by the database.
``success_rate`` is the share of closed round trips that made money after commission; null before the first.
"""

import asyncio
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from qsuite.domain.money import ZERO, show
from qsuite.domain.performance import Period
from qsuite.domain.strategies import Strategy
from qsuite.domain.times import format_rfc3339
from qsuite.domain.trading.account import Position
from qsuite.domain.trading.order import OPEN, Status
from qsuite.repos.performance import PerformanceRepo
from qsuite.repos.strategy_books import StrategyBooks
from qsuite.services.strategy_runs import LastRun
from qsuite.services.views import Shown, show_position

POSITION_FIELDS = (
    "symbol", "quantity", "avg_cost", "market_price", "market_value", "realized_pnl", "unrealized_pnl",
)  # fmt: skip


class StrategyPerformance:
    """Describe what strategies did. ``price_of`` is what a unit of a position would bring or cost, None if unknown."""

    def __init__(
        self, *, figures: PerformanceRepo, books: StrategyBooks, price_of: Callable[[Position], Decimal | None]
    ) -> None:
        self._figures = figures
        self._books = books
        self._price_of = price_of

    async def show(self, strategy: Strategy, last_run: LastRun | None) -> Shown:
        """Show a strategy's orders, profit, round trips and exposure. A position without a price counts at its cost."""
        period = Period(strategy=strategy.id)
        orders, fills, trips, positions = await asyncio.gather(
            self._figures.orders(period),
            self._figures.fills(period),
            self._figures.trips(period),
            self._books.positions(strategy.id),
        )
        held = [position for position in positions.values() if position.quantity]
        values = {position.symbol: self._value(position) for position in held}
        realized = _sum(position.realized_pnl for position in positions.values())
        commission = _sum(position.commission for position in positions.values())
        unrealized = _sum(values[position.symbol] - position.cost for position in held)
        return {
            "strategy": str(strategy.id),
            "total_orders": sum(orders.by_status.values()),
            "open_orders": sum(orders.by_status.get(status.value, 0) for status in OPEN),
            "filled_orders": orders.by_status.get(Status.FILLED.value, 0),
            "rejected_orders": orders.by_status.get(Status.REJECTED.value, 0),
            "executions": fills.count,
            "total_volume": show(fills.volume),
            "total_value": show(fills.value),
            "realized_pnl": show(realized),
            "unrealized_pnl": show(unrealized),
            "commission": show(commission),
            "net_pnl": show(realized + unrealized - commission),
            "round_trips": trips.closed,
            "winning": trips.winning,
            "losing": trips.losing,
            "success_rate": trips.success_rate,
            "gross_exposure": show(_sum(abs(value) for value in values.values())),
            "net_exposure": show(_sum(values.values())),
            "risk_limit": show(strategy.risk_limit),
            "positions": [self._shown(position) for position in held],
            "last_run": None if last_run is None else {"at": format_rfc3339(last_run.at), "error": last_run.error},
        }

    def _value(self, position: Position) -> Decimal:
        price = self._price_of(position)
        return position.cost if price is None else position.quantity * price

    def _shown(self, position: Position) -> dict[str, Any]:
        shown = show_position(position, self._price_of(position))
        return {name: shown[name] for name in POSITION_FIELDS}


def _sum(values: Iterable[Decimal]) -> Decimal:
    return sum(values, ZERO)
