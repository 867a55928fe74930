"""Bringing a database up to date, from nothing and from what an earlier version left."""

import pytest
from pymongo import IndexModel
from pymongo.errors import WriteError

from qsuite.domain.errors import SetupError
from qsuite.repos.collections import COLLECTIONS
from qsuite.repos.database import Database
from qsuite.repos.schema import CollectionSpec, fingerprint, migrate, schema

FIRST = CollectionSpec(
    "things",
    schema("name", {"name": {"bsonType": "string"}}),
    (IndexModel([("name", 1)], name="by_name"), IndexModel([("size", 1)], name="by_size")),
)


async def test_every_collection_is_made_once_and_then_left_alone(database: Database) -> None:
    changes = await migrate(database, COLLECTIONS)
    touched = {change.partition(":")[0] for change in changes[:-1]}
    assert touched == {spec.name for spec in COLLECTIONS} - {"engine_state"}  # which the lock is in
    names = set(database.sync.list_collection_names())
    assert {spec.name for spec in COLLECTIONS} <= names
    assert await migrate(database, COLLECTIONS) == []
    assert await migrate(database, COLLECTIONS, force=True) == []


async def test_an_index_that_is_defined_otherwise_now_is_built_anew(database: Database) -> None:
    await migrate(database, (FIRST,))
    changed = CollectionSpec(
        "things",
        FIRST.schema,
        (
            IndexModel([("name", 1)], name="by_name", unique=True),
            IndexModel([("size", 1), ("name", 1)], name="by_size"),
            IndexModel([("size", 1)], name="renamed"),
        ),
    )
    assert await migrate(database, (changed,)) == [
        "things: drop the index by_name (name)",
        "things: drop the index by_size (size)",
        "things: build the indexes by_name (name), unique; by_size (size, name); renamed (size)",
    ]
    indexes = database.sync.things.index_information()
    assert indexes["by_name"]["unique"]
    assert indexes["by_size"]["key"] == [("size", 1), ("name", 1)]
    assert indexes["renamed"]["key"] == [("size", 1)]


async def test_a_changed_validator_holds_at_once(database: Database) -> None:
    await migrate(database, (FIRST,))
    database.sync.things.insert_one({"name": "a"})
    await migrate(database, (CollectionSpec("things", schema("name size", {"size": {"bsonType": "int"}})),))
    with pytest.raises(WriteError):
        database.sync.things.insert_one({"name": "b"})


async def test_documents_that_a_new_unique_index_forbids_stop_the_start_with_one_line(database: Database) -> None:
    database.sync.things.insert_many([{"name": "twin"}, {"name": "twin"}])
    unique = CollectionSpec("things", indexes=(IndexModel([("name", 1)], name="by_name", unique=True),))
    with pytest.raises(
        SetupError, match="the collection things cannot be brought up to date: .*duplicate key"
    ) as raised:
        await migrate(database, (unique,))
    assert "\n" not in raised.value.detail


def test_the_order_of_an_indexs_fields_is_part_of_its_definition() -> None:
    one = CollectionSpec("x", indexes=(IndexModel([("a", 1), ("b", 1)], name="n"),))
    other = CollectionSpec("x", indexes=(IndexModel([("b", 1), ("a", 1)], name="n"),))
    assert fingerprint((one,)) != fingerprint((other,))
