"""End orders before they fill: cancel one, cancel many, expire. Cancels pass no control but their own rate."""

from qsuite.domain.trading.act import act_delayed
from qsuite.domain.trading.commands import CancelAll, CancelOrder, Outcome
from qsuite.domain.trading.order import Status
from qsuite.domain.trading.risk import cancel_too_fast
from qsuite.domain.trading.state import TradingState
from qsuite.domain.trading.steps import ENGINE, close, keep_first_answer, shown


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
    too_fast = cancel_too_fast(state, order.account, now)
    if too_fast is not None:
        return Outcome(order=order.copy(), refusal=shown(too_fast))
    keep_first_answer(order)
    cancelled = close(state, order, Status.CANCELLED, "order.cancelled", now, command.user, reason="requested")
    return Outcome(order=cancelled)


def cancel_all(state: TradingState, command: CancelAll, now: int) -> Outcome:
    """Cancel the open orders of an account: all, those of a symbol, or those named."""
    cancelled = []
    for order in list(state.open.by_account.get(command.account, {}).values()):
        if command.symbol is not None and order.symbol != command.symbol:
            continue
        if command.orders is not None and order.id not in command.orders:
            continue
        keep_first_answer(order)
        cancelled.append(close(state, order, Status.CANCELLED, "order.cancelled", now, command.user, reason="all"))
    return Outcome(orders=tuple(cancelled))


def time_passed(state: TradingState, now: int) -> Outcome:
    """Expire the open orders whose time is up, and let those meet the market whose way to it is over."""
    done = []
    for order in state.open.expiring.by(now):
        keep_first_answer(order)
        done.append(close(state, order, Status.EXPIRED, "order.expired", now, ENGINE))
    return Outcome(orders=(*done, *act_delayed(state, now)))
