"""Place, check and release orders: review, then send to the market."""

from uuid import UUID

from qsuite.domain.reports.quality import arrival_price
from qsuite.domain.trading.act import act, begin_trailing
from qsuite.domain.trading.commands import CheckOrder, Outcome, PlaceOrder, ReleaseOrder
from qsuite.domain.trading.legs import add_legs
from qsuite.domain.trading.order import Order, Status, TimeInForce, as_of_now, first_answer
from qsuite.domain.trading.risk import Review, review, review_of
from qsuite.domain.trading.state import TradingState
from qsuite.domain.trading.steps import asked, keep_first_answer, refuse, shown


def place(state: TradingState, command: PlaceOrder, now: int) -> Outcome:
    """Place an order; the same request again gets the first answer, the same id with another content an error."""
    again = _repeated(state, command)
    if again is not None:
        return again
    order = new_order(state, command, now)
    subject = review_of(state, order, now)
    refusal = review(subject)
    if refusal is not None:
        answered = refuse(state, order, refusal, now, command.user)
    elif command.hold:
        order.move(Status.HELD, now)
        answered = state.record("order.held", order, now, command.user, **asked(order))
    else:
        answered = send(state, order, subject, now, command.user, "order.placed")
    if refusal is None and order.is_bracket and order.status is not Status.CANCELLED:
        add_legs(state, order, now)
    return Outcome(order=as_of_now(answered))


def check(state: TradingState, command: CheckOrder, now: int) -> Outcome:
    """Say what an order would meet now. Nothing changes, and nothing counts against a rate."""
    again = _repeated(state, command.place)
    if again is not None:
        return again
    order = new_order(state, command.place, now)
    subject = review_of(state, order, now, dry=True)
    refusal = review(subject)
    facts = {"worst_price": subject.worst_price, "limits": subject.limits}
    if refusal is not None:
        return Outcome(refusal=shown(refusal), facts=facts)
    return Outcome(facts=facts | {"reservation": subject.reservation})


def release(state: TradingState, command: ReleaseOrder, now: int) -> Outcome:
    """Send a held order to the market, reviewed again with what is true now."""
    order = state.find(command.order)
    if order is None or order.account not in command.accounts:
        return Outcome(error="not_found", detail="no such order")
    if order.status is not Status.HELD:
        detail = f"the order is {order.status.value}"
        return Outcome(order=order.copy(), error="order.already_processed", detail=detail)
    if order.parent is not None:
        return Outcome(order=order.copy(), error="order.leg", detail="a leg is released by the fills of its parent")
    keep_first_answer(order)
    begin_trailing(state, order)
    with state.without(order):
        subject = review_of(state, order, now)
        refusal = review(subject)
    if refusal is not None:
        return Outcome(order=refuse(state, order, refusal, now, command.user))
    return Outcome(order=as_of_now(send(state, order, subject, now, command.user, "order.released")))


def new_order(state: TradingState, command: PlaceOrder, now: int) -> Order:
    """Make the order a command asks for, not yet decided."""
    account = state.accounts.get(command.account)
    order = Order(
        id=command.id,
        # The very object that memory is keyed by: comparing two UUIDs is a call in Python, at every look.
        account=command.account if account is None else account.id,
        symbol=command.symbol,
        side=command.side,
        order_type=command.order_type,
        quantity=command.quantity,
        price=command.price,
        stop_price=command.stop_price,
        trail_percent=command.trail_percent,
        trail_price=command.trail_price,
        reduce_only=command.reduce_only,
        take_profit=command.take_profit,
        stop_loss=command.stop_loss,
        time_in_force=command.time_in_force,
        client_order_id=command.client_order_id,
        strategy=command.strategy,
        request_hash=command.request_hash,
        created_by=command.user,
        created_at=now,
        updated_at=now,
        expires_at=command.expires_at,
        arrival_price=arrival_price(state.market(command.symbol)),
    )
    if order.time_in_force is TimeInForce.DAY:
        end = state.day_end(order.symbol, now)
        order.expires_at = end if order.expires_at is None else min(end, order.expires_at)
    begin_trailing(state, order)
    return order


def send(state: TradingState, order: Order, subject: Review, now: int, actor: UUID | str, kind: str) -> Order:
    """Bring a reviewed order to the market: it waits, trades, rests, or ends at once. Return it as it is."""
    order.move(Status.PENDING, now)
    order.sent_at = now
    sent = state.record(kind, order, now, actor, **asked(order))
    state.reserve(order, subject.reservation)
    if order.waits:
        state.rest(order)
        return sent
    return act(state, order, now) or sent


def _repeated(state: TradingState, command: PlaceOrder) -> Outcome | None:
    """Return the answer to a request that came before under the same client id, None if it is new."""
    if command.client_order_id is None:
        return None
    known = state.find_by_client_id(command.account, command.client_order_id)
    if known is None:
        return None
    if known.request_hash == command.request_hash:
        return Outcome(order=first_answer(known))
    detail = f"client_order_id {command.client_order_id} was used for another order"
    return Outcome(order=known.copy(), error="order.duplicate_id", detail=detail)
