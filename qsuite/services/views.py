"""How trading objects are shown: the same fields over REST, on the stream and in an error's facts."""

from decimal import Decimal
from typing import Any

from qsuite.domain.money import ZERO, show
from qsuite.domain.times import format_rfc3339
from qsuite.domain.trading.account import Account, Position
from qsuite.domain.trading.commands import TradingHalt
from qsuite.domain.trading.order import Execution, Order

Shown = dict[str, Any]


def show_order(order: Order) -> Shown:
    """Show an order."""
    average = order.avg_fill_price
    return {
        "id": str(order.id),
        "account": str(order.account),
        "symbol": order.symbol,
        "side": order.side.value,
        "order_type": order.order_type.value,
        "quantity": show(order.quantity),
        "price": _optional(order.price),
        "time_in_force": order.time_in_force.value,
        "client_order_id": order.client_order_id,
        "strategy": None if order.strategy is None else str(order.strategy),
        "status": order.status.value,
        "filled_quantity": show(order.filled_quantity),
        "avg_fill_price": None if average is None else show(average),
        "commission": show(order.commission),
        "reject": order.reject,
        "expires_at": None if order.expires_at is None else format_rfc3339(order.expires_at),
        "created_by": str(order.created_by),
        "created_at": format_rfc3339(order.created_at),
        "updated_at": format_rfc3339(order.updated_at),
        "version": order.version,
    }


def show_execution(execution: Execution) -> Shown:
    """Show an execution."""
    return {
        "id": str(execution.id),
        "order": str(execution.order),
        "account": str(execution.account),
        "symbol": execution.symbol,
        "side": execution.side.value,
        "quantity": show(execution.quantity),
        "price": show(execution.price),
        "commission": show(execution.commission),
        "execution_time": format_rfc3339(execution.execution_time),
        "external_execution_id": execution.external_execution_id,
    }


def show_position(position: Position, market_price: Decimal | None) -> Shown:
    """Show a position valued at the market's price; the values are None while no price is known."""
    value = None if market_price is None else position.quantity * market_price
    return {
        "account": str(position.account),
        "symbol": position.symbol,
        "quantity": show(position.quantity),
        "avg_cost": _optional(position.avg_cost),
        "cost": show(position.cost),
        "market_price": _optional(market_price),
        "market_value": _optional(value),
        "realized_pnl": show(position.realized_pnl),
        "unrealized_pnl": None if value is None else show(value - position.cost),
        "updated_at": format_rfc3339(position.updated_at),
    }


def show_account(account: Account, valued: list[tuple[Position, Decimal | None]]) -> Shown:
    """Show an account with its positions' worth; a position without a market price counts at its cost."""
    long_value = ZERO
    cost = ZERO
    for position, price in valued:
        long_value += position.cost if price is None else position.quantity * price
        cost += position.cost
    return {
        "id": str(account.id),
        "name": account.name,
        "currency": account.currency,
        "cash": show(account.cash),
        "reserved": show(account.reserved),
        "equity": show(account.cash + long_value),
        "buying_power": show(account.available),
        "long_value": show(long_value),
        "short_value": show(ZERO),
        "realized_pnl": show(account.realized_pnl),
        "unrealized_pnl": show(long_value - cost),
        "commission": show(account.commission),
        "is_active": account.is_active,
        "created_at": format_rfc3339(account.created_at),
        "updated_at": format_rfc3339(account.updated_at),
    }


def show_halt(halt: TradingHalt) -> Shown:
    """Show a thrown kill switch."""
    return {
        "scope": halt.scope.value,
        "id": halt.target,
        "state": "HALTED",
        "reason": halt.reason,
        "user": str(halt.user),
        "since": format_rfc3339(halt.since),
    }


def _optional(value: Decimal | None) -> str | None:
    return None if value is None else show(value)
