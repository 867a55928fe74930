"""Throw and lift kill switches."""

from qsuite.domain.trading.commands import Halt, Outcome, Resume, Scope, TradingHalt
from qsuite.domain.trading.order import Order, Status
from qsuite.domain.trading.state import TradingState
from qsuite.domain.trading.steps import close, keep_first_answer


def halt(state: TradingState, command: Halt, now: int) -> Outcome:
    """Stop a scope and cancel its open orders. Halting what is halted changes nothing."""
    key = (command.scope, command.target)
    if key in state.halts:
        return Outcome()
    thrown = TradingHalt(command.scope, command.target, command.reason, command.user, now)
    state.record_halt(key, thrown, now, command.user)
    cancelled = []
    for order in [order for order in state.orders.values() if _covers(thrown, order)]:
        keep_first_answer(order)
        cancelled.append(close(state, order, Status.CANCELLED, "order.cancelled", now, command.user, reason="halted"))
    return Outcome(orders=tuple(cancelled))


def resume(state: TradingState, command: Resume, now: int) -> Outcome:
    """Lift a halt, four eyes: not by the user who threw it."""
    key = (command.scope, command.target)
    thrown = state.halts.get(key)
    if thrown is None:
        return Outcome(error="not_found", detail="nothing is halted there")
    if thrown.user == command.user:
        return Outcome(error="forbidden", detail="another user than the one who threw it must lift it")
    state.record_halt(key, None, now, command.user)
    return Outcome()


def _covers(thrown: TradingHalt, order: Order) -> bool:
    if thrown.scope is Scope.GLOBAL:
        return True
    return thrown.target == (str(order.account) if thrown.scope is Scope.ACCOUNT else order.symbol)
