"""The second audit chain: what is not the engine's (``domain.audit_trail``), added to by every process at once.

    audit_access
    {
      "_id": 812, "ts": ISODate("…"), "kind": "user.changed", "actor": "0199…", "actor_name": "anna",
      "subject": "0199…", "facts": {"fields": ["role"], "role": "auditor"}, "request_id": "…", "address": "192.0.2.7",
      "prev_hash": "3a7b…", "hash": "90f1…"
    }
    engine_state
    { "_id": "audit_access", "seq": 812, "hash": "90f1…" }

``_id`` is the sequence number: gapless. Invariants: an entry, the change it tells of and the head that follows are one
transaction; of two processes that add at once the second begins anew, a bounded number of times, and what it wanted to
change with it. Nothing is ever changed or removed here; the database's role refuses it.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NoReturn, TypeVar

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.errors import BulkWriteError, DuplicateKeyError, PyMongoError
from pymongo.read_concern import ReadConcern

from qsuite.domain.audit_trail import Draft, TrailEntry, TrailHead, chained
from qsuite.domain.errors import OutcomeUnknown, QSuiteError, Unavailable
from qsuite.domain.times import datetime_to_ns, ns_to_datetime
from qsuite.repos.database import DURABLE, Database, Document, Session, translated
from qsuite.repos.dead_transactions import end_dead_transactions
from qsuite.repos.schema import CollectionSpec, schema

T = TypeVar("T")
Change = Callable[[Session], Awaitable[T]]
"""What is done in the transaction. It may be called again: it must do nothing outside of the database."""

SPEC = CollectionSpec(
    "audit_access",
    schema(
        "ts kind actor actor_name subject facts request_id address prev_hash hash",
        {
            "_id": {"bsonType": ["int", "long"]},
            "ts": {"bsonType": "date"},
            "kind": {"bsonType": "string"},
            "actor": {"bsonType": "string"},
            "actor_name": {"bsonType": "string"},
            "subject": {"bsonType": "string"},
            "facts": {"bsonType": "object"},
            "request_id": {"bsonType": "string"},
            "address": {"bsonType": "string"},
            "prev_hash": {"bsonType": "string"},
            "hash": {"bsonType": "string"},
        },
    ),
    (
        IndexModel([("subject", ASCENDING), ("_id", ASCENDING)], name="of_a_subject"),
        IndexModel([("actor", ASCENDING), ("_id", ASCENDING)], name="by_an_actor"),
        IndexModel([("kind", ASCENDING), ("_id", ASCENDING)], name="of_a_kind"),
    ),
)
HEAD = {"_id": "audit_access"}
PATIENCE_S = 15.0
"""Longer than our own mongod lets any transaction live."""
DEAD_S = 1.0
"""A transaction that has waited for its process so long is ended when it is in the way: nobody alive leaves one."""
FIRST_PAUSE_S = 0.002
LONGEST_PAUSE_S = 0.1
DUPLICATE = 11000
TRANSIENT = "TransientTransactionError"
UNKNOWN = "UnknownTransactionCommitResult"


class AuditAccessRepo:
    """Add to the chain."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._entries = database.collection(SPEC.name)
        self._state = database.collection("engine_state")
        self._head: TrailHead | None = None
        self._turn = asyncio.Lock()
        self._spread = random.Random()

    async def append(self, drafts: Sequence[Draft], change: Change[T]) -> T:
        """Add entries with the change they tell of; return what the change returned.

        Whatever the change raises is raised, and nothing was stored. Unavailable when other processes were always
        first; OutcomeUnknown when the database went away while committing.
        """
        # A transaction is not left half way: whoever is cancelled meanwhile does not learn how it ended.
        return await asyncio.shield(self._append(drafts, change))

    async def _append(self, drafts: Sequence[Draft], change: Change[T]) -> T:
        async with self._turn:  # of one process one at a time: they would only get in each other's way
            if not self._database.transactions:
                return await self._append_in_memory(drafts, change)
            deadline = time.monotonic() + PATIENCE_S
            attempt, look_at = 0, time.monotonic() + DEAD_S
            while True:
                try:
                    return await self._try(drafts, change)
                except _Lost as lost:
                    self._head = None
                    if time.monotonic() > look_at:
                        await self._database.in_thread(end_dead_transactions, self._database, DEAD_S)
                        look_at = time.monotonic() + DEAD_S
                    if time.monotonic() > deadline:
                        raise Unavailable("the audit record could not be added to: others were always first") from lost
                pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(attempt, 10))
                await asyncio.sleep(pause * (0.5 + self._spread.random()))
                attempt += 1

    async def head(self) -> TrailHead:
        """Return where the chain ends."""
        with translated("the audit record"):
            return _head(await self._state.find_one(HEAD))

    async def _try(self, drafts: Sequence[Draft], change: Change[T]) -> T:
        before = self._head or await self._read_head()
        entries = _chain(before, drafts)
        async with await self._database.client.start_session() as session:
            session.delegate.start_transaction(read_concern=ReadConcern("snapshot"), write_concern=DURABLE)
            try:
                done = await change(session)
                await self._write(before, entries, session)
            except BaseException as error:  # noqa: BLE001  raised again below, or begun anew
                await _abort(session)
                _lost_or_raise(error)
            await _commit(session)
        self._head = _end(entries)
        return done

    async def _write(self, before: TrailHead, entries: Sequence[TrailEntry], session: Session) -> None:
        # The head last: from here to the commit others must wait, so that is kept short.
        try:
            await self._entries.insert_many([entry_document(entry) for entry in entries], session=session)
        except BulkWriteError as error:
            if any(one["code"] == DUPLICATE for one in error.details["writeErrors"]):
                raise _Lost from error  # the place was taken since the head was read
            raise
        after = _end(entries)
        moved = await self._state.update_one(
            HEAD | {"seq": before.seq, "hash": before.hash},
            {"$set": {"seq": after.seq, "hash": after.hash}},
            session=session,
        )
        if moved.matched_count == 0:
            raise _Lost

    async def _append_in_memory(self, drafts: Sequence[Draft], change: Change[T]) -> T:
        before = self._head or await self._read_head()
        done = await change(None)
        entries = _chain(before, drafts)
        with translated("the audit record"):
            await self._entries.insert_many([entry_document(entry) for entry in entries])
            self._head = _end(entries)
            await self._state.update_one(HEAD, {"$set": {"seq": self._head.seq, "hash": self._head.hash}})
        return done

    async def _read_head(self) -> TrailHead:
        """Return the head; make it the first time, of the last entry there is."""
        with translated("the audit record"):
            found = await self._state.find_one(HEAD)
            if found is not None:
                return _head(found)
            last = await self._entries.find_one({}, {"hash": 1}, sort=[("_id", DESCENDING)])
            head = TrailHead() if last is None else TrailHead(last["_id"], last["hash"])
            try:
                # Not by an upsert inside a transaction, which mongod 6.0 may refuse.
                await self._state.insert_one(HEAD | {"seq": head.seq, "hash": head.hash})
            except DuplicateKeyError:  # another process was first
                raise _Lost from None
            return head


