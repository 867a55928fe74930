"""Tell again, from what is stored, what the process with the engine told its own subscribers.

    stored order ──> version 5 ──undo the fill──> version 4 ──> version 3 …      told in the order of the audit log

Storage keeps where the steps of a batch led; each step is in the audit log. So a second process walks back from the
order as it is now. Invariant: each audit entry of an order is told as exactly one version of it, with its status, time
and fills; what a replacement changed since is shown from the audit entries at hand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from qsuite.domain.money import ZERO
from qsuite.domain.trading.account import Account, Position
from qsuite.domain.trading.audit import Entry
from qsuite.domain.trading.changes import Announcement
from qsuite.domain.trading.order import Execution, Order, Status
from qsuite.domain.trading.reset import RESET
from qsuite.domain.trading.risk import RiskEvent

TERMS = ("quantity", "price", "stop_price", "trail_percent", "trail_price")


@dataclass(slots=True)
class Stretch:
    """A part of the audit log, oldest first, with everything it touched as it was right after its last entry."""

    entries: Sequence[Entry]
    orders: Mapping[UUID, Order] = field(default_factory=dict)
    executions: Mapping[UUID, Execution] = field(default_factory=dict)
    events: Sequence[RiskEvent] = ()
    positions: Sequence[Position] = ()
    accounts: Sequence[Account] = ()


def retell(stretch: Stretch) -> list[Announcement]:
    """Return the announcements of a stretch: the steps of orders as they came, then what became of the money."""
    versions = _versions(stretch)
    told: list[Announcement] = []
    for entry in stretch.entries:
        if (execution := stretch.executions.get(_execution_id(entry))) is not None:
            told.append(Announcement("execution", execution.account, execution))
        if (version := versions.get(entry.seq)) is not None:
            told.append(Announcement("order", version.account, version))
    told += [Announcement("risk_event", event.account, event) for event in stretch.events]
    told += [Announcement("position", position.account, position) for position in traded(stretch)]
    held = _by_account(stretch.positions)
    told += [Announcement("account", one.id, (one, held.get(one.id, []))) for one in stretch.accounts]
    return told


def traded(stretch: Stretch) -> list[Position]:
    """Return the positions that the stretch's executions changed, or a reset of their account."""
    changed = {(execution.account, execution.symbol) for execution in stretch.executions.values()}
    for entry in stretch.entries:
        if entry.kind == RESET:
            changed |= {(UUID(entry.account), each["symbol"]) for each in entry.facts["positions"]}
    return [position for position in stretch.positions if (position.account, position.symbol) in changed]


def _versions(stretch: Stretch) -> dict[int, Order]:
    """Return each order entry's version of its order, by the entry's number, going backwards from the stored ones."""
    terms = _terms(stretch.entries)
    now = {str(order.id): order.copy() for order in stretch.orders.values()}
    versions: dict[int, Order] = {}
    for entry in reversed(stretch.entries):
        order = now.get(entry.subject)
        if order is None or "version" not in entry.facts:
            continue
        order.version, order.status = entry.facts["version"], Status(entry.facts["status"])
        order.updated_at = entry.ts_ns
        if order.status is not Status.REJECTED:
            order.reject = None
        for name, value in terms.get(entry.seq, {}).items():
            setattr(order, name, value)
        versions[entry.seq] = order.copy()
        if (execution := stretch.executions.get(_execution_id(entry))) is not None:
            _undo(order, execution)
    return versions


def _undo(order: Order, execution: Execution) -> None:
    order.filled_quantity -= execution.quantity
    order.filled_value -= execution.quantity * execution.price
    order.commission -= execution.commission
    if not order.filled_quantity:  # shown as 0, not as 0.000
        order.filled_value = order.commission = order.filled_quantity = ZERO


def _terms(entries: Sequence[Entry]) -> dict[int, dict[str, Decimal | None]]:
    """Return what each entry's order asked for then, by the entry's number, as far as an entry before it says so."""
    asked: dict[str, dict[str, Decimal | None]] = {}
    found: dict[int, dict[str, Decimal | None]] = {}
    for entry in entries:
        if "execution" not in entry.facts:  # the figures of those are the fill's
            stated = {name: _decimal(entry.facts[name]) for name in TERMS if name in entry.facts}
            if stated:
                asked[entry.subject] = asked.get(entry.subject, {}) | stated
        if entry.subject in asked:
            found[entry.seq] = asked[entry.subject]
    return found


def _execution_id(entry: Entry) -> UUID:
    name = entry.facts.get("execution")
    return UUID(int=0) if name is None else UUID(name)


def _decimal(value: Any) -> Decimal | None:
    return None if value is None else Decimal(value)


def _by_account(positions: Sequence[Position]) -> dict[UUID, list[Position]]:
    held: dict[UUID, list[Position]] = {}
    for position in positions:
        held.setdefault(position.account, []).append(position)
    return held
