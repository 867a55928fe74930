"""What another process made durable, read as one goes along: the audit log from a number on, and what it touched.

The audit log is the one thing written in the transaction of every change, without a gap, in order, and for ever. So
what was read last is a plain number, which survives every lost connection, where a change stream's token would not.
Invariant: a stretch is read from one snapshot, so each order is as its last entry in the stretch left it.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from pymongo.client_session import ClientSession

from qsuite.domain.channels import RISK_DESK
from qsuite.domain.trading.audit import Entry
from qsuite.domain.trading.changes import Announcement
from qsuite.domain.trading.retell import Stretch, retell
from qsuite.domain.trading.risk import RiskEvent
from qsuite.repos import accounts, audit, executions, orders, positions, risk_events
from qsuite.repos.database import Database, Document, translated
from qsuite.repos.engine_store import ENGINE

ENTRIES_MAX = 20_000


@dataclass(frozen=True, slots=True)
class Reading:
    """What is to be told up to entry ``upto``; ``skipped`` when that was too much, and nothing was read."""

    upto: int
    announcements: list[Announcement] = field(default_factory=list)
    skipped: bool = False


class Journal:
    """Read stretches of the audit log."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._told: set[UUID] = set()
        """The risk events read last."""

    async def head(self) -> int:
        """Return the number of the last entry."""
        return await self._database.in_thread(self._head, None)

    async def read(self, after: int, owners: Callable[[], Collection[UUID]]) -> Reading:
        """Read what came after an entry, of the accounts that ``owners`` returns; it is called in a thread."""
        return await self._database.in_thread(self._read, after, owners)

    # -- for threads --------------------------------------------------------------------------------------------

    def _head(self, session: ClientSession | None) -> int:
        with translated("engine_state"):
            state = self._database.sync.engine_state.find_one(ENGINE, {"audit_seq": 1}, session=session)
        return 0 if state is None else int(state["audit_seq"])

    def _read(self, after: int, owners: Callable[[], Collection[UUID]]) -> Reading:
        with self._database.sync_client.start_session(snapshot=True) as session:
            head = self._head(session)
            if head <= after:
                return Reading(after)
            # Asked after the snapshot was taken: who begins to listen later begins with something newer than it.
            wanted = owners()
            if not wanted:
                return Reading(head)
            if head - after > ENTRIES_MAX:
                return Reading(head, skipped=True)
            with translated("audit_log"):
                return Reading(head, retell(self._stretch(after, wanted, session)))

    def _stretch(self, after: int, owners: Collection[UUID], session: ClientSession) -> Stretch:
        query = {"_id": {"$gt": after}, "account": {"$in": [str(owner) for owner in owners]}}
        entries = list(map(audit.entry_from, self._find("audit_log", query, session).sort("_id", 1)))
        events = self._events(after, owners, session)
        if not entries:
            return Stretch(entries, events=events)
        touched = list({UUID(entry.account) for entry in entries})
        return Stretch(
            entries=entries,
            orders={order.id: order for order in self._orders(entries, session)},
            executions={execution.id: execution for execution in self._executions(entries, session)},
            events=events,
            positions=list(map(positions.position_from, self._find("positions", _of(touched), session))),
            accounts=list(map(accounts.account_from, self._find("accounts", {"_id": {"$in": touched}}, session))),
        )

    def _events(self, after: int, owners: Collection[UUID], session: ClientSession) -> list[RiskEvent]:
        """Read the risk events of a stretch. They carry times and no numbers: the first may have been told before."""
        first = self._database.sync.audit_log.find_one({"_id": after + 1}, {"ts": 1}, session=session)
        if first is None:
            return []
        query: Document = {"ts": {"$gte": first["ts"]}}
        if RISK_DESK not in owners:
            query["account"] = {"$in": list(owners)}
        documents = self._find("risk_events", query, session).sort([("ts", 1), ("_id", 1)])
        found = list(map(risk_events.event_from, documents))
        told, self._told = self._told, {event.id for event in found}
        return [event for event in found if event.id not in told]

    def _orders(self, entries: Iterable[Entry], session: ClientSession) -> Any:
        wanted = list({UUID(entry.subject) for entry in entries if "version" in entry.facts})
        return map(orders.order_from, self._find("orders", {"_id": {"$in": wanted}}, session))

    def _executions(self, entries: Iterable[Entry], session: ClientSession) -> Any:
        named = (entry.facts.get("execution") for entry in entries)
        wanted = [UUID(name) for name in named if name is not None]
        return map(executions.execution_from, self._find("executions", {"_id": {"$in": wanted}}, session))

    def _find(self, name: str, query: Document, session: ClientSession) -> Any:
        return self._database.sync[name].find(query, session=session)


def _of(accounts_touched: list[UUID]) -> Document:
    return {"account": {"$in": accounts_touched}}
