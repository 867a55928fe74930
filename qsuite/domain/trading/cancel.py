"""End orders before they fill: cancel one, cancel all, expire."""

from qsuite.domain.trading.commands import CancelAll, CancelOrder, Outcome
from qsuite.domain.trading.order import Status
from qsuite.domain.trading.place import close, keep_first_answer
from qsuite.domain.trading.settle import ENGINE
from qsuite.domain.trading.state import TradingState


def cancel(state: TradingState, command: CancelOrder, now: int) -> Outcome:
    """Cancel an open order; cancelling again gives the same answer, any other terminal order is an error."""
    order = state.find(command.order)
    if order is None or order.account not in command.accounts:
        return Outcome(error="not_found", detail="no such order")
    if order.status is Status.CANCELLED:
        return Outcome(order=order.copy())
    if order.id not in state.orders:
        detail = f"the order is {order.status.value}"
        return Outcome(order=order.copy(), error="order.already_processed", detail=detail)
    keep_first_answer(order)
    cancelled = close(state, order, Status.CANCELLED, "order.cancelled", now, command.user, reason="requested")
    return Outcome(order=cancelled)


def cancel_all(state: TradingState, command: CancelAll, now: int) -> Outcome:
    """Cancel every open order of an account, or of one of its symbols."""
    cancelled = []
    for order in list(state.by_account.get(command.account, {}).values()):
        if command.symbol is None or order.symbol == command.symbol:
            keep_first_answer(order)
            cancelled.append(close(state, order, Status.CANCELLED, "order.cancelled", now, command.user, reason="all"))
    return Outcome(orders=tuple(cancelled))


def expire(state: TradingState, now: int) -> Outcome:
    """Expire the open orders whose time is up."""
    expired = []
    for order in state.due(now):
        keep_first_answer(order)
        expired.append(close(state, order, Status.EXPIRED, "order.expired", now, ENGINE))
    return Outcome(orders=tuple(expired))
