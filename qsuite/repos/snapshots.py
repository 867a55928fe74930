"""The whole database as of one instant, as raw BSON: what a backup writes down and a state hash is taken of.

Invariant: everything is read at one cluster time, majority-committed, in whole batches of the engine, while others
write; and in the order of ``_id``, so that where documents happen to lie is of no matter. A time series has no ids and
is read in the order of its buckets; it is of the same instant all the same (tried on mongod 6.0.5).

Left out is what no snapshot can hold or what belongs to running processes: the capped ``tick_feed``, which hands live
ticks from one process to the other and is never read later, and of ``engine_state`` leases, locks and signs of life.

Synchronous, for a thread of its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

from bson import json_util
from pymongo.client_session import ClientSession
from pymongo.database import Database as SyncDatabase
from pymongo.errors import OperationFailure

from qsuite.domain.errors import SetupError, Unavailable
from qsuite.repos import engine_store, processes, tick_feed
from qsuite.repos.database import Database, Document, translated
from qsuite.repos.migration_lock import LOCK
from qsuite.repos.schema import RESTORED, RESTORING, SCHEMA

SNAPSHOT_UNAVAILABLE, SNAPSHOT_TOO_OLD = 246, 239
BATCH_DOCUMENTS = 2_000
"""Read at a time: a message of some megabytes, between which others have their turn."""

LEFT_OUT = {tick_feed.NAME: "live ticks on their way from one process to the others; they are in ticks as well"}
STATES = engine_store.SPEC.name
OF_PROCESSES: Document = {
    "_id": {
        "$not": {"$regex": f"^{processes.PREFIX}"},
        "$nin": [each["_id"] for each in (LOCK, SCHEMA, RESTORING, RESTORED)],
    }
}
LEASE_FIELDS = ("epoch", "owner", "session", "lease_until", "signed")
"""Of the engine's document: who has it, not where it stands."""


class Batch(NamedTuple):
    """Documents one after the other, as BSON."""

    documents: int
    data: bytes


class Stored(NamedTuple):
    """A collection as the database lists it."""

    name: str
    options: Document
    bytes: int

    @property
    def ordered(self) -> bool:
        """Say whether it has ids to be read by."""
        return "timeseries" not in self.options

    @property
    def options_json(self) -> str:
        """Return how it was made, as MongoDB's extended JSON."""
        return json_util.dumps(self.options)


class Snapshot:
    """Read any collection as it was at ``taken_at``. ``open_snapshot`` makes one."""

    def __init__(self, db: SyncDatabase[Document], session: ClientSession) -> None:
        self._db = db
        self._session = session
        self.collections = _collections(db)
        """What there is, by name."""
        self.taken_at: datetime = self._begin()
        """The instant, by the database server's clock."""

    def batches(self, name: str) -> Iterator[Batch]:
        """Yield a collection. Unavailable where the instant has passed out of the server's history."""
        collection: Any = self._db[name]
        query, fields = (OF_PROCESSES, dict.fromkeys(LEASE_FIELDS, 0)) if name == STATES else ({}, None)
        found = collection.find_raw_batches(query, fields, session=self._session, batch_size=BATCH_DOCUMENTS)
        ordered = next((each.ordered for each in self.collections if each.name == name), True)
        with self._told():
            for data in found.sort("_id", 1) if ordered else found:
                yield Batch(count_documents(data), data)

    def engine_epoch(self) -> int:
        """Return how often the engine was taken, 0 for never."""
        with self._told():
            found = self._db[STATES].find_one(engine_store.ENGINE, {"epoch": 1}, session=self._session)
        return 0 if found is None else int(found.get("epoch", 0))

    def schema_version(self) -> int:
        """Return the version of the schema, 0 for one that had none yet."""
        with self._told():
            found = self._db[STATES].find_one(SCHEMA, {"version": 1}, session=self._session)
        return 0 if found is None else int(found.get("version", 0))

    def _begin(self) -> datetime:
        """Fix the instant: the first read of the session does, so it asks for the time as well."""
        with self._told():
            found = self._db[STATES].find_one({}, {"now": "$$NOW"}, session=self._session)
        if found is None:
            raise SetupError("the database is empty: there is nothing that QSuite has kept in it")
        now: datetime = found["now"]
        return now

    @contextmanager
    def _told(self) -> Iterator[None]:
        with translated("the snapshot"):
            try:
                yield
            except OperationFailure as error:
                if error.code == SNAPSHOT_TOO_OLD:
                    raise Unavailable(
                        "reading took longer than the database keeps its history: raise its parameter"
                        " minSnapshotHistoryWindowInSeconds (docs/backup.md)"
                    ) from None
                if error.code == SNAPSHOT_UNAVAILABLE:
                    raise Unavailable("a collection or index was changed meanwhile; run it again") from None
                raise


@contextmanager
def open_snapshot(database: Database) -> Iterator[Snapshot]:
    """Open the database as it is now. SetupError in memory, which has no snapshots, and where there is nothing."""
    if not database.transactions:
        raise SetupError("all is held in memory, where nothing is kept and nothing can be backed up")
    with database.sync_client.start_session(snapshot=True) as session:
        yield Snapshot(database.sync, session)


def count_documents(data: bytes) -> int:
    """Count documents that stand one after the other."""
    at = count = 0
    while at < len(data):
        at += int.from_bytes(data[at : at + 4], "little")
        count += 1
    return count


def _collections(db: SyncDatabase[Document]) -> tuple[Stored, ...]:
    with translated("the list of collections"):
        listed = [each for each in db.list_collections() if not each["name"].startswith("system.")]
        kept = [each for each in listed if each["type"] != "view" and each["name"] not in LEFT_OUT]
        sizes = {each["name"]: int(db.command("collStats", each["name"])["size"]) for each in kept}
    found = [Stored(each["name"], dict(each["options"]), sizes[each["name"]]) for each in kept]
    return tuple(sorted(found))
