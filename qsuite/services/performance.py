"""How trading went, as a user asks for it: of their accounts, of a symbol, of a strategy, of a time."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

from qsuite.domain.errors import Invalid, NotFound
from qsuite.domain.money import ZERO, show
from qsuite.domain.performance import Period
from qsuite.domain.roles import Caller
from qsuite.domain.trading.account import Position
from qsuite.domain.trading.order import Status
from qsuite.repos.performance import PerformanceRepo
from qsuite.repos.positions import PositionsRepo

SLIPPAGE_DIGITS = 4


class PerformanceService:
    """Answer for performance. ``price_of`` is what a unit of a position would bring or cost now, None if unknown."""

    def __init__(
        self, *, figures: PerformanceRepo, positions: PositionsRepo, price_of: Callable[[Position], Decimal | None]
    ) -> None:
        self._figures = figures
        self._positions = positions
        self._price_of = price_of

    async def metrics(
        self,
        caller: Caller,
        *,
        account: UUID | None = None,
        symbol: str | None = None,
        strategy: UUID | None = None,
        from_ns: int | None = None,
        to_ns: int | None = None,
    ) -> dict[str, Any]:
        """Return the figures as they are shown: of all accounts the caller may see, or of one. NotFound, Invalid."""
        if from_ns is not None and to_ns is not None and from_ns >= to_ns:
            raise Invalid("the query string has errors", errors={"to": ["must be after from"]})
        accounts = _visible(caller, account)
        period = Period(accounts=accounts, symbol=symbol, strategy=strategy, from_ns=from_ns, to_ns=to_ns)
        orders, fills, trips, unrealized = await asyncio.gather(
            self._figures.orders(period),
            self._figures.fills(period),
            self._figures.trips(period),
            self._unrealized(period),
        )
        slippage = fills.avg_slippage_bps
        return {
            "total_orders": sum(orders.by_status.values()),
            "by_status": {status.value: orders.by_status.get(status.value, 0) for status in Status},
            "fill_rate": orders.fill_rate,
            "avg_execution_ms": orders.avg_execution_ms,
            "executions": fills.count,
            "total_volume": show(fills.volume),
            "total_value": show(fills.value),
            "commission": show(fills.commission),
            "realized_pnl": show(fills.realized_pnl),
            "unrealized_pnl": None if unrealized is None else show(unrealized),
            "avg_slippage_bps": None if slippage is None else round(slippage, SLIPPAGE_DIGITS),
            "round_trips": trips.closed,
            "winning": trips.winning,
            "losing": trips.losing,
            "success_rate": trips.success_rate,
        }

    async def _unrealized(self, period: Period) -> Decimal | None:
        """Return what open positions stand to make now; None of one strategy, since accounts hold them, not it."""
        if period.strategy is not None:
            return None
        total = ZERO
        for position in await self._positions.of(period.accounts):
            if position.quantity and period.symbol in (None, position.symbol):
                price = self._price_of(position)
                if price is None:
                    return None
                total += position.quantity * price - position.cost
        return total


def _visible(caller: Caller, account: UUID | None) -> tuple[UUID, ...] | None:
    if account is None:
        return None if caller.reads_all else caller.accounts
    if not caller.sees(account):
        raise NotFound("no such account")
    return (account,)
