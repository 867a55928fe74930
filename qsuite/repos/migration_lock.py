"""The lock that migrations and restores work under: a lease in the database, which runs out when its holder dies.

    engine_state
    { "_id": "migration_lock", "holder": UUID("0199…"), "what": "migrate", "until": ISODate("…") }

Times are the database server's own. The holder renews the lease from a thread of its own, so that building an index
for an hour keeps it; one that is killed, or cut off, holds up the next for ``LEASE_S`` at most. Invariant: what is done
under the lock is done whole again by the next holder, so that a lost lease costs time and nothing else.
"""

import threading
import time
from types import TracebackType
from typing import Self
from uuid import UUID, uuid4

import structlog
from bson.binary import Binary
from pymongo.database import Database as SyncDatabase
from pymongo.errors import DuplicateKeyError, PyMongoError

from qsuite.repos.database import Document

log = structlog.get_logger(__name__)

LOCK = {"_id": "migration_lock"}
LEASE_S = 10.0
POLL_S = 0.2


class MigrationLock:
    """Wait for the lock, and hold it for as long as the block takes. For threads."""

    def __init__(self, db: SyncDatabase[Document], what: str, *, lease_s: float = LEASE_S) -> None:
        self._states = db.engine_state
        self._what = what
        self._lease_ms = int(lease_s * 1000)
        self._holder: UUID = uuid4()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="qsuite-migration-lock", daemon=True)

    def __enter__(self) -> Self:
        told = False
        while not self._take():
            if not told:
                log.info("migration.waiting", lock=self._held_by())
                told = True
            time.sleep(POLL_S)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        try:
            self._states.delete_one(self._mine)
        except PyMongoError as failed:  # then it runs out by itself
            log.warning("migration.lock_left", reason=str(failed))

    @property
    def _mine(self) -> Document:
        return LOCK | {"holder": Binary.from_uuid(self._holder)}

    def _take(self) -> bool:
        """Take the lock where there is none, or where it has run out."""
        said = {
            "holder": {"$literal": Binary.from_uuid(self._holder)},
            "what": {"$literal": self._what},
            "until": {"$add": ["$$NOW", self._lease_ms]},
        }
        over = LOCK | {"$expr": {"$lt": ["$until", "$$NOW"]}}
        if self._states.update_one(over, [{"$set": said}]).matched_count:
            return True
        try:
            none = LOCK | {"holder": None}  # what no lock has, so that one which is there is not touched
            self._states.update_one(none, [{"$set": said}], upsert=True)
        except DuplicateKeyError:  # it is there and has not run out
            return False
        return True

    def _held_by(self) -> str:
        found = self._states.find_one(LOCK)
        return "nobody any more" if found is None else str(found["what"])

    def _renew(self) -> None:
        while not self._ended.wait(self._lease_ms / 3000):
            try:
                later = {"until": {"$add": ["$$NOW", self._lease_ms]}}
                if not self._states.update_one(self._mine, [{"$set": later}]).matched_count:
                    log.warning("migration.lock_lost", what=self._what)
                    return
            except PyMongoError as error:  # the next try may do; until the lease is over it is ours
                log.warning("migration.lock_not_renewed", reason=str(error))
