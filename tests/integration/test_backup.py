"""Backup and restore, on a database that was backed up while it was traded on."""

import asyncio
import io
import json
import random
import signal
import subprocess
import sys
import tarfile
import time
import uuid
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import UUID

import pytest
from tornado.ioloop import IOLoop

from qsuite.domain.errors import SetupError, Unavailable
from qsuite.repos.collections import COLLECTIONS
from qsuite.repos.database import Database, connect
from qsuite.repos.migrations import MIGRATIONS
from qsuite.repos.schema import SCHEMA, dry_run, migrate
from qsuite.repos.state_hash import NOT_STATE
from qsuite.services.backup.archive import ArchiveWriter
from qsuite.services.backup.put_back import PutBack, put_back
from qsuite.services.backup.reading import open_archive
from qsuite.services.backup.take import take
from qsuite.settings import Settings
from tests.support.backups import HEADS, SYMBOL, Traded, backed_up, disagreements, server_settings, state_of
from tests.support.running_app import PASSWORD
from tests.support.server import CHECKOUT, COMMAND, environment, run_command, serving
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def traded(
    mongod: str, io_loop: IOLoop, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Traded]:
    database = connect(mongod, f"test_backup_{uuid.uuid4().hex[:12]}", pool_size=16)
    stack = AsyncExitStack()
    found = io_loop.run_sync(
        lambda: stack.enter_async_context(backed_up(settings, database, tmp_path_factory.mktemp("backed-up"))),
        timeout=60,
    )
    yield found
    io_loop.run_sync(stack.aclose)
    database.sync_client.drop_database(database.name)
    database.close()


def restore(database: Database, path: Path, heads: Path, *, replace: bool = False) -> PutBack:
    return put_back(database, open_archive(path), replace=replace, heads_file=heads)


async def test_what_is_backed_up_under_load_is_whole_batches_and_trading_goes_on(
    traded: Traded, database: Database, tmp_path: Path
) -> None:
    assert len(traded.during) >= 20, "nobody traded while the backup was made"
    put = await asyncio.to_thread(restore, database, traded.path, tmp_path / HEADS)
    assert put.state_hash == traded.taken.manifest["state_hash"] == await asyncio.to_thread(state_of, database)
    assert await asyncio.to_thread(disagreements, database) == []
    there = {str(each["_id"]) for each in database.sync.orders.find({}, {"_id": 1})}
    assert set(traded.before) <= there
    assert there < set(traded.after)
    assert database.sync.ticks.count_documents({}) == _of(traded, "ticks")["documents"] > 0
    assert (tmp_path / HEADS).read_bytes() == open_archive(traded.path).file(f"files/{HEADS}")
    assert await dry_run(database, COLLECTIONS) == []


def _of(traded: Traded, name: str) -> dict[str, int]:
    (found,) = [each for each in traded.taken.manifest["collections"] if each["name"] == name]
    return dict(found)


