"""How trading objects are shown: the same fields over REST, on the stream and in an error's facts."""

from decimal import Decimal
from functools import lru_cache
from typing import Any

from qsuite.domain.money import ZERO, show
from qsuite.domain.times import format_rfc3339
from qsuite.domain.trading.account import Account, Position
from qsuite.domain.trading.commands import TradingHalt
from qsuite.domain.trading.order import Execution, Order, StopLoss
from qsuite.domain.trading.risk import RiskEvent
from qsuite.domain.trading.risk.money import SHORT_COLLATERAL
from qsuite.domain.trading.valuation import value_account

Shown = dict[str, Any]

_text = lru_cache(maxsize=65_536)(str)
"""Ids of accounts and users as text: the same come again and again."""


def show_order(order: Order) -> Shown:
    """Show an order."""
    average = order.avg_fill_price
    return {
        "id": str(order.id),
        "account": _text(order.account),
        "symbol": order.symbol,
        "side": order.side.value,
        "order_type": order.order_type.value,
        "quantity": show(order.quantity),
        "price": _optional(order.price),
        "stop_price": _optional(order.stop_price),
        "trail_percent": _optional(order.trail_percent),
        "trail_price": _optional(order.trail_price),
        "time_in_force": order.time_in_force.value,
        "client_order_id": order.client_order_id,
        "strategy": None if order.strategy is None else str(order.strategy),
        "reduce_only": order.reduce_only,
        "take_profit": None if order.take_profit is None else {"price": show(order.take_profit.price)},
        "stop_loss": None if order.stop_loss is None else _show_stop_loss(order.stop_loss),
        "parent": None if order.parent is None else str(order.parent),
        "oco": None if order.oco is None else str(order.oco),
        "triggered": order.triggered,
        "status": order.status.value,
        "filled_quantity": show(order.filled_quantity),
        "avg_fill_price": None if average is None else show(average),
        "commission": show(order.commission),
        "reject": order.reject,
        "expires_at": None if order.expires_at is None else format_rfc3339(order.expires_at),
        "created_by": _text(order.created_by),
        "created_at": format_rfc3339(order.created_at),
        "updated_at": format_rfc3339(order.updated_at),
        "version": order.version,
    }


def _show_stop_loss(loss: StopLoss) -> Shown:
    return {"stop_price": show(loss.stop_price), "price": _optional(loss.price)}


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


def show_account(account: Account, valued: list[tuple[Position, Decimal | None]], day: int) -> Shown:
    """Show an account with its positions' worth; a position without a market price counts at its cost.

    ``day`` is today, in days since the epoch: what was made today counts from where the account began it.
    """
    worth = value_account(account, valued)
    equity = worth.equity
    return {
        "id": str(account.id),
        "name": account.name,
        "currency": account.currency,
        "cash": show(account.cash),
        "reserved": show(account.reserved),
        "equity": show(equity),
        "buying_power": show(account.available - SHORT_COLLATERAL * worth.short_value),
        "long_value": show(worth.long_value),
        "short_value": show(worth.short_value),
        "realized_pnl": show(account.realized_pnl),
        "unrealized_pnl": show(worth.unrealized_pnl),
        "day_pnl": show(equity - account.day_open_equity if account.day == day else ZERO),
        "commission": show(account.commission),
        "is_active": account.is_active,
        "permissions": sorted(account.permissions),
        "members": [{"user": str(user), "access": access.value} for user, access in sorted(account.members.items())],
        "reset_at": format_rfc3339(account.reset_at) if account.reset_at else None,
        "created_at": format_rfc3339(account.created_at),
        "updated_at": format_rfc3339(account.updated_at),
    }


def show_halt(halt: TradingHalt) -> Shown:
    """Show a thrown kill switch."""
    return {
        "scope": halt.scope.value,
        "id": halt.target,
        "state": halt.mode.value,
        "reason": halt.reason,
        "user": None if halt.user is None else str(halt.user),
        "since": format_rfc3339(halt.since),
    }


def show_risk_event(event: RiskEvent) -> Shown:
    """Show a risk event."""
    return {
        "id": str(event.id),
        "ts": format_rfc3339(event.ts),
        "code": event.code,
        "severity": event.severity.value,
        "scope": event.scope.value,
        "target": event.target,
        "account": None if event.account is None else str(event.account),
        "order": None if event.order is None else str(event.order),
        "symbol": event.symbol,
        "detail": event.detail,
        "limit": _optional(event.limit),
        "value": _optional(event.value),
        "actor": None if event.actor is None else str(event.actor),
    }


def _optional(value: Decimal | None) -> str | None:
    return None if value is None else show(value)
