"""How far each import of a file got, so that it can go on and be repeated.

    { _id: "9f2c…", file: "ibm_trades_20131007_11.csv.gz", kind: "trades", state: "done", line: 126396,
      created: 126395, unchanged: 0, rejected: 0, started_at: ISODate("…"), updated_at: ISODate("…") }

``_id`` is a digest of the file's bytes and of how they were read. ``line`` is the last line whose rows are stored for
certain; those behind it may be, and are looked up one by one when the import goes on.
"""

from dataclasses import dataclass
from typing import Any

from qsuite.domain.times import datetime_to_ns, ns_to_datetime
from qsuite.repos.database import Database, Document, translated
from qsuite.repos.schema import CollectionSpec, schema

NAME = "imports"

SPEC = CollectionSpec(
    NAME,
    schema(
        ["_id", "file", "kind", "state", "line", "created", "unchanged", "rejected"],
        {
            "_id": {"bsonType": "string"},
            "file": {"bsonType": "string"},
            "kind": {"bsonType": "string"},
            "state": {"enum": ["running", "done"]},
            "line": {"bsonType": ["int", "long"], "minimum": 0},
            "created": {"bsonType": ["int", "long"]},
            "unchanged": {"bsonType": ["int", "long"]},
            "rejected": {"bsonType": ["int", "long"]},
            "started_at": {"bsonType": "date"},
            "updated_at": {"bsonType": "date"},
        },
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRecord:
    """One file's import; the counts cover everything up to ``line``, over all its runs."""

    id: str
    file: str
    kind: str
    started_at: int
    updated_at: int
    done: bool = False
    line: int = 0
    created: int = 0
    unchanged: int = 0
    rejected: int = 0


class ImportsRepo:
    """Keep import records."""

    def __init__(self, database: Database) -> None:
        self._collection = database.collection(NAME)

    async def find(self, identity: str) -> ImportRecord | None:
        """Return the record of a file, or None when it was never imported."""
        with translated("import"):
            found = await self._collection.find_one({"_id": identity})
        return None if found is None else _to_domain(found)

    async def save(self, record: ImportRecord) -> None:
        """Store how far an import is."""
        document = _to_document(record)
        with translated("import"):
            await self._collection.replace_one({"_id": record.id}, document, upsert=True)


def _to_document(record: ImportRecord) -> Document:
    return {
        "_id": record.id,
        "file": record.file,
        "kind": record.kind,
        "state": "done" if record.done else "running",
        "line": record.line,
        "created": record.created,
        "unchanged": record.unchanged,
        "rejected": record.rejected,
        "started_at": ns_to_datetime(record.started_at),
        "updated_at": ns_to_datetime(record.updated_at),
    }


def _to_domain(document: dict[str, Any]) -> ImportRecord:
    return ImportRecord(
        id=document["_id"],
        file=document["file"],
        kind=document["kind"],
        started_at=datetime_to_ns(document["started_at"]),
        updated_at=datetime_to_ns(document["updated_at"]),
        done=document["state"] == "done",
        line=document["line"],
        created=document["created"],
        unchanged=document["unchanged"],
        rejected=document["rejected"],
    )
