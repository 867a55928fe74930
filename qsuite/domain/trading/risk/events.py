"""Risk events: what a risk manager wants to see of the controls, besides the audit log that has everything.

a refusal by a ``risk.*`` control      warning
limits set, a halt lifted              info
a halt thrown, by a person or by us    critical
a broken invariant                     critical
an alarm from beside the trading       critical
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from qsuite.domain.trading.commands import Scope
from qsuite.domain.trading.order import Order

if TYPE_CHECKING:
    from qsuite.domain.trading.state import TradingState


class Refusal(NamedTuple):
    """A control's no: its code, a sentence, and the limit and value it compared where it compared any."""

    code: str
    detail: str
    limit: Decimal | None = None
    value: Decimal | None = None


class Severity(StrEnum):
    """How soon somebody should look."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskEvent:
    """One event; ``target`` is what of the scope it is about, ``actor`` who caused it, None for the engine itself.

    ``symbol`` is the order's or the ticker's that it is about, None where it is about no single one.
    """

    id: UUID
    ts: int
    code: str
    severity: Severity
    scope: Scope
    target: str | None
    detail: str
    account: UUID | None = None
    order: UUID | None = None
    symbol: str | None = None
    limit: Decimal | None = None
    value: Decimal | None = None
    actor: UUID | None = None


def event_of_refusal(
    state: "TradingState", order: Order, refusal: Refusal, now: int, actor: UUID | str
) -> RiskEvent | None:
    """Make the event of a refused order; None where the order itself was wrong, not its risk."""
    if not refusal.code.startswith("risk."):
        return None
    return RiskEvent(
        id=state.new_id(),
        ts=now,
        code=refusal.code,
        severity=Severity.WARNING,
        scope=Scope.ACCOUNT,
        target=str(order.account),
        detail=refusal.detail,
        account=order.account,
        order=order.id,
        symbol=order.symbol,
        limit=refusal.limit,
        value=refusal.value,
        actor=_person(actor),
    )


def scope_event(
    state: "TradingState",
    key: tuple[Scope, str | None],
    code: str,
    detail: str,
    now: int,
    *,
    severity: Severity = Severity.CRITICAL,
    actor: UUID | str | None = None,
    limit: Decimal | None = None,
    value: Decimal | None = None,
) -> RiskEvent:
    """Make the event of something that befell a scope: a halt, its lifting, new limits, a broken invariant."""
    scope, target = key
    return RiskEvent(
        id=state.new_id(),
        ts=now,
        code=code,
        severity=severity,
        scope=scope,
        target=target,
        detail=detail,
        account=UUID(target) if scope is Scope.ACCOUNT and target is not None else None,
        symbol=target if scope is Scope.TICKER else None,
        limit=limit,
        value=value,
        actor=_person(actor),
    )


def _person(actor: UUID | str | None) -> UUID | None:
    """Return who it was; None for the engine itself."""
    return actor if isinstance(actor, UUID) else None
