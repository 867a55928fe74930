"""Fill an order: one execution, its cash, its position and the order's own state, all in one step."""

from qsuite.domain.money import ZERO, share_of, show
from qsuite.domain.trading.account import settle
from qsuite.domain.trading.order import Execution, Order, Status
from qsuite.domain.trading.paper import Fill, commission_of
from qsuite.domain.trading.state import TradingState

ENGINE = "engine"


def fill_order(state: TradingState, order: Order, fill: Fill, now: int) -> Order:
    """Book a fill of a working order. Return the order as it is then."""
    account = state.accounts[order.account]
    position = state.position(order.account, order.symbol)
    commission = commission_of(fill.quantity, state.rules)
    remaining = order.remaining
    state.reduce_working(order, fill.quantity)
    signed = fill.quantity if order.is_buy else -fill.quantity
    settled = settle(account, position, signed, fill.price, commission, now)
    execution = Execution(
        id=state.new_id(),
        order=order.id,
        account=order.account,
        symbol=order.symbol,
        side=order.side,
        quantity=fill.quantity,
        price=fill.price,
        commission=commission,
        execution_time=now,
        external_execution_id=f"paper-{order.id}-{order.version}",
        basis=fill.basis,
        postings=settled.postings,
    )
    order.filled_quantity += fill.quantity
    order.filled_value += fill.quantity * fill.price
    order.commission += commission
    state.reserve(order, share_of(order.reserved, order.remaining, remaining))
    order.move(Status.PARTIAL if order.remaining else Status.FILLED, now)
    assert account.cash >= ZERO or not order.is_buy, "spent more cash than there was"
    state.record_fill(execution, account, position)
    facts = {"execution": str(execution.id), "quantity": show(fill.quantity), "price": show(fill.price)}
    return state.record("order.filled", order, now, ENGINE, commission=show(commission), **facts)