class _Lost(Exception):
    """Another process was first: begin anew from what is there now."""


def entry_document(entry: TrailEntry) -> Document:
    """Write an entry as a document."""
    return {"_id": entry.seq, "ts": ns_to_datetime(entry.ts_ns)} | {
        name: getattr(entry, name) for name in TrailEntry._fields[2:]
    }


def entry_from(document: Document) -> TrailEntry:
    """Read an entry back."""
    return TrailEntry(
        document["_id"], datetime_to_ns(document["ts"]), *(document[name] for name in TrailEntry._fields[2:])
    )


async def _abort(session: Any) -> None:
    try:
        await session.abort_transaction()
    except PyMongoError:  # then there is nobody to tell, and nothing was committed
        return


async def _commit(session: Any) -> None:
    """Commit; once more if the answer was lost, which is safe."""
    for last in (False, True):
        try:
            await session.commit_transaction()
            return
        except PyMongoError as error:
            if error.has_error_label(TRANSIENT):
                raise _Lost from error
            if last or not error.has_error_label(UNKNOWN):
                raise OutcomeUnknown("the database went away while committing") from error


def _lost_or_raise(error: BaseException) -> NoReturn:
    """Raise _Lost where the database only asks to begin anew, also behind an error of our own; else the error."""
    cause = error.__cause__ if isinstance(error, QSuiteError) else error
    if isinstance(cause, PyMongoError) and cause.has_error_label(TRANSIENT):
        raise _Lost from error
    if isinstance(error, PyMongoError):
        with translated("the audit record"):
            raise error
    raise error


def _chain(before: TrailHead, drafts: Sequence[Draft]) -> list[TrailEntry]:
    entries: list[TrailEntry] = []
    for said in drafts:
        entries.append(chained(before, said))
        before = _end(entries)
    return entries


def _end(entries: Sequence[TrailEntry]) -> TrailHead:
    return TrailHead(entries[-1].seq, entries[-1].hash)


def _head(found: Document | None) -> TrailHead:
    return TrailHead() if found is None else TrailHead(found["seq"], found["hash"])
