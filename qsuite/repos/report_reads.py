"""Read orders and fills for reports: account by account, by time, a batch at a time.

Invariant: found and sorted by the indexes ``of_an_account``, each batch by a query of its own from where the one before
ended. Between two no cursor is open, so that whoever reads slowly holds nothing up. For threads.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from qsuite.domain.errors import NotFound
from qsuite.domain.reports.ledger import Entry, Movement
from qsuite.domain.times import datetime_to_ns
from qsuite.domain.trading.order import Order
from qsuite.repos import accounts, executions, orders
from qsuite.repos.database import Database, Document, translated
from qsuite.repos.decimals import decode_optional
from qsuite.repos.ledger import FIELDS, LedgerReads, between, entry_from

BATCH = 1_000
TERMS = dict.fromkeys(("strategy", "order_type", "client_order_id", "created_at", "arrival_price"), 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """What is reported on: ``from_ns`` is in it, ``to_ns`` is not; accounts None are all."""

    accounts: tuple[UUID, ...] | None = None
    symbol: str | None = None
    strategy: UUID | None = None
    from_ns: int | None = None
    to_ns: int | None = None


class Terms(NamedTuple):
    """What a fill's order says beside it."""

    strategy: UUID | None
    order_type: str
    client_order_id: str | None
    created_at: int
    arrival_price: Any


class ReportReads:
    """Read for reports."""

    def __init__(self, database: Database) -> None:
        self._db = database.sync
        self._ledger = LedgerReads(database, None)

    def accounts(self, only: Sequence[UUID] | None) -> Iterator[UUID]:
        """Yield the accounts of a range by id, of those named the ones there are. NotFound for one that is not."""
        if only is not None:
            with translated("accounts"):
                known = self._db[accounts.SPEC.name].find({"_id": {"$in": list(only)}}, {"_id": 1}).sort("_id", 1)
                named = [each["_id"] for each in known]
            if len(only) == 1 and not named:
                raise NotFound("no such account")
            yield from named
            return
        last: UUID | None = None
        while True:
            condition: Document = {} if last is None else {"_id": {"$gt": last}}
            with translated("accounts"):
                found = [
                    each["_id"]
                    for each in self._db[accounts.SPEC.name].find(condition, {"_id": 1}).sort("_id", 1).limit(BATCH)
                ]
            yield from found
            if len(found) < BATCH:
                return
            last = found[-1]

    def fills(
        self, account: UUID, from_ns: int | None, to_ns: int | None, symbol: str | None = None
    ) -> Iterator[list[Entry]]:
        """Yield an account's fills by time, in batches that are not empty."""
        for batch in self._batches(executions.SPEC.name, "execution_time", account, from_ns, to_ns, FIELDS, symbol):
            yield [entry_from(document) for document in batch]

    def orders(
        self, account: UUID, from_ns: int | None, to_ns: int | None, symbol: str | None = None
    ) -> Iterator[list[Order]]:
        """Yield an account's orders by when they were placed, in batches that are not empty."""
        for batch in self._batches(orders.SPEC.name, "created_at", account, from_ns, to_ns, None, symbol):
            yield [orders.order_from(document) for document in batch]

    def resets(self, account: UUID) -> list[Movement]:
        """Return an account's resets by time."""
        return [each for each in self._ledger.movements(account) if each.kind == "reset"]

    def terms(self, entries: Iterable[Entry]) -> dict[UUID, Terms]:
        """Return what the orders of these fills say."""
        ids = list({entry.order for entry in entries})
        with translated("orders"):
            found = self._db[orders.SPEC.name].find({"_id": {"$in": ids}}, TERMS)
            return {document["_id"]: _terms(document) for document in found}

    def fills_of(self, ids: Iterable[UUID]) -> dict[UUID, list[Entry]]:
        """Return the fills of these orders, by order and time."""
        with translated("executions"):
            found = list(self._db[executions.SPEC.name].find({"order": {"$in": list(ids)}}, FIELDS))
        by_order: dict[UUID, list[Entry]] = {}
        for entry in sorted(map(entry_from, found), key=lambda each: (each.time_ns, each.id)):
            by_order.setdefault(entry.order, []).append(entry)
        return by_order

    def _batches(
        self,
        name: str,
        path: str,
        account: UUID,
        from_ns: int | None,
        to_ns: int | None,
        fields: Document | None,
        symbol: str | None,
    ) -> Iterator[list[Document]]:
        condition: Document = {"account": account} | between(path, from_ns, to_ns)
        if symbol is not None:
            condition["symbol"] = symbol
        after: Document = {}
        while True:
            with translated(name):
                found = self._db[name].find(condition | after, fields).sort([(path, 1), ("_id", 1)]).limit(BATCH)
                batch = list(found)
            if batch:
                yield batch
            if len(batch) < BATCH:
                return
            at, last = batch[-1][path], batch[-1]["_id"]
            condition[path] = condition.get(path, {}) | {"$gte": at}  # a bound the index can begin at
            after = {"$or": [{path: {"$gt": at}}, {"_id": {"$gt": last}}]}


def _terms(document: Document) -> Terms:
    return Terms(
        document.get("strategy"),
        document["order_type"],
        document.get("client_order_id"),
        datetime_to_ns(document["created_at"]),
        decode_optional(document.get("arrival_price")),
    )
