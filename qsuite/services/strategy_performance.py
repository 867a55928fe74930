"""How a strategy did: everything from its own orders and fills, nothing assumed.

Positions and profit come from what the engine keeps for the strategy as it trades, round trips from its fills.
``success_rate`` is the share of closed round trips that made money after commission; null before the first.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from qsuite.domain.market import Snapshot
from qsuite.domain.money import ZERO, show
from qsuite.domain.round_trips import Holding, tally
from qsuite.domain.strategies import Strategy
from qsuite.domain.times import format_rfc3339
from qsuite.domain.trading.order import OPEN, Status
from qsuite.repos.strategy_books import StrategyBooks
from qsuite.services.strategy_runs import LastRun

Shown = dict[str, Any]


class StrategyPerformance:
    """Describe what strategies did."""

    def __init__(self, *, books: StrategyBooks, market: Callable[[str], Snapshot]) -> None:
        self._books = books
        self._market = market

    async def show(self, strategy: Strategy, last_run: LastRun | None) -> Shown:
        """Show a strategy's orders, profit, round trips and exposure."""
        counts = await self._books.order_counts(strategy.id)
        told = tally(await self._books.fills(strategy.id))
        kept = await self._books.positions(strategy.id) or told.holdings
        positions = [self._position(symbol, kept[symbol]) for symbol in sorted(kept)]
        realized = sum((each.realized_pnl for each in kept.values()), ZERO)
        commission = sum((each.commission for each in kept.values()), ZERO)
        unrealized = sum((each["unrealized"] for each in positions), ZERO)
        values = [each["value"] for each in positions]
        gross = sum((abs(value) for value in values), ZERO)
        return {
            "strategy": str(strategy.id),
            "total_orders": counts.total(),
            "open_orders": sum(counts[status] for status in OPEN),
            "filled_orders": counts[Status.FILLED],
            "rejected_orders": counts[Status.REJECTED],
            "total_executions": told.fills,
            "total_volume": show(told.volume),
            "realized_pnl": show(realized),
            "unrealized_pnl": show(unrealized),
            "commission": show(commission),
            "net_pnl": show(realized + unrealized - commission),
            "round_trips": told.round_trips,
            "winning_round_trips": told.won,
            "success_rate": told.success_rate,
            "gross_exposure": show(gross),
            "net_exposure": show(sum(values, ZERO)),
            "risk_limit": show(strategy.risk_limit),
            "positions": [shown_position(each) for each in positions if each["quantity"]],
            "last_run": None if last_run is None else {"at": format_rfc3339(last_run.at), "error": last_run.error},
        }

    def _position(self, symbol: str, holding: Holding) -> dict[str, Any]:
        price = self._price(symbol, holding.quantity)
        value = holding.cost if price is None else holding.quantity * price
        return {
            "symbol": symbol,
            "quantity": holding.quantity,
            "cost": holding.cost,
            "price": price,
            "value": value,
            "unrealized": value - holding.cost,
            "realized": holding.realized_pnl,
            "commission": holding.commission,
        }

    def _price(self, symbol: str, quantity: Decimal) -> Decimal | None:
        """Return what closing a unit would bring or cost: the bid or the ask, else the last trade."""
        trade, quote = self._market(symbol)
        side = None if quote is None else quote.ask if quantity < ZERO else quote.bid
        return side or (None if trade is None else trade.price)


def shown_position(position: Mapping[str, Any]) -> Shown:
    """Show a strategy's position; without a market price it counts at its cost."""
    price = position["price"]
    return {
        "symbol": position["symbol"],
        "quantity": show(position["quantity"]),
        "avg_cost": show(position["cost"] / position["quantity"]),
        "market_price": None if price is None else show(price),
        "market_value": show(position["value"]),
        "realized_pnl": show(position["realized"]),
        "unrealized_pnl": show(position["unrealized"]),
        "commission": show(position["commission"]),
    }
