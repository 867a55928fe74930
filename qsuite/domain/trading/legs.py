"""Brackets: the legs that protect what an order filled, one cancelling the other.

    entry placed      its legs are HELD
    entry fills       they work for as much as it filled, and grow with each further fill
    one leg fills     the other shrinks by as much; with nothing left it is cancelled, as is what the entry has left,
                      whose later fills nobody would protect
    entry ends empty  they are cancelled

Legs only reduce: they never open a position of their own.
"""

from decimal import Decimal
from uuid import UUID

from qsuite.domain.money import ZERO
from qsuite.domain.trading.act import act
from qsuite.domain.trading.order import AT_ONCE, WORKING, Order, OrderType, Side, Status, TimeInForce
from qsuite.domain.trading.state import TradingState
from qsuite.domain.trading.steps import ENGINE, asked, close, keep_first_answer, shrink


def add_legs(state: TradingState, parent: Order, now: int) -> None:
    """Make the legs of a bracket, held until it fills."""
    takes, stops = parent.take_profit, parent.stop_loss
    take_id = state.new_id() if takes is not None else None
    stop_id = state.new_id() if stops is not None else None
    if take_id is not None and takes is not None:
        _hold(state, _leg(parent, take_id, stop_id, OrderType.LIMIT, now, price=takes.price), now)
    if stop_id is not None and stops is not None:
        kind = OrderType.STOP if stops.price is None else OrderType.STOP_LIMIT
        leg = _leg(parent, stop_id, take_id, kind, now, price=stops.price, stop_price=stops.stop_price)
        _hold(state, leg, now)


def grow_legs(state: TradingState, parent: Order, quantity: Decimal, now: int) -> None:
    """Let the legs of an order that filled work for as much more."""
    for leg in list(state.open.legs.get(parent.id, ())):
        if leg.status is Status.HELD:
            _release(state, leg, quantity, now)
        elif leg.status in WORKING:
            _grow(state, leg, quantity, now)


def end_legs(state: TradingState, parent: Order, now: int) -> None:
    """Cancel the legs of an order that ended without any fill."""
    if parent.filled_quantity > ZERO:
        return
    for leg in list(state.open.legs.get(parent.id, ())):
        keep_first_answer(leg)
        close(state, leg, Status.CANCELLED, "order.cancelled", now, ENGINE, reason="parent ended")


def end_entry(state: TradingState, leg: Order, now: int) -> None:
    """Cancel what a bracket's entry has left, because one of its legs filled."""
    parent = None if leg.parent is None else state.orders.get(leg.parent)
    if parent is not None and parent.status in WORKING:
        keep_first_answer(parent)
        close(state, parent, Status.CANCELLED, "order.cancelled", now, ENGINE, reason="leg filled")


def shrink_other_leg(state: TradingState, leg: Order, quantity: Decimal, now: int) -> None:
    """Take what one leg filled from the other."""
    other = None if leg.oco is None else state.orders.get(leg.oco)
    if other is not None:
        shrink(state, other, other.remaining - quantity, now, reason="oco")


def _grow(state: TradingState, leg: Order, quantity: Decimal, now: int) -> None:
    """Let a working leg work for as much more, behind the others at its price."""
    keep_first_answer(leg)
    state.venues.take_out(leg)
    leg.quantity += quantity
    leg.move(leg.status, now)
    state.record("order.replaced", leg, now, ENGINE, reason="parent filled", quantity=format(leg.quantity, "f"))
    _begin(state, leg, now)


def _leg(
    parent: Order,
    id_: UUID,
    other: UUID | None,
    kind: OrderType,
    now: int,
    *,
    price: Decimal | None,
    stop_price: Decimal | None = None,
) -> Order:
    at_once = parent.time_in_force in AT_ONCE
    return Order(
        id=id_,
        account=parent.account,
        symbol=parent.symbol,
        side=Side.SELL if parent.is_buy else Side.BUY,
        order_type=kind,
        quantity=parent.quantity,
        time_in_force=TimeInForce.GTC if at_once else parent.time_in_force,
        created_by=parent.created_by,
        created_at=now,
        updated_at=now,
        reduce_only=True,
        parent=parent.id,
        oco=other,
        strategy=parent.strategy,
        expires_at=None if at_once else parent.expires_at,
        price=price,
        stop_price=stop_price,
    )


def _hold(state: TradingState, leg: Order, now: int) -> None:
    leg.move(Status.HELD, now)
    state.record("order.held", leg, now, leg.created_by, **asked(leg))


def _release(state: TradingState, leg: Order, quantity: Decimal, now: int) -> None:
    keep_first_answer(leg)
    leg.quantity = quantity
    leg.sent_at = now
    leg.move(Status.PENDING, now)
    state.record("order.released", leg, now, ENGINE, quantity=format(quantity, "f"))
    _begin(state, leg, now)


def _begin(state: TradingState, leg: Order, now: int) -> None:
    if leg.waits:
        state.rest(leg)
    else:
        act(state, leg, now)
