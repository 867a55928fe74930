"""Place and release orders: review, then match, settle, or rest."""

from typing import Any
from uuid import UUID

from qsuite.domain.money import ZERO, show
from qsuite.domain.trading.commands import Outcome, PlaceOrder, ReleaseOrder
from qsuite.domain.trading.order import Order, Status, TimeInForce, first_answer
from qsuite.domain.trading.paper import match_now
from qsuite.domain.trading.risk import Refusal, Review, reservation, review
from qsuite.domain.trading.settle import fill_order
from qsuite.domain.trading.state import TradingState, asked


def place(state: TradingState, command: PlaceOrder, now: int) -> Outcome:
    """Place an order; the same request again gets the first answer, the same id with another content an error."""
    known = None
    if command.client_order_id is not None:
        known = state.find_by_client_id(command.account, command.client_order_id)
    if known is not None:
        if known.request_hash == command.request_hash:
            return Outcome(order=first_answer(known))
        detail = f"client_order_id {command.client_order_id} was used for another order"
        return Outcome(order=known.copy(), error="order.duplicate_id", detail=detail)
    order = new_order(state, command, now)
    subject = reviewed(state, order)
    refusal = review(subject)
    if refusal is not None:
        answered = refuse(state, order, refusal, now, command.user)
    elif command.hold:
        order.move(Status.HELD, now)
        answered = state.record("order.held", order, now, command.user, **asked(order))
    else:
        answered = send(state, order, subject, now, command.user, "order.placed")
    return Outcome(order=answered)


def release(state: TradingState, command: ReleaseOrder, now: int) -> Outcome:
    """Send a held order to the market, reviewed again with what is true now."""
    order = state.find(command.order)
    if order is None or order.account not in command.accounts:
        return Outcome(error="not_found", detail="no such order")
    if order.status is not Status.HELD:
        detail = f"the order is {order.status.value}"
        return Outcome(order=order.copy(), error="order.already_processed", detail=detail)
    keep_first_answer(order)
    subject = reviewed(state, order)
    refusal = review(subject)
    if refusal is not None:
        return Outcome(order=refuse(state, order, refusal, now, command.user))
    return Outcome(order=send(state, order, subject, now, command.user, "order.released"))


def new_order(state: TradingState, command: PlaceOrder, now: int) -> Order:
    """Make the order a command asks for, not yet decided."""
    return Order(
        id=command.id,
        account=command.account,
        symbol=command.symbol,
        side=command.side,
        order_type=command.order_type,
        quantity=command.quantity,
        price=command.price,
        time_in_force=command.time_in_force,
        client_order_id=command.client_order_id,
        strategy=command.strategy,
        request_hash=command.request_hash,
        created_by=command.user,
        created_at=now,
        updated_at=now,
        expires_at=state.day_end(now) if command.time_in_force is TimeInForce.DAY else None,
    )


def reviewed(state: TradingState, order: Order) -> Review:
    """Gather what the controls look at."""
    return Review(
        order=order,
        account=state.accounts.get(order.account),
        position=state.position_or_flat(order.account, order.symbol),
        ticker=state.ticker(order.symbol),
        market=state.market(order.symbol),
        halt=state.halt_for(order.account, order.symbol),
        limits=state.limits,
        rules=state.rules,
    )


def refuse(state: TradingState, order: Order, refusal: Refusal, now: int, actor: UUID) -> Order:
    """Store the order as REJECTED, with the control's code and figures."""
    order.reject = shown(refusal)
    was_open = order.version > 0
    order.move(Status.REJECTED, now)
    facts = order.reject if was_open else asked(order) | order.reject
    return state.record("order.rejected", order, now, actor, **facts)


def shown(refusal: Refusal) -> dict[str, Any]:
    """Write a refusal as the order keeps it."""
    figures = {"limit": refusal.limit, "value": refusal.value}
    given = {name: show(figure) for name, figure in figures.items() if figure is not None}
    return {"code": refusal.code, "detail": refusal.detail} | given


def send(state: TradingState, order: Order, subject: Review, now: int, actor: UUID, kind: str) -> Order:
    """Bring a reviewed order to the market: it trades now, rests, or, being IOC, is cancelled. Return it as it is."""
    assert subject.ticker is not None
    assert subject.worst_price is not None
    order.move(Status.PENDING, now)
    sent = state.record(kind, order, now, actor, **asked(order))
    state.reserve(order, reservation(order, subject.worst_price, state.rules))
    state.keep_working(order)
    fill = match_now(order, subject.market, subject.ticker, state.rules)
    if fill is not None:
        sent = fill_order(state, order, fill, now)
    if order.remaining and order.time_in_force is TimeInForce.IOC:
        sent = close(state, order, Status.CANCELLED, "order.cancelled", now, actor, reason="ioc")
    return sent


def close(
    state: TradingState, order: Order, status: Status, kind: str, now: int, actor: UUID | str, **facts: Any
) -> Order:
    """End an open order without a fill, giving back what it reserved. Return it as it is then."""
    if order.status is not Status.HELD:
        state.reduce_working(order, order.remaining)
        state.reserve(order, ZERO)
    order.move(status, now)
    return state.record(kind, order, now, actor, **facts)


def keep_first_answer(order: Order) -> None:
    """Before a later command changes an order for the first time, note what its placing was answered."""
    if order.original is None:
        order.original = {
            "status": order.status,
            "filled_quantity": order.filled_quantity,
            "filled_value": order.filled_value,
            "commission": order.commission,
            "reject": order.reject,
            "updated_at": order.updated_at,
            "version": order.version,
        }
