"""The engine's storage: one transaction a batch, fenced by an epoch, numbered so that its outcome can be read back.

    engine_state
    {
      "_id": "engine", "epoch": 12, "owner": {"host": "…", "boot": "…", "pid": 4711}, "session": Binary(…),
      "address": "http://engine:8000", "lease_until": ISODate("…"), "signed": ISODate("…"), "batch": 90210,
      "audit_seq": 180544, "audit_hash": "90f1…"
    }

``address`` is where other processes reach the holder, "" while it does not listen or says not where.

Invariants: a batch is committed whole or not at all, and only by the holder of the epoch it was decided under;
``batch`` in the document is the number of the last batch committed. Times of the lease are the database server's own.

All methods block and are called in the store's one thread, so that statements of two batches never interleave.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple
from uuid import UUID

import pymongo
from bson.binary import Binary, UuidRepresentation
from bson.raw_bson import RawBSONDocument
from pymongo import DeleteOne, InsertOne, ReadPreference, ReplaceOne, ReturnDocument, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.errors import BulkWriteError, ConnectionFailure, DuplicateKeyError, PyMongoError
from pymongo.read_concern import ReadConcern

from qsuite.domain.trading.audit import GENESIS
from qsuite.domain.trading.changes import Missing
from qsuite.domain.trading.commands import TradingHalt
from qsuite.domain.trading.risk import ScopeLimits
from qsuite.repos import engine_loading
from qsuite.repos.database import DURABLE, Database, Document
from qsuite.repos.engine_batch import Batch, Written
from qsuite.repos.engine_loading import Loaded
from qsuite.repos.schema import CollectionSpec

SPEC = CollectionSpec("engine_state")
ENGINE = {"_id": "engine"}


class Fenced(Exception):
    """Another process holds the engine now: nothing of the batch was written, and nothing more may be."""


class NotCommitted(Exception):
    """The batch certainly was not committed."""


class CommitUnknown(Exception):
    """The answer to the commit was lost: ``acquire`` tells, by the batch number, which way it went."""


class Head(NamedTuple):
    """Where the engine stands in storage; ``silent_s`` since whoever had it last committed or renewed."""

    epoch: int
    batch: int
    audit_seq: int
    audit_hash: str
    silent_s: float = 0.0


class EngineStore:
    """Hold the lease, load what the engine needs, commit its batches."""

    def __init__(self, database: Database, *, lease_s: float, commit_timeout_s: float) -> None:
        self._db = database.sync
        self._client = database.sync_client
        self._lease_ms = int(lease_s * 1000)
        self._commit_timeout_s = commit_timeout_s
        self._session: ClientSession | None = None
        self._epoch = 0
        self.address = ""
        """Where other processes reach this one; written whenever the lease is signed."""

    # -- the lease ----------------------------------------------------------------------------------------------

    def acquire(self, owner: Document, is_dead: Callable[[Document], bool]) -> Head | None:
        """Take the engine under a new epoch and return where it stands; None while another process holds it.

        Taking it settles every commit in doubt: the epoch it was decided under is over, so what is not in storage now
        never will be. A dead owner's open transaction would block that for up to a minute: its session is killed first.
        """
        with pymongo.timeout(self._commit_timeout_s):
            # Not what a majority has: an epoch that this process took, and that is not confirmed yet, must be seen.
            state = self._db.engine_state.with_options(read_concern=ReadConcern("local")).find_one(ENGINE)
            if state is None:
                return self._create(owner)
            mine = state["owner"] == owner
            if mine or is_dead(state["owner"]) or self._lapsed(state):
                self._kill_session(state.get("session"))
                return self._take(state, owner)
            return None

    def renew(self) -> None:
        """Extend the lease between batches. Fenced if another process took the engine."""
        with pymongo.timeout(self._commit_timeout_s):
            result = self._db.engine_state.update_one(ENGINE | {"epoch": self._epoch}, [{"$set": self._sign()}])
        if result.matched_count == 0:
            raise Fenced

    def release(self) -> None:
        """Give the lease back, so that another process need not wait for its end."""
        with pymongo.timeout(self._commit_timeout_s):
            ended = {"lease_until": "$$NOW", "signed": "$$NOW"}
            self._db.engine_state.update_one(ENGINE | {"epoch": self._epoch}, [{"$set": ended}])
        self.close()

    def close(self) -> None:
        """End the session."""
        if self._session is not None:
            self._session.end_session()
            self._session = None

    def _sign(self) -> Document:
        until = {"$add": ["$$NOW", self._lease_ms]}
        return {"lease_until": until, "signed": "$$NOW", "address": {"$literal": self.address}}

    def _lapsed(self, state: Document) -> bool:
        query = {"_id": state["_id"], "epoch": state["epoch"], "$expr": {"$lt": ["$lease_until", "$$NOW"]}}
        return self._db.engine_state.find_one(query, {"_id": 1}) is not None

    def _create(self, owner: Document) -> Head | None:
        self._open_session()
        with suppress(DuplicateKeyError):  # another process was first; the next try finds its document
            self._db.engine_state.insert_one(
                ENGINE | {"epoch": 0, "owner": owner, "batch": 0, "audit_seq": 0, "audit_hash": GENESIS}
            )
            return self._take({"epoch": 0}, owner)
        return None

    def _take(self, state: Document, owner: Document) -> Head | None:
        self._open_session()
        taken = self._db.engine_state.find_one_and_update(
            ENGINE | {"epoch": state["epoch"]},
            [
                {
                    "$set": {
                        "epoch": {"$add": ["$epoch", 1]},
                        "owner": {"$literal": owner},
                        "session": {"$literal": self._session_id()},
                        **self._sign(),
                    }
                }
            ],
            return_document=ReturnDocument.AFTER,
        )
        if taken is None:
            return None
        self._epoch = taken["epoch"]
        silent = taken["signed"] - state.get("signed", taken["signed"])
        return Head(taken["epoch"], taken["batch"], taken["audit_seq"], taken["audit_hash"], silent.total_seconds())

    def _open_session(self) -> None:
        self.close()
        self._session = self._client.start_session()

    def _session_id(self) -> UUID | None:
        assert self._session is not None
        identifier: Any = self._session.session_id["id"]
        return identifier.as_uuid(UuidRepresentation.STANDARD) if isinstance(identifier, Binary) else identifier

    def _kill_session(self, session: UUID | None) -> None:
        if session is not None:
            self._client.admin.command("killSessions", [{"id": Binary.from_uuid(session)}])

    # -- loading ------------------------------------------------------------------------------------------------

    def load_open(self) -> Loaded:
        """Load every open order by arrival, with all accounts and strategies that have one or hold anything."""
        return engine_loading.load_open(self._db)

    def load_controls(self) -> tuple[list[TradingHalt], list[ScopeLimits]]:
        """Load the thrown kill switches and the limits of every scope."""
        return engine_loading.load_controls(self._db)

    def load(self, missing: Missing) -> Loaded:
        """Load what a batch needs; what is not there stays missing."""
        return engine_loading.load_missing(self._db, missing)

    def count_orders(self) -> int:
        """Return about how many orders are stored."""
        return self._db.orders.estimated_document_count()

    def client_ids(self, slice_size: int) -> Iterator[list[tuple[UUID, str]]]:
        """Read every client order id with its account, from the index alone, in slices."""
        return engine_loading.client_ids(self._db, slice_size)

    # -- committing ---------------------------------------------------------------------------------------------

    def commit(self, batch: Batch) -> None:
        """Write a batch in one transaction. Fenced, NotCommitted or CommitUnknown say what happened instead."""
        session = self._session
        assert session is not None
        with pymongo.timeout(self._commit_timeout_s):
            try:
                session.start_transaction(
                    read_concern=ReadConcern("snapshot"),
                    write_concern=DURABLE,
                    read_preference=ReadPreference.PRIMARY,
                )
                self.write(batch, session)
            except Fenced:
                self._abort(session)
                raise
            except (PyMongoError, AssertionError) as error:
                if not isinstance(error, ConnectionFailure):  # else there is nobody to tell
                    self._abort(session)
                raise NotCommitted(_reason(error)) from error
            try:
                session.commit_transaction()
            except PyMongoError as error:
                raise CommitUnknown(_reason(error)) from error

    def write(self, batch: Batch, session: ClientSession | None) -> None:
        """Write a batch's documents, the fence first."""
        self._advance(batch, session)
        if batch.new_orders:
            self._db.orders.insert_many(batch.new_orders, session=session)
        if batch.orders:
            self._replace(batch.orders, session)
        if batch.executions:
            self._db.executions.insert_many(batch.executions, session=session)
        if batch.accounts:
            changed: list[Any] = [UpdateOne({"_id": key}, {"$set": fields}) for key, fields in batch.accounts]
            self._db.accounts.bulk_write(changed, session=session)
        if batch.positions:
            self._db.positions.bulk_write(_writes(batch.positions), session=session)
        if batch.strategy_positions:
            self._db.strategy_positions.bulk_write(_writes(batch.strategy_positions), session=session)
        for key, control in batch.controls:
            self._put(self._db.risk_limits, key, control, session)
        if batch.risk_events:
            self._db.risk_events.insert_many(batch.risk_events, session=session)
        self._db.audit_log.insert_many(batch.entries, session=session)

    def _advance(self, batch: Batch, session: ClientSession | None) -> None:
        moved = self._db.engine_state.update_one(
            ENGINE | {"epoch": self._epoch, "batch": batch.number - 1},
            [
                {
                    "$set": {
                        "batch": batch.number,
                        "audit_seq": batch.audit_seq,
                        "audit_hash": batch.audit_hash,
                        **self._sign(),
                    }
                }
            ],
            session=session,
        )
        if moved.matched_count == 0:
            raise Fenced

    def _replace(self, orders: list[tuple[UUID, RawBSONDocument]], session: ClientSession | None) -> None:
        changed: list[Any] = [ReplaceOne({"_id": key}, document) for key, document in orders]
        result = self._db.orders.bulk_write(changed, session=session)
        assert result.matched_count == len(orders), "an order that was loaded is no longer stored"

    def _put(self, collection: Any, key: str, document: Document | None, session: ClientSession | None) -> None:
        """Put a document in the place of the one before, or take that away; no upsert: mongod 6 has faults there."""
        writes: list[Any] = [DeleteOne({"_id": key})]
        collection.bulk_write(writes if document is None else [*writes, InsertOne(document)], session=session)

    def _abort(self, session: ClientSession) -> None:
        with suppress(PyMongoError):  # the server ends it by itself; what matters is that it is not committed
            session.abort_transaction()


def _writes(positions: Iterable[Written]) -> list[Any]:
    return [
        ReplaceOne({"_id": document["_id"]}, document) if replaces else InsertOne(document)
        for document, replaces in positions
    ]


def _reason(error: Exception) -> str:
    if isinstance(error, BulkWriteError):
        return str((error.details.get("writeErrors") or [{}])[0].get("errmsg", error))
    return str(error)


class OnlookersStore(EngineStore):
    """The storage of an engine that never gets to work: it reads, and leaves the lease to others."""

    def acquire(self, owner: Document, is_dead: Callable[[Document], bool]) -> Head | None:
        """Return None: another process holds it, or will."""
        return None
