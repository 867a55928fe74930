"""Providers of prices.

{ _id: UUID("0192f8a0-…"), name: "Demo market", code: "demo", url: "", is_active: true,
  created_at: ISODate("2026-11-21T09:00:00.000Z"), updated_at: ISODate("2026-11-21T09:00:00.000Z"), version: 1 }
"""

from typing import Any

from pymongo import IndexModel

from qsuite.domain.reference import DataSource
from qsuite.domain.times import datetime_to_ns, ns_to_datetime
from qsuite.repos.database import Database, Document
from qsuite.repos.documents import DocumentRepo
from qsuite.repos.listing import instant, plain
from qsuite.repos.schema import CollectionSpec, schema

NAME = "data_sources"

SPEC = CollectionSpec(
    NAME,
    schema(
        ["_id", "name", "code", "is_active", "created_at", "updated_at", "version"],
        {
            "_id": {"bsonType": "binData"},
            "name": {"bsonType": "string"},
            "code": {"bsonType": "string", "minLength": 1},
            "url": {"bsonType": "string"},
            "is_active": {"bsonType": "bool"},
            "created_at": {"bsonType": "date"},
            "updated_at": {"bsonType": "date"},
            "version": {"bsonType": ["int", "long"], "minimum": 1},
        },
    ),
    (IndexModel([("code", 1)], name="unique_code", unique=True),),
)

FIELDS = {
    "id": plain("_id"),
    "name": plain("name"),
    "code": plain("code"),
    "is_active": plain("is_active"),
    "created_at": instant("created_at"),
    "updated_at": instant("updated_at"),
}


class DataSourcesRepo(DocumentRepo[DataSource]):
    """Keep data sources; ``code`` is unique."""

    def __init__(self, database: Database) -> None:
        super().__init__(
            database,
            NAME,
            "data source",
            to_document=to_document,
            to_domain=to_domain,
            fields=FIELDS,
            search_fields=("name", "code"),
        )

    async def find_by_code(self, code: str) -> DataSource | None:
        """Return the data source of a code, or None."""
        return await self.find_by({"code": code})


def to_document(source: DataSource) -> Document:
    """Write a data source as it is stored."""
    return {
        "_id": source.id,
        "name": source.name,
        "code": source.code,
        "url": source.url,
        "is_active": source.is_active,
        "created_at": ns_to_datetime(source.created_at),
        "updated_at": ns_to_datetime(source.updated_at),
        "version": source.version,
    }


def to_domain(document: dict[str, Any]) -> DataSource:
    """Read a stored data source."""
    return DataSource(
        id=document["_id"],
        name=document["name"],
        code=document["code"],
        url=document.get("url", ""),
        is_active=document["is_active"],
        created_at=datetime_to_ns(document["created_at"]),
        updated_at=datetime_to_ns(document["updated_at"]),
        version=document["version"],
    )
