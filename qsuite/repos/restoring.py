"""A database filled from a backup: emptied, marked, filled, held against the backup, opened again.

    engine_state
    { "_id": "restoring", "backup": "51aa…", "epoch": 12 }     from before the first change to after the last
    { "_id": "restored", "backup": "51aa…", "snapshot": "2026-11-22T09:00:00.000Z", "at": ISODate("…") }

Invariants: while the mark is there nobody starts on the database (``schema``), so that one which is half full is never
taken for a whole one; whoever restores again begins from nothing. The engine's epoch rises above every one it had, here
or in the backup: an engine that was still running when its database was emptied cannot commit another batch.

Synchronous, for a thread of its own; the lock of the migrations is held by whoever calls.
"""

from collections.abc import Iterator
from typing import Any

import pymongo
from bson import json_util
from bson.raw_bson import RawBSONDocument
from pymongo import WriteConcern
from pymongo.errors import BulkWriteError, OperationFailure

from qsuite.domain.errors import SetupError
from qsuite.repos import engine_store, processes
from qsuite.repos.collections import COLLECTIONS
from qsuite.repos.database import DURABLE, Database, Document, translated
from qsuite.repos.migration_lock import LOCK
from qsuite.repos.schema import RESTORED, RESTORING, bring_up
from qsuite.repos.schema_plan import first_line

STATES = engine_store.SPEC.name
GONE = {"host": "", "boot": "", "space": "", "pid": 0}
"""The owner of an engine that nobody has."""
INSERT_DOCUMENTS = 5_000
QUICK = WriteConcern(w=1)
"""Of the documents alone: ``settle`` waits for a majority, which then has what was written before."""


class Restoring:
    """Fill one database."""

    def __init__(self, database: Database, backup: str) -> None:
        self._database = database
        self._db = database.sync
        self._states = self._db[STATES]
        self._backup = backup

    def require_free(self, *, replace: bool) -> None:
        """Refuse (SetupError) a database that somebody uses, or that holds something which is not to be replaced."""
        seen = {"_id": {"$regex": f"^{processes.PREFIX}"}} | _later_than("$seen", -processes.THERE_MS)
        held = engine_store.ENGINE | _later_than("$lease_until", 0)
        with translated(STATES):
            if self._states.find_one({"$or": [seen, held]}) is not None:
                raise SetupError("a server runs on this database, or did until just now: stop it and run this again")
            if replace or self._states.find_one(RESTORING) is not None:
                return
            full = [name for name in self._names() if self._db[name].find_one({}, {"_id": 1}) is not None]
            if full or self._states.find_one(engine_store.ENGINE) is not None:
                raise SetupError(
                    f"the database {self._database.name} is not empty ({', '.join(full[:5]) or STATES}): give --replace"
                    " to throw away what it holds"
                )

    def begin(self, epoch: int) -> None:
        """Mark the database, then empty it. ``epoch`` is the backup's."""
        with translated(STATES):
            known = self._states.find_one(engine_store.ENGINE, {"epoch": 1}) or {}
            epochs = {"$max": {"epoch": max(epoch, known.get("epoch", 0))}}
            self._states.update_one(RESTORING, {"$set": {"backup": self._backup}, **epochs}, upsert=True)
            for name in self._names():
                self._drop(name)
            self._states.delete_many({"_id": {"$nin": [RESTORING["_id"], LOCK["_id"]]}})

    def create(self, name: str, options_json: str) -> None:
        """Make a collection as the specs have it, one of somebody else's as it was; validators and indexes follow."""
        known = next((spec.options for spec in COLLECTIONS if spec.name == name), None)
        options = json_util.loads(options_json) if known is None else known
        if name != STATES:
            with translated(name):
                self._db.create_collection(name, **options)

    def insert(self, name: str, documents: bytes) -> int:
        """Store documents that stand one after the other as BSON, as they are; return how many."""
        collection = self._db.get_collection(name, write_concern=QUICK)
        stored = 0
        for group in _groups(documents):
            with translated(name), pymongo.timeout(0):
                try:
                    # They fitted their collection when they were written; what has changed since is the steps' to do.
                    collection.insert_many(group, ordered=False)
                except BulkWriteError as error:
                    raise SetupError(f"{name} cannot be filled: {_first_fault(error)}") from None
            stored += len(group)
        return stored

    def settle(self) -> None:
        """Wait until a majority has what was inserted, so that a snapshot shows all of it."""
        with translated(STATES):
            self._states.with_options(write_concern=DURABLE).update_one(RESTORING, {"$set": {"filled": True}})

    def bring_up(self, version: int) -> list[str]:
        """Give the collections their validators and indexes, and bring documents of an older version forward."""
        with translated("the schema"):
            return bring_up(self._db, COLLECTIONS, version)

    def finish(self, snapshot: str) -> None:
        """Let the engine be taken, under a new epoch; say what was restored; take the mark away, last of all."""
        with translated(STATES):
            mark = self._states.find_one(RESTORING) or {}
            free = {"epoch": mark.get("epoch", 0) + 1, "owner": {"$literal": GONE}, "session": None}
            free |= {"lease_until": "$$NOW", "signed": "$$NOW"}
            self._states.update_one(engine_store.ENGINE, [{"$set": free}])
            told = {"backup": {"$literal": self._backup}, "snapshot": {"$literal": snapshot}, "at": "$$NOW"}
            self._states.update_one(RESTORED, [{"$set": told}], upsert=True)
            self._states.with_options(write_concern=DURABLE).delete_one(RESTORING)

    def _names(self) -> list[str]:
        listed = [each for each in self._db.list_collections() if each["type"] != "view"]
        return [each["name"] for each in listed if not each["name"].startswith("system.") and each["name"] != STATES]

    def _drop(self, name: str) -> None:
        try:
            self._db.drop_collection(name)
        except OperationFailure as error:
            raise SetupError(
                f"{name} cannot be removed ({first_line(error)}): restore with an administrator's address in"
                " QSUITE_MONGO__ADMIN_URI, or into a database that is empty"
            ) from None


def _groups(documents: bytes) -> Iterator[list[RawBSONDocument]]:
    group: list[RawBSONDocument] = []
    at = 0
    while at < len(documents):
        end = at + int.from_bytes(documents[at : at + 4], "little")
        group.append(RawBSONDocument(documents[at:end]))
        at = end
        if len(group) == INSERT_DOCUMENTS:
            yield group
            group = []
    if group:
        yield group


def _later_than(field: str, ms: int) -> Document:
    return {"$expr": {"$gt": [field, {"$add": ["$$NOW", ms]}]}}


def _first_fault(error: BulkWriteError) -> str:
    details: Any = error.details
    faults = details.get("writeErrors") or details.get("writeConcernErrors") or [{}]
    return str(faults[0].get("errmsg", error))
