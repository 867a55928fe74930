"""Numbered migrations: one at a time, killed and done again, shown beforehand, never backwards."""

import asyncio
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pymongo import IndexModel

from qsuite.domain.errors import SetupError
from qsuite.repos.collections import COLLECTIONS
from qsuite.repos.database import Database, Document
from qsuite.repos.migrations import MIGRATIONS, Migration
from qsuite.repos.schema import CollectionSpec, dry_run, migrate, schema
from tests.integration.migration_victim import SPEC, migrations
from tests.support.mongod import find_mongod
from tests.support.server import CHECKOUT, run_command

SCHEMA = {"_id": "schema"}


def catalogue(database: Database) -> dict[str, Any]:
    """Every collection with its options and indexes, as the server lists them, and the state of the schema."""
    db = database.sync
    listed = {each["name"]: each["options"] for each in db.list_collections()}
    indexes = {name: [dict(each) for each in db[name].list_indexes()] for name in listed if not name.startswith("sys")}
    return {"collections": listed, "indexes": indexes, "state": list(db.engine_state.find())}


def test_the_numbers_of_migrations_rise_by_one() -> None:
    assert [one.number for one in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))


async def test_a_dry_run_says_what_a_migration_then_does_and_changes_nothing(database: Database) -> None:
    old = CollectionSpec(
        "orders", schema("_id", {"_id": {}}), (IndexModel("at", name="open_orders"), IndexModel("x", name="gone"))
    )
    await migrate(database, (old,))
    database.sync.orders.create_index("theirs", name="made_by_ops")
    before = catalogue(database)
    told = await dry_run(database, COLLECTIONS)
    assert catalogue(database) == before
    assert await migrate(database, COLLECTIONS, force=True) == told
    assert await dry_run(database, COLLECTIONS) == []
    dropped = {f"orders: drop the index {name}" for name in ("gone (x)", "open_orders (at)")}
    assert {"orders: change the validator", "ticks: make the time series", *dropped} < set(told)
    (built,) = [line for line in told if line.startswith("refresh_tokens: build the indexes ")]
    assert "; remove_when_over (kept_until), removes documents in time" in built
    indexes = database.sync.orders.index_information()
    assert "made_by_ops" in indexes
    assert "gone" not in indexes
    assert not any("made_by_ops" in line for line in told)


async def test_of_two_that_start_at_once_one_migrates_and_the_other_waits(database: Database) -> None:
    database.sync.things.insert_many([{"_id": number} for number in range(10)])
    both = await asyncio.gather(*(migrate(database, (SPEC,), migrations=migrations()) for _ in range(2)))
    assert sorted(map(len, both)) == [0, 3]  # an index, a version, a version
    assert database.sync.engine_state.find_one({"_id": "migration_lock"}) is None
    assert database.sync.engine_state.find_one(SCHEMA, {"_id": 0, "version": 1}) == {"version": 2}


async def test_a_migrator_killed_half_way_holds_up_the_next_only_until_its_lock_runs_out(
    database: Database, mongod: str
) -> None:
    database.sync.things.insert_many([{"_id": number} for number in range(10)])
    module = "tests.integration.migration_victim"
    victim = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", module, mongod, database.name], cwd=CHECKOUT, check=False
    )
    assert victim.returncode == -signal.SIGKILL
    left = database.sync.engine_state.find_one({"_id": "migration_lock"})
    assert left is not None
    assert left["what"] == "migrate"
    assert database.sync.engine_state.find_one(SCHEMA, {"_id": 0}) == {"version": 1}
    lines = await migrate(database, (SPEC,), migrations=migrations())
    assert lines == ["version 2: things have sizes"]
    assert [thing["size"] for thing in database.sync.things.find().sort("_id", 1)] == list(range(10))


async def test_two_versions_beside_each_other_do_not_undo_what_each_has_made(database: Database) -> None:
    older, newer = SPEC, replace(SPEC, indexes=(*SPEC.indexes, IndexModel("name", name="by_name")))
    await migrate(database, (older,))
    await migrate(database, (newer,))
    for spec in (older, newer, older):
        assert await migrate(database, (spec,)) == []
    assert set(database.sync.things.index_information()) == {"_id_", "by_size", "by_name"}


async def test_a_dry_run_counts_the_documents_a_step_would_change(database: Database) -> None:
    database.sync.things.insert_many([{"_id": 0, "size": 0}, {"_id": 1}, {"_id": 2}])
    assert await dry_run(database, (SPEC,), migrations()) == [
        "things: build the index by_size (size)",
        "version 1: the first",
        "version 2: things have sizes (2 documents)",
    ]


async def test_a_database_of_a_newer_qsuite_is_left_alone(database: Database) -> None:
    newer: tuple[Migration, ...] = (*MIGRATIONS, Migration(len(MIGRATIONS) + 1, "what is not known yet"))
    await migrate(database, (SPEC,), migrations=newer)
    before: Document = catalogue(database)
    with pytest.raises(SetupError, match=f"schema version {len(newer)}, made by a newer QSuite.*update it"):
        await migrate(database, (replace(SPEC, indexes=()),), force=True)
    assert catalogue(database) == before


@pytest.mark.skipif(find_mongod() is None, reason="no mongod")
async def test_a_server_older_than_the_database_says_so_in_one_line(
    database: Database, mongod: str, tmp_path: Path
) -> None:
    database.sync.engine_state.insert_one({**SCHEMA, "version": 99})
    done = await asyncio.to_thread(run_command, tmp_path / "data", "serve", MONGODB_URI=mongod, DATABASE=database.name)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: the database has schema version 99, made by a newer QSuite;"), done.stderr
    assert done.stderr.count("\n") == 1
