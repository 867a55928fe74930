"""Validators and indexes of every collection, and how they get into the database.

Each repo module states its own ``CollectionSpec``; ``COLLECTIONS`` gathers them. Changing a collection waits behind any
transaction that a killed process left open, so it is done only when the fingerprint of the specs has changed.
"""

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pymongo import IndexModel
from pymongo.errors import CollectionInvalid

from qsuite.repos.database import Database, Document

FINGERPRINT = {"_id": "schema"}


@dataclass(frozen=True, slots=True)
class CollectionSpec:
    """One collection: its ``$jsonSchema`` (none on time series), its named indexes, its time-series options."""

    name: str
    schema: Document | None = None
    indexes: tuple[IndexModel, ...] = ()
    options: Document = field(default_factory=dict)


def money(*, nullable: bool = False) -> Document:
    """Describe a decimal in a validator."""
    return {"bsonType": ["decimal", "null"] if nullable else "decimal"}


def schema(required: str | list[str], properties: dict[str, Any]) -> Document:
    """Describe a document; fields not named are allowed, so that a newer version's documents pass an older one.

    ``required`` are names, a list or one text with spaces between.
    """
    names = required.split() if isinstance(required, str) else required
    return {"bsonType": "object", "required": names, "properties": properties}


def fingerprint(specs: tuple[CollectionSpec, ...]) -> str:
    """Return a digest that changes when any spec does."""
    shape = [(spec.name, spec.schema, [index.document for index in spec.indexes], spec.options) for spec in specs]
    return hashlib.sha256(json.dumps(shape, sort_keys=True, default=str).encode()).hexdigest()


async def migrate(database: Database, specs: tuple[CollectionSpec, ...], *, force: bool = False) -> list[str]:
    """Bring validators and indexes up to date; return the collections touched, none when nothing had changed."""
    state = database.collection("engine_state")
    wanted = fingerprint(specs)
    known = await state.find_one(FINGERPRINT)
    if not force and known is not None and known.get("fingerprint") == wanted:
        return []
    existing = set(await state.database.list_collection_names())
    for spec in specs:
        await _apply(database, spec, spec.name in existing)
    await state.update_one(FINGERPRINT, {"$set": {"fingerprint": wanted}}, upsert=True)
    return [spec.name for spec in specs]


async def _apply(database: Database, spec: CollectionSpec, exists: bool) -> None:
    collection = database.collection(spec.name)
    if not exists and database.transactions:
        with suppress(CollectionInvalid):  # another process was first
            await collection.database.create_collection(spec.name, **spec.options)
    if spec.schema is not None and database.transactions:
        await collection.database.command(
            {"collMod": spec.name, "validator": {"$jsonSchema": spec.schema}, "validationLevel": "strict"}
        )
    if spec.indexes:
        await collection.create_indexes(list(spec.indexes))
