"""Replace: change the quantity or prices of an open order, through the same controls as a new one.

An order keeps its place in the queue only if nothing but its quantity changes, downwards. A replace that is refused
leaves the order as it was. One to what has already filled, or below, ends the order there: FILLED.
"""

from decimal import Decimal

from qsuite.domain.money import ZERO, show
from qsuite.domain.trading.act import act
from qsuite.domain.trading.commands import Outcome, ReplaceOrder
from qsuite.domain.trading.order import WITH_LIMIT, WITH_STOP, WORKING, Order, OrderType, Status, as_of_now
from qsuite.domain.trading.risk import Review, review, review_of
from qsuite.domain.trading.state import Consequence, TradingState
from qsuite.domain.trading.steps import keep_first_answer, note_refusal, shown


def replace(state: TradingState, command: ReplaceOrder, now: int) -> Outcome:
    """Replace an open order."""
    order = state.find(command.order)
    if order is None or order.account not in command.accounts:
        return Outcome(error="not_found", detail="no such order")
    if order.id not in state.orders:
        detail = f"the order is {order.status.value}"
        return Outcome(order=order.copy(), error="order.already_processed", detail=detail)
    if command.version is not None and command.version != order.version:
        return Outcome(order=order.copy(), error="precondition_failed", detail=f"the order is at {order.version}")
    impossible = _impossible(order, command)
    if impossible is not None:
        return Outcome(order=order.copy(), error="order.not_replaceable", detail=impossible)
    wanted = order.copy()
    wanted.quantity = order.quantity if command.quantity is None else command.quantity
    wanted.price = order.price if command.price is None else command.price
    wanted.stop_price = order.stop_price if command.stop_price is None else command.stop_price
    if (wanted.quantity, wanted.price, wanted.stop_price) == (order.quantity, order.price, order.stop_price):
        return Outcome(order=order.copy())
    if wanted.quantity <= order.filled_quantity:
        return Outcome(order=_end_filled(state, order, command, now))
    with state.without(order):
        subject = review_of(state, wanted, now, replacing=order)
        refusal = review(subject)
    if refusal is not None:
        facts = shown(refusal)
        state.note("risk.replace_refused", str(order.id), now, command.user, str(order.account), **facts)
        note_refusal(state, order, refusal, now, command.user)
        return Outcome(order=order.copy(), refusal=facts)
    return Outcome(order=as_of_now(_change(state, order, wanted, subject, command, now)))


def _impossible(order: Order, command: ReplaceOrder) -> str | None:
    """Say why this cannot be asked of this order, None if it can."""
    if order.parent is not None and command.quantity is not None:
        return "the quantity of a leg is what its parent filled"
    if command.price is not None and order.order_type not in WITH_LIMIT:
        return f"a {order.order_type.value} order has no price"
    if command.stop_price is not None:
        if order.order_type not in WITH_STOP or order.order_type is OrderType.TRAILING_STOP:
            return f"the stop price of a {order.order_type.value} order is not set by hand"
        if order.triggered:
            return "the stop was triggered"
    return None


def _end_filled(state: TradingState, order: Order, command: ReplaceOrder, now: int) -> Order:
    keep_first_answer(order)
    order.quantity = order.filled_quantity
    state.reserve(order, ZERO)
    order.move(Status.FILLED, now)
    replaced = state.record("order.replaced", order, now, command.user, quantity=show(order.quantity))
    state.consequences.append(Consequence.of_end(order))
    return replaced


def _change(
    state: TradingState, order: Order, wanted: Order, subject: Review, command: ReplaceOrder, now: int
) -> Order:
    keep_first_answer(order)
    prices = (order.price, order.stop_price)
    keeps_place = prices == (wanted.price, wanted.stop_price) and wanted.quantity < order.quantity
    works = order.status in WORKING
    if works and not keeps_place:
        state.venues.take_out(order)
    order.quantity, order.price, order.stop_price = wanted.quantity, wanted.price, wanted.stop_price
    order.move(order.status, now)
    replaced = state.record("order.replaced", order, now, command.user, **_asked(order))
    if not works:
        return replaced
    state.reserve(order, subject.reservation)
    if keeps_place:
        state.venues.shrink(order)
        return replaced
    if order.waits:
        state.rest(order)
        return replaced
    return act(state, order, now) or replaced


def _asked(order: Order) -> dict[str, str]:
    prices: dict[str, Decimal | None] = {"price": order.price, "stop_price": order.stop_price}
    given = {name: show(price) for name, price in prices.items() if price is not None}
    return {"quantity": show(order.quantity)} | given
