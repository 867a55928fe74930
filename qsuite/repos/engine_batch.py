"""A batch of the engine as documents: what one transaction will write.

    changes of memory ──> encode_batch ──> Batch ──> EngineStore.commit

Invariant: nothing in a batch changes any more; memory goes on to the next batch while this one is being committed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from bson.raw_bson import RawBSONDocument

from qsuite.domain.trading.account import Position
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


class Written(NamedTuple):
    """A document to be written, and whether it takes the place of one."""

    document: Document
    replaces: bool


@dataclass(slots=True)
class Batch:
    """One batch as documents, ready to be written; nothing in it changes any more."""

    number: int
    audit_seq: int
    audit_hash: str
    new_orders: list[RawBSONDocument] = field(default_factory=list)
    orders: list[tuple[UUID, RawBSONDocument]] = field(default_factory=list)
    executions: list[RawBSONDocument] = field(default_factory=list)
    accounts: list[tuple[UUID, Document]] = field(default_factory=list)
    positions: list[Written] = field(default_factory=list)
    entries: list[Document] = field(default_factory=list)
    controls: list[tuple[str, Document | None]] = field(default_factory=list)
    """Kill switches and limits by key; None for one that was lifted."""
    strategy_positions: list[Written] = field(default_factory=list)
    risk_events: list[Document] = field(default_factory=list)

    @property
    def statements(self) -> int:
        """Return how many statements its transaction is made of, the fence, the audit entries and its end included."""
        optional = (
            *(self.new_orders, self.orders, self.executions, self.accounts),
            *(self.positions, self.strategy_positions, self.risk_events),
        )
        return 3 + sum(map(bool, optional)) + len(self.controls)


def encode_batch(changes: Changes, number: int) -> Batch:
    """Write a batch's changes as documents, now, before the next batch changes the same objects."""
    last = changes.entries[-1]
    return Batch(
        number=number,
        audit_seq=last.seq,
        audit_hash=last.hash,
        new_orders=[orders.order_document(order) for order in changes.new_orders.values()],
        orders=[(order.id, orders.order_document(order)) for order in changes.orders.values()],
        executions=[executions.execution_document(execution) for execution in changes.executions],
        accounts=[
            (
                account.id,
                accounts.account_changes(account)
                if account.id not in changes.terms
                else accounts.account_changes(account) | accounts.account_terms(account),
            )
            for account in changes.accounts.values()
        ],
        positions=_written(changes.positions.values(), positions.position_document),
        entries=[audit.entry_document(entry) for entry in changes.entries],
        controls=_controls(changes),
        strategy_positions=_written(changes.strategy_positions.values(), strategy_positions.position_document),
        risk_events=[risk_events.event_document(event) for event in changes.risk_events],
    )


def _controls(changes: Changes) -> list[tuple[str, Document | None]]:
    thrown = [
        (halts.halt_id(key), None if halt is None else halts.halt_document(halt)) for key, halt in changes.halts.items()
    ]
    documents = [risk_limits.limits_document(limits) for limits in changes.limits.values()]
    return [*thrown, *((document["_id"], document) for document in documents)]


def _written(changed: Iterable[Position], write: Callable[[Position], Document]) -> list[Written]:
    written: list[Written] = []
    for position in changed:
        written.append(Written(write(position), position.stored))
        position.stored = True
    return written
