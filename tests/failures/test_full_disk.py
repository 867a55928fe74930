"""The database's disk fills up: an alarm, then no new orders while cancels pass; when it is full all the same, every
order that was acknowledged is there after room is made.
"""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.stack import OPERATOR, User
from ops.stack.people import make_admin, make_users, quote
from ops.stack.process import free_port
from ops.stack.server import Server
from qsuite.repos.database import connect
from tests.crash.clients import Connection, check_stored, resting, retry_unknown
from tests.crash.crowd import Crowd, crowd
from tests.crash.trap import PASSWORD
from tests.crash.victim import SYMBOL, USERNAME
from tests.failures.figures import Figures
from tests.failures.small_disk import SmallDatabase, SmallDisk, small_database
from tests.support.waiting import eventually

FREE = re.compile(r"^qsuite_database_disk_free_ratio (\S+)", re.MULTILINE)
LOW, FULL = 0.15, 0.03
ORDERS = 100


@pytest.fixture
def disk_and_database(tmp_path: Path) -> Iterator[tuple[SmallDisk, SmallDatabase]]:
    with small_database(tmp_path) as made:
        yield made


@pytest.fixture
def engine(disk_and_database: tuple[SmallDisk, SmallDatabase], tmp_path: Path) -> Iterator[Server]:
    _, database = disk_and_database
    settings = {
        "PROFILE": "test",
        "DATA_DIR": str(tmp_path / "data"),
        "MONGODB_URI": database.uri,
        "SECRET_KEY": "only-for-tests-of-failures-0123456789",
        "LOG__LEVEL": "error",
    }
    server = Server("engine", tmp_path, settings, port=free_port())
    try:
        server.start()
        make_admin(OPERATOR, tmp_path, settings)
        operator = server.login(OPERATOR.username, OPERATOR.password)
        make_users(server, [User(USERNAME, PASSWORD, "trader")], operator)
        quote(server, operator, SYMBOL, "99.99", "100.01")
        yield server
    finally:
        server.kill()


@pytest.mark.timeout(180)
async def test_new_orders_end_before_the_disk_is_full_and_none_is_lost_when_it_is(
    disk_and_database: tuple[SmallDisk, SmallDatabase], engine: Server, figures: Figures
) -> None:
    disk, mongod = disk_and_database
    assert await shown(engine) == (200, "up")
    async with crowd(engine.port) as clients:
        await clients.more(ORDERS)
        await clients.quiet()
        await asyncio.to_thread(disk.fill, LOW)
        await eventually(lambda: said(engine, (200, "low")), timeout_s=20, what="the alarm")
        free = await told_free(engine)
        await hold_back(disk, engine, clients.token, figures)
        assert not mongod.exit_code
        await fill_up(disk, mongod, clients)
        known = len(clients.ledger.acknowledged)
        await asyncio.to_thread(disk.make_room)
        await asyncio.to_thread(mongod.start)
        await clients.more(ORDERS)
        await clients.quiet()
        await retry_unknown(engine.port, clients.token, clients.ledger)
    database = connect(mongod.uri, "qsuite", pool_size=4)
    try:
        await asyncio.to_thread(check_stored, database, clients.ledger)
    finally:
        await asyncio.to_thread(database.close)
    assert await asyncio.to_thread(engine.stop) == 0
    figures.note("disk nearly full", "alarm", "below 20 %", f"at {free:.0%} free: /health disk low")
    figures.note("disk full, mongod ends", "acknowledged orders lost", "0", f"0 of {known}, goes on by itself")


async def hold_back(disk: SmallDisk, engine: Server, token: str, figures: Figures) -> None:
    """Leave next to nothing; see that no order is taken, that one is cancelled, and that room ends that."""
    async with Connection.open(engine.port, token) as connection:
        kept = {"symbol": SYMBOL, "quantity": 1, "client_order_id": "kept"} | resting()
        status, order = await connection.call("POST", "/api/v1/orders/", kept)
        assert status == 201, order
        await asyncio.to_thread(disk.fill, FULL)
        await eventually(lambda: said(engine, (503, "full")), timeout_s=20, what="the halt")
        free = await told_free(engine)
        refused = {"symbol": SYMBOL, "quantity": 1, "client_order_id": "refused"} | resting()
        status, answer = await connection.call("POST", "/api/v1/orders/", refused)
        assert (status, answer["code"]) == (503, "disk.full")
        assert (await connection.call("GET", "/health/ready"))[0] == 200
        status, answer = await connection.call("POST", f"/api/v1/orders/{order['id']}/cancel/")
        assert (status, answer["status"]) == (200, "CANCELLED")
        assert (await connection.call("GET", "/api/v1/orders/by-client-id/refused/"))[0] == 404
        await asyncio.to_thread(disk.make_room)
        await eventually(lambda: said(engine, (200, "up")), timeout_s=20, what="the end of the halt")
        assert (await connection.call("POST", "/api/v1/orders/", refused))[0] == 201
    figures.note("disk nearly full", "new orders halted, cancels pass", "below 5 %", f"at {free:.0%} free: 503, 200")


async def fill_up(disk: SmallDisk, mongod: SmallDatabase, clients: Crowd) -> None:
    """Take all that is left at once under load, sooner than anybody looks; see that mongod ends."""
    clients.go.set()
    await clients.more(ORDERS)
    await asyncio.to_thread(disk.fill, 0.0)
    await eventually(lambda: mongod.exit_code is not None, timeout_s=30, what="the end of mongod")


async def shown(engine: Server) -> tuple[int, str]:
    """Return the status of /health, and what it says of disks."""
    status, health = await asyncio.to_thread(engine.get, "/health")
    return status, health["services"]["disk"]


async def said(engine: Server, expected: tuple[int, str]) -> bool:
    """Say whether /health shows that."""
    return await shown(engine) == expected


async def told_free(engine: Server) -> float:
    """Return the free share of the database's disk as the metrics show it."""
    _, text = await asyncio.to_thread(engine.get, "/metrics")
    return float(FREE.findall(text)[0])
