"""A batch of the engine as documents: what one transaction will write.

    changes of memory ──> encode_batch ──> Batch ──> EngineStore.commit

Invariant: nothing in a batch changes any more; memory goes on to the next batch while this one is being committed.
"""

from dataclasses import dataclass, field
from uuid import UUID

from qsuite.domain.trading.changes import Changes
from qsuite.repos import (
    accounts,
    audit,
    executions,
    halts,
    orders,
    positions,
    risk_events,
    risk_limits,
    strategy_positions,
)
from qsuite.repos.database import Document


@dataclass(slots=True)
class Batch:
    """One batch as documents, ready to be written; nothing in it changes any more."""

    number: int
    audit_seq: int
    audit_hash: str
    new_orders: list[Document] = field(default_factory=list)
    orders: list[Document] = field(default_factory=list)
    executions: list[Document] = field(default_factory=list)
    accounts: list[tuple[UUID, Document]] = field(default_factory=list)
    new_positions: list[Document] = field(default_factory=list)
    positions: list[Document] = field(default_factory=list)
    entries: list[Document] = field(default_factory=list)
    halts: list[tuple[str, Document | None]] = field(default_factory=list)
    strategy_positions: list[tuple[Document, bool]] = field(default_factory=list)
    limits: list[Document] = field(default_factory=list)
    risk_events: list[Document] = field(default_factory=list)


def encode_batch(changes: Changes, number: int) -> Batch:
    """Write a batch's changes as documents, now, before the next batch changes the same objects."""
    last = changes.entries[-1]
    fresh: list[Document] = []
    known: list[Document] = []
    for position in changes.positions.values():
        (known if position.stored else fresh).append(positions.position_document(position))
        position.stored = True
    own: list[tuple[Document, bool]] = []
    for position in changes.strategy_positions.values():
        own.append((strategy_positions.position_document(position), position.stored))
        position.stored = True
    return Batch(
        number=number,
        audit_seq=last.seq,
        audit_hash=last.hash,
        new_orders=[orders.order_document(order) for order in changes.new_orders.values()],
        orders=[orders.order_document(order) for order in changes.orders.values()],
        executions=[executions.execution_document(execution) for execution in changes.executions],
        accounts=[(account.id, accounts.account_changes(account)) for account in changes.accounts.values()],
        new_positions=fresh,
        positions=known,
        entries=[audit.entry_document(entry) for entry in changes.entries],
        halts=[
            (halts.halt_id(key), None if halt is None else halts.halt_document(halt))
            for key, halt in changes.halts.items()
        ],
        strategy_positions=own,
        limits=[risk_limits.limits_document(limits) for limits in changes.limits.values()],
        risk_events=[risk_events.event_document(event) for event in changes.risk_events],
    )
