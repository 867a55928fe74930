"""Steps that many commands take with an order: refuse it, end it, remember what its placing was answered."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from qsuite.domain.money import ZERO, show
from qsuite.domain.trading.order import Order, Status
from qsuite.domain.trading.risk import Refusal, event_of_refusal
from qsuite.domain.trading.state import Consequence, TradingState

ENGINE = "engine"


def refuse(state: TradingState, order: Order, refusal: Refusal, now: int, actor: UUID | str) -> Order:
    """Store the order as REJECTED, with the control's code and figures."""
    order.reject = shown(refusal)
    was_open = order.version > 0
    if was_open:
        state.reserve(order, ZERO)
    order.move(Status.REJECTED, now)
    facts = order.reject if was_open else asked(order) | order.reject
    rejected = state.record("order.rejected", order, now, actor, **facts)
    note_refusal(state, order, refusal, now, actor)
    if was_open:
        state.consequences.append(Consequence.of_end(order))
    return rejected


def note_refusal(state: TradingState, order: Order, refusal: Refusal, now: int, actor: UUID | str) -> None:
    """Make a risk event of a risk control's no."""
    event = event_of_refusal(state, order, refusal, now, actor)
    if event is not None:
        state.record_event(event)


def shown(refusal: Refusal) -> dict[str, Any]:
    """Write a refusal as the order keeps it."""
    figures = {"limit": refusal.limit, "value": refusal.value}
    given = {name: show(figure) for name, figure in figures.items() if figure is not None}
    return {"code": refusal.code, "detail": refusal.detail} | given


def close(
    state: TradingState, order: Order, status: Status, kind: str, now: int, actor: UUID | str, **facts: Any
) -> Order:
    """End an open order without a fill, giving back what it reserved. Return it as it is then."""
    state.reserve(order, ZERO)
    order.move(status, now)
    closed = state.record(kind, order, now, actor, **facts)
    state.consequences.append(Consequence.of_end(order))
    return closed


def shrink(state: TradingState, order: Order, remaining: Decimal, now: int, reason: str) -> None:
    """Leave an open order this much to fill, in its place; with nothing left it is cancelled."""
    keep_first_answer(order)
    if remaining <= ZERO:
        close(state, order, Status.CANCELLED, "order.cancelled", now, ENGINE, reason=reason)
        return
    order.quantity = order.filled_quantity + remaining
    order.move(order.status, now)
    state.record("order.replaced", order, now, ENGINE, reason=reason, quantity=show(order.quantity))
    state.venues.shrink(order)


def keep_first_answer(order: Order) -> None:
    """Before a later command changes an order for the first time, note what its placing was answered."""
    if order.original is not None:
        return
    order.original = {
        "status": order.status,
        "triggered": order.triggered,
        "quantity": order.quantity,
        "filled_quantity": order.filled_quantity,
        "filled_value": order.filled_value,
        "commission": order.commission,
        "reject": order.reject,
        "updated_at": order.updated_at,
        "version": order.version,
    }
    for name in ("price", "stop_price"):
        if getattr(order, name) is not None:
            order.original[name] = getattr(order, name)


def asked(order: Order) -> dict[str, Any]:
    """Return what an order asks for, as audit facts."""
    facts: dict[str, Any] = {
        "symbol": order.symbol,
        "side": order.side.value,
        "order_type": order.order_type.value,
        "quantity": show(order.quantity),
        "price": None if order.price is None else show(order.price),
        "time_in_force": order.time_in_force.value,
        "client_order_id": order.client_order_id,
    }
    for name in ("stop_price", "trail_percent", "trail_price"):
        value = getattr(order, name)
        if value is not None:
            facts[name] = show(value)
    if order.parent is not None:
        facts["parent"] = str(order.parent)
    return facts
