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
from pymongo.errors import CollectionInvalid, OperationFailure

from qsuite.domain.errors import SetupError
from qsuite.repos.database import Collection, Database, Document, translated

FINGERPRINT = {"_id": "schema"}
REDEFINED = (85, 86)  # IndexOptionsConflict, IndexKeySpecsConflict


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
    return hashlib.sha256(json.dumps(shape, default=str).encode()).hexdigest()


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
    with translated(spec.name):
        try:
            if not exists and database.transactions:
                with suppress(CollectionInvalid):  # another process was first
                    await collection.database.create_collection(spec.name, **spec.options)
            if spec.schema is not None and database.transactions:
                await collection.database.command(
                    {"collMod": spec.name, "validator": {"$jsonSchema": spec.schema}, "validationLevel": "strict"}
                )
            for index in spec.indexes:
                await _build(collection, index)
        except OperationFailure as error:
            raise SetupError(
                f"the collection {spec.name} cannot be brought up to date: {_first_line(error)}"
            ) from error


async def _build(collection: "Collection", index: IndexModel) -> None:
    """Build an index; one of the same name or keys that is defined otherwise gives way."""
    try:
        await collection.create_indexes([index])
        return
    except OperationFailure as error:
        if error.code not in REDEFINED:
            raise
    wanted = index.document
    async for known in collection.list_indexes():
        if known["name"] == wanted["name"] or dict(known["key"]) == dict(wanted["key"]):
            await collection.drop_index(known["name"])
    await collection.create_indexes([index])


def _first_line(error: OperationFailure) -> str:
    return str(error).partition(", full error")[0].splitlines()[0]
