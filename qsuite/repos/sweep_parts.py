"""Parts of a sweep that several workers share, while it runs.

{ _id: "0199…/3", sweep: UUID("0199…"), number: 3, first: 1500, count: 500, state: "taken", claim: UUID("…"),
  taken_at: ISODate("…"), laid_at: ISODate("…"), rows: null }

Whoever takes a part computes it, renews it meanwhile, and stores its rows: doubles, a row a set. A part that is not
renewed is anybody's again. Times are the database server's own. What a killed sweep leaves is removed after a week.
"""

from typing import NamedTuple
from uuid import UUID, uuid4

from pymongo import IndexModel, ReturnDocument

from qsuite.repos.database import Database, translated
from qsuite.repos.schema import CollectionSpec, schema

NAME = "sweep_parts"
WHAT = "sweep"
KEPT_S = 7 * 86_400
LEASE_MS = 30_000
FREE, TAKEN, DONE = "free", "taken", "done"

SPEC = CollectionSpec(
    NAME,
    schema(
        "_id sweep number first count state laid_at",
        {
            "_id": {"bsonType": "string"},
            "sweep": {"bsonType": "binData"},
            "number": {"bsonType": ["int", "long"]},
            "first": {"bsonType": ["int", "long"]},
            "count": {"bsonType": ["int", "long"], "minimum": 1},
            "state": {"enum": [FREE, TAKEN, DONE]},
            "claim": {"bsonType": ["binData", "null"]},
            "taken_at": {"bsonType": ["date", "null"]},
            "laid_at": {"bsonType": "date"},
            "rows": {"bsonType": ["binData", "null"]},
        },
    ),
    (
        IndexModel([("sweep", 1), ("number", 1)], name="of_a_sweep"),
        IndexModel([("laid_at", 1)], name="remove_after_a_week", expireAfterSeconds=KEPT_S),
    ),
)


class Part(NamedTuple):
    """Sets from a place on, taken by somebody under a claim."""

    id: str
    first: int
    size: int
    claim: UUID


class SweepPartsRepo:
    """Keep the parts of sweeps under way."""

    def __init__(self, database: Database) -> None:
        self._parts = database.collection(NAME)

    async def lay(self, sweep: UUID, count: int, size: int) -> None:
        """Lay out parts of so many sets, all free; those laid out before stay as they are."""
        for number, first in enumerate(range(0, count, size)):
            part = {
                "sweep": sweep,
                "number": number,
                "first": first,
                "count": min(size, count - first),
                "state": FREE,
                "laid_at": "$$NOW",
            }
            fresh = {"$cond": [{"$eq": [{"$type": "$state"}, "missing"]}, part, {}]}
            with translated(WHAT):
                await self._parts.update_one(
                    {"_id": f"{sweep}/{number}"},
                    [{"$replaceWith": {"$mergeObjects": ["$$ROOT", fresh]}}],
                    upsert=True,
                )

    async def take(self, sweep: UUID) -> Part | None:
        """Take the first part that is free, or that was let go of; None where there is none."""
        let_go = {"$lt": ["$taken_at", {"$subtract": ["$$NOW", LEASE_MS]}]}
        claim = uuid4()
        with translated(WHAT):
            found = await self._parts.find_one_and_update(
                {"sweep": sweep, "$or": [{"state": FREE}, {"state": TAKEN, "$expr": let_go}]},
                [{"$set": {"state": TAKEN, "claim": claim, "taken_at": "$$NOW"}}],
                sort=[("number", 1)],
                return_document=ReturnDocument.AFTER,
            )
        return None if found is None else Part(found["_id"], found["first"], found["count"], claim)

    async def renew(self, part: Part) -> None:
        """Keep a part taken."""
        with translated(WHAT):
            await self._parts.update_one({"_id": part.id, "claim": part.claim}, [{"$set": {"taken_at": "$$NOW"}}])

    async def done(self, part: Part, rows: bytes) -> None:
        """Store what came of a part; nothing happens where it is somebody else's by now."""
        with translated(WHAT):
            await self._parts.update_one({"_id": part.id, "claim": part.claim}, {"$set": {"state": DONE, "rows": rows}})

    async def left(self, sweep: UUID) -> int:
        """Return how many parts are not done."""
        with translated(WHAT):
            return await self._parts.count_documents({"sweep": sweep, "state": {"$ne": DONE}})

    async def rows(self, sweep: UUID) -> bytes:
        """Return the rows of all parts, in the sets' order."""
        with translated(WHAT):
            found = await self._parts.find({"sweep": sweep}, {"rows": 1}).sort("number", 1).to_list(None)
        return b"".join(part["rows"] for part in found)

    async def clear(self, sweep: UUID) -> None:
        """Remove the parts of a sweep that is over."""
        with translated(WHAT):
            await self._parts.delete_many({"sweep": sweep})
