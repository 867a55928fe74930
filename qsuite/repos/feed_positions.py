"""How far a followed source has been stored, so that a restart asks for what was missed meanwhile.

    { _id: "3b1f…:trades:IBM", next: NumberLong(1042), stamp: NumberLong("1381152600123000000"),
      sure: false, saved_at: ISODate("…") }

``_id`` is a digest of the source's address and the name of one of its sequences. Every message before ``next`` is
stored; ``stamp`` is the newest time among them. Where ``sure`` is false some behind it may be stored as well.
"""

from collections.abc import Mapping
from typing import NamedTuple

from bson import Int64
from pymongo import ReplaceOne

from qsuite.domain.times import ns_to_datetime
from qsuite.repos.database import Database, translated
from qsuite.repos.schema import CollectionSpec, schema

NAME = "feed_positions"

SPEC = CollectionSpec(
    NAME,
    schema(
        "_id next stamp sure saved_at",
        {
            "_id": {"bsonType": "string"},
            "next": {"bsonType": "long", "minimum": 0},
            "stamp": {"bsonType": "long"},
            "sure": {"bsonType": "bool"},
            "saved_at": {"bsonType": "date"},
        },
    ),
)


class FeedPosition(NamedTuple):
    """Where a sequence goes on: the number of the next message, and the newest time before it in nanoseconds."""

    next: int
    stamp: int
    sure: bool


class FeedPositionsRepo:
    """Keep the positions of sources; ``source`` names one."""

    def __init__(self, database: Database) -> None:
        self._collection = database.collection(NAME)

    async def of(self, source: str) -> dict[str, FeedPosition]:
        """Return the positions of a source by the name of its sequence."""
        start = f"{source}:"
        with translated("feed position"):
            found = await self._collection.find({"_id": {"$gte": start, "$lt": f"{source};"}}).to_list(None)
        return {
            each["_id"].removeprefix(start): FeedPosition(int(each["next"]), int(each["stamp"]), each["sure"])
            for each in found
        }

    async def save(self, source: str, positions: Mapping[str, FeedPosition], now_ns: int) -> None:
        """Store positions, each in the place of the one before."""
        if not positions:
            return
        changes = [
            ReplaceOne(
                {"_id": f"{source}:{key}"},
                {
                    "next": Int64(position.next),
                    "stamp": Int64(position.stamp),
                    "sure": position.sure,
                    "saved_at": ns_to_datetime(now_ns),
                },
                upsert=True,
            )
            for key, position in positions.items()
        ]
        with translated("feed position"):
            await self._collection.bulk_write(changes, ordered=False)
