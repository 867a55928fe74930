"""Files that models are kept in and learn from, in parts that fit a document.

{ _id: "0199…-…/0", file: UUID("0199…"), part: 0, parts: 2, size_bytes: 9437184, sha256: "51aa…",
  data: BinData(0, "…"), created_at: ISODate("2026-11-22T09:00:00.000Z"), expires_at: null }

Every part names the digest and size of the whole. Invariant: what is read is what was written, to the last bit, or it
is refused; a part missing, doubled or changed is never papered over. A part with ``expires_at`` goes by itself then.
"""

import hashlib
from datetime import datetime
from typing import Any
from uuid import UUID

from pymongo import IndexModel

from qsuite.domain.errors import NotFound, TooLarge, Unavailable
from qsuite.domain.times import ns_to_datetime
from qsuite.repos.database import Database, Document, translated
from qsuite.repos.schema import CollectionSpec, schema

NAME = "model_files"
PART_BYTES = 8 * 1024 * 1024
"""Half of what a document may hold, so that two fit a message."""
MAX_BYTES = 256 * 1024 * 1024

SPEC = CollectionSpec(
    NAME,
    schema(
        "_id file part parts size_bytes sha256 data created_at",
        {
            "_id": {"bsonType": "string"},
            "file": {"bsonType": "binData"},
            "part": {"bsonType": ["int", "long"], "minimum": 0},
            "parts": {"bsonType": ["int", "long"], "minimum": 1},
            "size_bytes": {"bsonType": ["int", "long"], "minimum": 0},
            "sha256": {"bsonType": "string", "minLength": 64, "maxLength": 64},
            "data": {"bsonType": "binData"},
            "created_at": {"bsonType": "date"},
            "expires_at": {"bsonType": ["date", "null"]},
        },
    ),
    (
        IndexModel([("file", 1), ("part", 1)], name="parts_of_a_file", unique=True),
        IndexModel([("expires_at", 1)], name="remove_when_over", expireAfterSeconds=0),
    ),
)


class ModelFilesRepo:
    """Keep files by the id of what they belong to."""

    def __init__(self, database: Database) -> None:
        self._parts = database.collection(NAME)

    async def save(self, file: UUID, data: bytes, *, now: int, expires_at: int | None = None) -> str:
        """Store a file, in place of what was there under its id; return its sha256 in hex.

        TooLarge above ``MAX_BYTES``. Times in nanoseconds.
        """
        if len(data) > MAX_BYTES:
            raise TooLarge(f"a model's file may have {MAX_BYTES:,} bytes, this one has {len(data):,}")
        ends = None if expires_at is None else ns_to_datetime(expires_at)
        documents = parts_of(file, data, created_at=ns_to_datetime(now), expires_at=ends)
        with translated("model file"):
            for document in documents:
                await self._parts.replace_one({"_id": document["_id"]}, document, upsert=True)
            await self._parts.delete_many({"file": file, "part": {"$gte": len(documents)}})
        return str(documents[0]["sha256"])

    async def read(self, file: UUID, sha256: str) -> bytes:
        """Return a file that has this digest. NotFound where there is none, Unavailable for one that was changed."""
        with translated("model file"):
            parts = await self._parts.find({"file": file}).sort("part", 1).to_list(None)
        if not parts:
            raise NotFound(f"no file of {file}")
        data = b"".join(part["data"] for part in parts)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise Unavailable(
                f"the stored file of {file} is not the one that was saved: train again", code="model.damaged"
            )
        return data

    async def remove(self, file: UUID) -> None:
        """Remove a file, if there is one."""
        with translated("model file"):
            await self._parts.delete_many({"file": file})


def parts_of(file: UUID, data: bytes, *, created_at: datetime, expires_at: datetime | None) -> list[Document]:
    """Cut a file into documents; an empty one is one empty part."""
    pieces = [data[start : start + PART_BYTES] for start in range(0, max(len(data), 1), PART_BYTES)]
    shared: dict[str, Any] = {
        "file": file,
        "parts": len(pieces),
        "size_bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "created_at": created_at,
        "expires_at": expires_at,
    }
    return [{"_id": f"{file}/{number}", "part": number, **shared, "data": piece} for number, piece in enumerate(pieces)]
