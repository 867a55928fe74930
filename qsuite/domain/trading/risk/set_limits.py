"""Change the limits of a scope: in force with the next order, audited, and versioned.

A figure that is None leaves the scope: the wider scope's holds again, of the global scope the profile's. Nobody can
switch a control off this way; only the profile can.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from qsuite.domain.money import show
from qsuite.domain.trading.commands import Outcome, Scope, SetLimits
from qsuite.domain.trading.risk.events import Severity, scope_event
from qsuite.domain.trading.risk.limits import NAMES, SWITCHES, Figure, ScopeLimits

if TYPE_CHECKING:
    from qsuite.domain.trading.state import TradingState

KEPT_VERSIONS = 50
EVERYWHERE = frozenset(Scope)
OF_ACCOUNTS = frozenset({Scope.GLOBAL, Scope.ACCOUNT})


class Bounds(NamedTuple):
    """What a figure may be, and where it may be set."""

    low: Decimal
    high: Decimal | None = None
    scopes: frozenset[Scope] = EVERYWHERE
    whole: bool = False


ZERO, ONE = Decimal(0), Decimal(1)
BOUNDS: Mapping[str, Bounds] = {
    "max_quantity": Bounds(ZERO),
    "max_value": Bounds(ZERO),
    "min_value": Bounds(ZERO),
    "price_collar": Bounds(ZERO, ONE),
    "price_collar_passive": Bounds(ZERO, ONE),
    "price_collar_window": Bounds(ZERO, ONE),
    "reference_stale": Bounds(ZERO),
    "reference_suspect": Bounds(ZERO),
    "position_limit": Bounds(ZERO),
    "gross_exposure": Bounds(ZERO, None, OF_ACCOUNTS),
    "system_exposure": Bounds(ZERO, None, frozenset({Scope.GLOBAL})),
    "max_open_orders": Bounds(ZERO, None, OF_ACCOUNTS, whole=True),
    "max_open_orders_ticker": Bounds(ZERO, None, OF_ACCOUNTS | {Scope.TICKER}, whole=True),
    "order_rate": Bounds(ZERO, Decimal(1_000_000), OF_ACCOUNTS),
    "order_burst": Bounds(ONE, Decimal(1_000_000), OF_ACCOUNTS, whole=True),
    "cancel_rate": Bounds(ZERO, Decimal(1_000_000), OF_ACCOUNTS),
    "lookalike": Bounds(ZERO, None, EVERYWHERE, whole=True),
    "execution_throttle": Bounds(ONE, None, frozenset({Scope.GLOBAL, Scope.STRATEGY}), whole=True),
    "daily_loss": Bounds(ZERO, ONE, OF_ACCOUNTS),
    "daily_loss_halt": Bounds(ZERO, ONE, OF_ACCOUNTS),
}


def set_limits(state: "TradingState", command: SetLimits, now: int) -> Outcome:
    """Set a scope's figures; what is not named stays. ``validation`` names what cannot be."""
    wrong = problems(command.scope, command.target, command.limits)
    if wrong:
        detail = "; ".join(f"{name}: {problem}" for name, problem in wrong.items())
        return Outcome(error="validation", detail=detail, facts={"errors": wrong})
    version = state.limits.version(command.scope, command.target)
    if command.version is not None and command.version != version:
        return Outcome(error="precondition_failed", detail=f"the limits are at version {version}")
    known = state.limits.scopes.get((command.scope, command.target))
    figures: dict[str, Figure] = {} if known is None else dict(known.figures)
    for name, figure in command.limits.items():
        if figure is None:
            figures.pop(name, None)
        else:
            figures[name] = figure
    history = () if known is None else (known._replace(history=()), *known.history)[:KEPT_VERSIONS]
    limits = ScopeLimits(
        command.scope, command.target, figures, version + 1, command.user, now, command.reason, history
    )
    state.limits.put(limits)
    _record(state, command, limits, now)
    return Outcome(facts={"version": limits.version})


def problems(scope: Scope, target: str | None, limits: Mapping[str, object]) -> dict[str, str]:
    """Return what is wrong, by name; nothing if all of it can be set."""
    wrong: dict[str, str] = {}
    problem = target_problem(scope, target)
    if problem is not None:
        wrong["id"] = problem
    for name, figure in limits.items():
        problem = _problem(scope, name, figure)
        if problem is not None:
            wrong[name] = problem
    return wrong


def target_problem(scope: Scope, target: str | None) -> str | None:
    """Say what is wrong with what a scope names, None if nothing is."""
    if (scope is Scope.GLOBAL) != (target is None):
        return "the global scope takes none, every other one needs it"
    if target is not None and scope in (Scope.ACCOUNT, Scope.STRATEGY):
        try:
            UUID(target)
        except ValueError:
            return "accounts and strategies are named by their UUID"
    return None


def _problem(scope: Scope, name: str, figure: object) -> str | None:
    if name not in NAMES:
        return "there is no such limit"
    if figure is None:
        return None
    if name in SWITCHES:
        return None if isinstance(figure, bool) else "must be true or false"
    low, high, scopes, whole = BOUNDS[name]
    if scope not in scopes:
        return f"cannot be set for the scope {scope.value}"
    if not isinstance(figure, Decimal) or not figure.is_finite():
        return "must be a number"
    if figure < low or (high is not None and figure > high):
        return f"must be at least {show(low)}" + ("" if high is None else f" and at most {show(high)}")
    if whole and figure != figure.to_integral_value():
        return "must be a whole number"
    return None


def _record(state: "TradingState", command: SetLimits, limits: ScopeLimits, now: int) -> None:
    changed = {name: _shown(figure) for name, figure in command.limits.items()}
    facts = {"scope": command.scope.value, "target": command.target, "version": limits.version}
    state.record_limits(limits, now, command.user, **facts, reason=command.reason, limits=changed)
    said = ", ".join(f"{name} {figure}" for name, figure in changed.items())
    key = (command.scope, command.target)
    event = scope_event(state, key, "risk.limits_set", said, now, severity=Severity.INFO, actor=command.user)
    state.record_event(event)


def _shown(figure: Decimal | bool | None) -> str | bool | None:
    return show(figure) if isinstance(figure, Decimal) else figure
