"""Which processes are on this database: each says every second that it is there.

    engine_state
    { "_id": "process:0199…", "seen": ISODate("…") }
    { "_id": "lives", "count": 17 }

Times are the database server's own. Each start of a process is a life of its own, with a number no other one has.
"""

from uuid import UUID

from pymongo import ReturnDocument

from qsuite.repos.database import Database, Document, translated

PREFIX = "process:"
THERE_MS = 5_000
FORGOTTEN_MS = 60_000


class ProcessesRepo:
    """Say that a process is there, and count the others."""

    def __init__(self, database: Database, process: UUID) -> None:
        self._states = database.collection("engine_state")
        self._name = f"{PREFIX}{process}"

    async def say(self) -> int:
        """Say that this process is there; return how many others said so lately."""
        with translated("engine_state"):
            await self._states.update_one({"_id": self._name}, [{"$set": {"seen": "$$NOW"}}], upsert=True)
            return await self._states.count_documents(_others(self._name) | _seen("$gte", THERE_MS))

    async def new_life(self) -> int:
        """Count one more life of a process, and return its number."""
        with translated("engine_state"):
            counted = await self._states.find_one_and_update(
                {"_id": "lives"}, {"$inc": {"count": 1}}, upsert=True, return_document=ReturnDocument.AFTER
            )
        return int(counted["count"])

    async def leave(self) -> None:
        """Say that this process is gone, and forget those that could not say so."""
        with translated("engine_state"):
            await self._states.delete_one({"_id": self._name})
            await self._states.delete_many(_others(self._name) | _seen("$lt", FORGOTTEN_MS))


def _others(name: str) -> Document:
    return {"_id": {"$gte": PREFIX, "$lt": f"{PREFIX}g", "$ne": name}}


def _seen(operator: str, ago_ms: int) -> Document:
    return {"$expr": {operator: ["$seen", {"$subtract": ["$$NOW", ago_ms]}]}}
