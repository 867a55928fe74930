"""Throw and lift kill switches, by scope: HALTED lets nothing through, REDUCING only what makes positions smaller.

People throw them, and the engine itself does (``watch``). What a person threw, another person must lift; what the
engine threw, any person may who is allowed to lift at all. A person's switch takes the place of the engine's, and a
stricter one that of a milder.
"""

from collections.abc import Iterable
from decimal import Decimal
from uuid import UUID

from qsuite.domain.trading.commands import Halt, Outcome, Resume, Scope, TradingHalt, TradingMode
from qsuite.domain.trading.order import Order, Status
from qsuite.domain.trading.risk import Severity, scope_event, target_problem
from qsuite.domain.trading.state import TradingState
from qsuite.domain.trading.steps import ENGINE, close, keep_first_answer


def halt(state: TradingState, command: Halt, now: int) -> Outcome:
    """Throw a person's switch: HALTED also cancels the scope's open orders. Throwing it again changes nothing."""
    problem = target_problem(command.scope, command.target)
    if problem is not None:
        return Outcome(error="validation", detail=problem, facts={"errors": {"id": problem}})
    known = state.halts.get((command.scope, command.target))
    if known is not None and known.user is not None and _covers_mode(known.mode, command.mode):
        return Outcome()
    thrown = TradingHalt(command.scope, command.target, command.reason, command.user, now, command.mode)
    return Outcome(orders=tuple(throw(state, thrown, now)))


def throw(
    state: TradingState, thrown: TradingHalt, now: int, *, limit: Decimal | None = None, value: Decimal | None = None
) -> list[Order]:
    """Let a switch hold, and return the orders it cancelled. ``limit`` and ``value`` are the figures that threw it."""
    key = (thrown.scope, thrown.target)
    actor: UUID | str = ENGINE if thrown.user is None else thrown.user
    state.record_halt(key, thrown, now, actor)
    code = "risk.halted" if thrown.mode is TradingMode.HALTED else "risk.reducing"
    state.record_event(scope_event(state, key, code, thrown.reason, now, actor=actor, limit=limit, value=value))
    if thrown.mode is not TradingMode.HALTED:
        return []
    cancelled = []
    for order in _open_orders(state, thrown):
        if order.id in state.orders:  # not ended by the end of one before it
            keep_first_answer(order)
            cancelled.append(close(state, order, Status.CANCELLED, "order.cancelled", now, actor, reason="halted"))
    return cancelled


def throw_ours(
    state: TradingState,
    key: tuple[Scope, str | None],
    mode: TradingMode,
    reason: str,
    now: int,
    *,
    limit: Decimal | None = None,
    value: Decimal | None = None,
) -> list[Order]:
    """Throw the engine's own switch, unless one as strict holds already. Return the orders it cancelled.

    Where it takes the place of a milder one that a person threw, that person still may not lift it.
    """
    known = state.halts.get(key)
    if known is not None and _covers_mode(known.mode, mode):
        return []
    thrower = None if known is None else known.user
    return throw(state, TradingHalt(*key, reason, thrower, now, mode), now, limit=limit, value=value)


def resume(state: TradingState, command: Resume, now: int) -> Outcome:
    """Lift a switch, four eyes: not by the user who threw it."""
    key = (command.scope, command.target)
    thrown = state.halts.get(key)
    if thrown is None:
        return Outcome(error="not_found", detail="nothing is halted there")
    if thrown.user == command.user:
        return Outcome(error="forbidden", detail="another user than the one who threw it must lift it")
    state.record_halt(key, None, now, command.user)
    if command.scope is Scope.STRATEGY and command.target is not None:
        state.rates.fills.forget(UUID(command.target))
    event = scope_event(state, key, "risk.resumed", thrown.reason, now, severity=Severity.INFO, actor=command.user)
    state.record_event(event)
    return Outcome()


def _covers_mode(known: TradingMode, wanted: TradingMode) -> bool:
    return known is wanted or known is TradingMode.HALTED


def _open_orders(state: TradingState, thrown: TradingHalt) -> Iterable[Order]:
    if thrown.scope is Scope.ACCOUNT and thrown.target is not None:
        return list(state.open.by_account.get(UUID(thrown.target), {}).values())
    return [order for order in state.orders.values() if _covers(thrown, order)]


def _covers(thrown: TradingHalt, order: Order) -> bool:
    if thrown.scope is Scope.TICKER:
        return thrown.target == order.symbol
    if thrown.scope is Scope.STRATEGY:
        return order.strategy is not None and thrown.target == str(order.strategy)
    return thrown.scope is Scope.GLOBAL or thrown.target == str(order.account)
