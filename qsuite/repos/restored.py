"""What the database was last restored from, until the record tells it.

    engine_state
    { "_id": "restored", "backup": "51aa…", "snapshot": "2026-11-22T09:00:00.000Z", "at": ISODate("…"), "told": true }

The restore itself cannot record it, or what it brought back would not be what was backed up: the next start does.
"""

from typing import NamedTuple

from qsuite.domain.errors import Conflict
from qsuite.repos.database import Database, Session, translated
from qsuite.repos.schema import RESTORED

UNTOLD = RESTORED | {"told": {"$ne": True}}


class Restored(NamedTuple):
    """A restore: the hash of its backup, the instant the backup is of, and when it was restored, in RFC 3339."""

    backup: str
    snapshot: str
    at: str


class RestoredRepo:
    """Find and mark the last restore."""

    def __init__(self, database: Database) -> None:
        self._states = database.collection("engine_state")

    async def find_untold(self) -> Restored | None:
        """Return a restore that is not in the record yet."""
        with translated("engine_state"):
            found = await self._states.find_one(UNTOLD)
        if found is None:
            return None
        return Restored(found["backup"], found["snapshot"], found["at"].isoformat())

    async def mark_told(self, session: Session) -> None:
        """Mark it as told. Conflict where another process has."""
        with translated("engine_state"):
            done = await self._states.update_one(UNTOLD, {"$set": {"told": True}}, session=session)
        if not done.matched_count:
            raise Conflict("another process has told of the restore")