async def test_after_a_wipe_the_command_brings_back_the_same_state_and_a_server_trades_on(
    traded: Traded, mongod: str, tmp_path: Path
) -> None:
    data_dir, its = traded.data_dir, server_settings(mongod, traded.database)
    made = await asyncio.to_thread(run_command, data_dir, "backup", str(tmp_path), **its)
    assert made.returncode == 0, made.stderr
    path = _only(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    before = await asyncio.to_thread(state_of, traded.database)
    assert f"state hash {before}\n" in made.stdout
    assert (await asyncio.to_thread(run_command, data_dir, "state-hash", **its)).stdout == f"{before}\n"
    with pytest.raises(SetupError, match="is not empty"):
        await asyncio.to_thread(restore, traded.database, path, data_dir / HEADS)

    epoch = traded.database.sync.engine_state.find_one({"_id": "engine"})["epoch"]  # type: ignore[index]
    traded.database.sync_client.drop_database(traded.database.name)
    restored = await asyncio.to_thread(run_command, data_dir, "restore", str(path), **its)
    assert restored.returncode == 0, restored.stderr
    assert f"state hash {before}, as in the backup\nThe books agree: " in restored.stdout
    assert "WARNING" not in restored.stderr
    assert await asyncio.to_thread(state_of, traded.database) == before
    assert traded.database.sync.engine_state.find_one({"_id": "engine"})["epoch"] > epoch  # type: ignore[index]
    await asyncio.to_thread(_trades_on, traded, its)
    assert await asyncio.to_thread(disagreements, traded.database) == []


def _only(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def _trades_on(traded: Traded, its: dict[str, str]) -> None:
    """A server starts on what was restored: logins work, orders fill and the record verifies."""
    with serving(traded.data_dir, **its) as server:
        trader = server.login(traded.username, PASSWORD)
        admin = server.login("admin-5", PASSWORD)
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        tick = {"symbol": SYMBOL, "ts": now, "kind": "quote", "bid": "99.98", "ask": "100.02"}
        assert server.post("/api/v1/ticks/", [tick], admin)[0] in (200, 201)
        order = {"symbol": SYMBOL, "side": "BUY", "order_type": "MARKET", "quantity": "1"}
        status, filled = server.post("/api/v1/orders/", order, trader)
        assert (status, filled["status"]) == (201, "FILLED")
        assert server.get(f"/api/v1/orders/{traded.before[0]}/", trader)[0] in (200, 404)
        status, verdict = server.get("/api/v1/audit/verify/", admin)
        assert (status, verdict["ok"]) == (200, True), verdict
        assert server.stop() == 0
    told = list(traded.database.sync.audit_access.find({"kind": {"$regex": "^backup"}}).sort("_id", 1))
    assert [each["kind"] for each in told] == ["backup.taken", "backup.restored"]
    assert told[1]["facts"]["snapshot"].endswith("Z")


def test_a_changed_byte_anywhere_is_found_before_anything_is_written(traded: Traded, tmp_path: Path) -> None:
    whole = traded.path.read_bytes()
    path = tmp_path / "changed.tar"
    generator = random.Random(20261122)
    with tarfile.open(traded.path) as tar:
        edges = [
            at for each in tar.getmembers() for at in (each.offset, each.offset_data, each.offset_data + each.size)
        ]
    places = [*edges, len(whole) - 1, *(generator.randrange(len(whole)) for _ in range(300))]
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= generator.randrange(1, 256)
        path.write_bytes(changed)
        with pytest.raises(SetupError, match="cannot be used"):
            open_archive(path)
    for end in (0, 1, 512, *(generator.randrange(len(whole)) for _ in range(50)), len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(SetupError, match="cannot be used"):
            open_archive(path)
    for more in (b"\0", bytes(512), whole):
        path.write_bytes(whole + more)
        with pytest.raises(SetupError, match="cannot be used"):
            open_archive(path)
    path.write_bytes(whole)
    assert open_archive(path).sha256 == traded.taken.sha256


def test_tar_and_zstd_alone_read_it(traded: Traded) -> None:
    import pyarrow

    with tarfile.open(traded.path) as tar:
        names = tar.getnames()
        data = tar.extractfile("orders/00001.bson.zst")
        assert data is not None
        with pyarrow.input_stream(io.BytesIO(data.read()), compression="zstd") as stream:
            first = stream.read(4)
            length = int.from_bytes(first, "little")
            body = first + stream.read(length - 4)
    assert (names[0], names[-2:]) == ("README", ["manifest.json", "SHA256"])
    assert body[-1] == 0
    assert b"client_order_id" in body


async def test_a_backup_killed_half_way_leaves_nothing_that_looks_whole(
    traded: Traded, mongod: str, tmp_path: Path
) -> None:
    path = tmp_path / "killed.tar"
    partial = tmp_path / "killed.tar.partial"
    its = environment(traded.data_dir, **server_settings(mongod, traded.database))

    def kill() -> None:
        process = subprocess.Popen([*COMMAND, "backup", "--rate", "0.2", str(path)], env=its, cwd=tmp_path)
        try:
            wait_until(lambda: partial.exists() and partial.stat().st_size > 4_096, timeout_s=30)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()

    await asyncio.to_thread(kill)
    assert not path.exists()
    assert partial.stat().st_mode & 0o777 == 0o600
    with pytest.raises(SetupError, match="cannot be used"):
        open_archive(partial)
    traded.database.sync.engine_state.delete_one({"_id": "migration_lock"})  # instead of waiting until it runs out
    taken = await traded.database.in_thread(
        take, traded.database, path, heads_file=traded.data_dir / HEADS, secret="another"
    )
    assert open_archive(path).sha256 == taken.sha256
    assert not partial.exists()


async def test_a_restore_killed_at_any_point_is_seen_and_can_be_run_again(
    traded: Traded, database: Database, mongod: str, tmp_path: Path
) -> None:
    module = "tests.integration.restore_victim"
    for point in ("part", "opening"):  # the second begins anew what the first left
        command = [sys.executable, "-m", module, mongod, database.name, traded.path, point]
        victim = await asyncio.to_thread(subprocess.run, command, cwd=CHECKOUT, check=False)
        assert victim.returncode == -signal.SIGKILL
        with pytest.raises(SetupError, match="run `qsuite restore` again"):
            await migrate(database, COLLECTIONS)
    put = await asyncio.to_thread(restore, database, traded.path, tmp_path / HEADS)
    assert put.state_hash == traded.taken.manifest["state_hash"] == await asyncio.to_thread(state_of, database)
    assert await migrate(database, COLLECTIONS) == []


async def test_a_server_on_the_database_keeps_it_from_being_replaced(traded: Traded, database: Database) -> None:
    database.sync.engine_state.update_one(
        {"_id": "process:x"}, [{"$set": {"seen": {"$subtract": ["$$NOW", 1_000]}}}], upsert=True
    )
    with pytest.raises(SetupError, match="a server runs on this database"):
        await asyncio.to_thread(restore, database, traded.path, Path("nowhere"), replace=True)
    database.sync.engine_state.update_one(
        {"_id": "engine"}, [{"$set": {"lease_until": {"$add": ["$$NOW", 60_000]}}}], upsert=True
    )
    database.sync.engine_state.delete_one({"_id": "process:x"})
    with pytest.raises(SetupError, match="a server runs on this database"):
        await asyncio.to_thread(restore, database, traded.path, Path("nowhere"), replace=True)


async def test_a_backup_of_a_newer_qsuite_is_refused_and_one_of_an_older_is_brought_forward(
    traded: Traded, database: Database, tmp_path: Path
) -> None:
    newer, older = (
        rewritten(traded.path, tmp_path / f"{version}.tar", schema_version=version)
        for version in (len(MIGRATIONS) + 1, 0)
    )
    with pytest.raises(SetupError, match="made by a newer QSuite"):
        await asyncio.to_thread(restore, database, newer, tmp_path / HEADS)
    assert database.sync.list_collection_names() == []
    put = await asyncio.to_thread(restore, database, older, tmp_path / HEADS)
    assert [line for line in put.changes if line.startswith("version ")] == [one.line for one in MIGRATIONS]
    assert database.sync.engine_state.find_one(SCHEMA)["version"] == len(MIGRATIONS)  # type: ignore[index]


def rewritten(path: Path, to: Path, **changed: object) -> Path:
    """Write a backup again with another manifest, as a QSuite of another version would have."""
    with tarfile.open(path) as tar, ArchiveWriter(to) as archive:
        for each in tar.getmembers()[1:-2]:
            data = tar.extractfile(each)
            assert data is not None
            archive.add(each.name, data.read())
        manifest = tar.extractfile("manifest.json")
        assert manifest is not None
        archive.finish({**json.load(manifest), **changed})
    return to


async def test_a_history_that_is_too_short_is_said_and_leaves_no_file(traded: Traded, tmp_path: Path) -> None:
    admin = traded.database.sync_client.admin
    kept = admin.command("setParameter", 1, minSnapshotHistoryWindowInSeconds=0)["was"]
    path = tmp_path / "late.tar"

    def write_on(done: int, total: int) -> None:
        traded.database.sync.engine_state.update_one({"_id": "lives"}, {"$inc": {"count": 1}})

    try:
        with pytest.raises(Unavailable, match="minSnapshotHistoryWindowInSeconds"):
            await traded.database.in_thread(
                take,
                traded.database,
                path,
                heads_file=traded.data_dir / HEADS,
                secret="x",
                progress=write_on,
                rate=300_000.0,
            )
    finally:
        admin.command("setParameter", 1, minSnapshotHistoryWindowInSeconds=kept)
    assert not path.exists()
    assert not path.with_name("late.tar.partial").exists()


def test_the_state_hash_is_over_every_collection_or_says_why_not() -> None:
    names = {spec.name for spec in COLLECTIONS}
    assert names > set(NOT_STATE)
    assert {"accounts", "positions", "orders", "executions", "engine_state", "risk_limits", "users"} < names - set(
        NOT_STATE
    )
    assert {"audit_log", "audit_access", "second_factors", "signing_keys"} < names - set(NOT_STATE)


async def test_the_state_hash_is_of_what_is_stored_and_not_of_where(database: Database) -> None:
    documents = [{"_id": UUID(int=number), "price": number} for number in range(100)]
    database.sync.engine_state.insert_one({"_id": "engine", "batch": 1, "epoch": 1, "owner": {"host": "one"}})
    database.sync.orders.insert_many(documents)
    one = await asyncio.to_thread(state_of, database)
    database.sync.orders.drop()
    database.sync.orders.insert_many(reversed(documents))
    database.sync.orders.create_index("price")
    database.sync.engine_state.update_one({"_id": "engine"}, {"$set": {"epoch": 2, "owner": {"host": "two"}}})
    assert await asyncio.to_thread(state_of, database) == one
    database.sync.orders.update_one({"_id": UUID(int=7)}, {"$set": {"price": 7.0}})
    assert await asyncio.to_thread(state_of, database) != one
