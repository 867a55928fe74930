"""SIGKILL at named points of the engine's way to storage, under load: no acknowledged order is lost, none is doubled.

Every victim is started on what the one before it left, so each start is also a recovery that is checked.
"""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from qsuite.repos.books import open_books
from qsuite.repos.database import Database
from qsuite.services.books import check_books
from tests.crash.victim import PASSWORD, SYMBOL, USERNAME

ROOT = Path(__file__).resolve().parents[2]
POINTS = [
    "store.acquire:after",
    "store.load_open:after",
    "store.load:after",
    "engine_state.update_one:before",
    "engine_state.update_one:after",
    "orders.insert_many:after",
    "executions.insert_many:before",
    "accounts.bulk_write:after",
    "positions.bulk_write:before",
    "audit_log.insert_many:after",
    "commit.during",
    "store.commit:after",
    "announced",
]
# Steps taken once a life: taking the lease, recovering, reading the account of the first order.
HIT_ONCE = {"store.acquire:after", "store.load_open:after", "store.load:after"}
KILLS = 50 * int(os.environ.get("TEST_SCALE", "1"))
CLIENTS = 16


@dataclass
class Ledger:
    """What clients were told, and what they do not know."""

    acknowledged: dict[str, dict[str, Any]] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    unknown: dict[str, dict[str, Any]] = field(default_factory=dict)
    kills: Counter[str] = field(default_factory=Counter)


class Victim:
    """A server process, and requests to it over plain sockets."""

    def __init__(self, uri: str, database: str, point: str, hits: int) -> None:
        environment = {
            "QSUITE_PROFILE": "test",
            "QSUITE_MONGODB_URI": uri,
            "QSUITE_DATABASE": database,
            "QSUITE_SECRET_KEY": "only-for-crash-tests-0123456789-abcdef",
            "QSUITE_LOG__LEVEL": "error",
        }
        self.point = point
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.victim", point, str(hits)],
            env={key: value for key, value in os.environ.items() if not key.startswith("QSUITE_")} | environment,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.port = int(line) if line else None

    def kill(self) -> int:
        """End it whatever it does, and return how it ended."""
        if self.process.poll() is None:
            self.process.kill()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return self.process.wait(30)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


class Connection:
    """One kept-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str = "") -> None:
        self.reader, self.writer, self.token = reader, writer, token

    @classmethod
    @asynccontextmanager
    async def open(cls, port: int, token: str = "") -> AsyncIterator["Connection"]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield cls(reader, writer, token)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        data = b"" if body is None else json.dumps(body).encode()
        self.writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {self.token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode()
            + data
        )
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length:")[1].split("\r\n")[0])
        answer = await self.reader.readexactly(length)
        return int(head.split()[1]), json.loads(answer) if answer else {}


async def log_in(port: int) -> str:
    credentials = {"username": USERNAME, "password": PASSWORD}
    async with Connection.open(port) as connection:
        status, answer = await connection.call("POST", "/api/auth/login/", credentials)
    assert status == 200, answer
    return str(answer["access"])


def new_order(chance: random.Random) -> dict[str, Any]:
    order = {"symbol": SYMBOL, "quantity": chance.randint(1, 5), "client_order_id": f"{chance.getrandbits(64):x}"}
    if chance.random() < 0.3:
        return order | {"side": "BUY", "order_type": "LIMIT", "price": "50.00", "time_in_force": "GTC"}
    return order | {"side": chance.choice(["BUY", "BUY", "SELL"]), "order_type": "MARKET"}


async def trade(port: int, token: str, ledger: Ledger, chance: random.Random) -> None:
    """Place orders and cancel some of them until the server is gone."""
    with suppress(OSError, asyncio.IncompleteReadError):
        async with Connection.open(port, token) as connection:
            while True:
                stored = await place(connection, ledger, new_order(chance))
                if stored["status"] == "PENDING" and chance.random() < 0.5:
                    status, answer = await connection.call("POST", f"/api/v1/orders/{stored['id']}/cancel/")
                    assert status == 200, answer
                    ledger.cancelled.add(stored["id"])


async def place(connection: Connection, ledger: Ledger, order: dict[str, Any]) -> dict[str, Any]:
    """Place an order and write down what was answered; until then it is unknown."""
    client_order_id = order["client_order_id"]
    ledger.unknown[client_order_id] = order
    status, answer = await connection.call("POST", "/api/v1/orders/", order)
    assert status in (201, 422), answer
    stored: dict[str, Any] = answer if status == 201 else answer["order"]
    ledger.acknowledged[client_order_id] = stored
    del ledger.unknown[client_order_id]
    return stored


async def retry_unknown(port: int, token: str, ledger: Ledger) -> None:
    """Ask again for all that was not answered: each becomes exactly one order."""
    async with Connection.open(port, token) as connection:
        for order in list(ledger.unknown.values()):
            await place(connection, ledger, order)


def check_stored(database: Database, ledger: Ledger) -> None:
    stored: dict[str, list[dict[str, Any]]] = {}
    for document in database.sync.orders.find({}):
        stored.setdefault(document["client_order_id"], []).append(document)
    doubled = [name for name, documents in stored.items() if len(documents) > 1]
    assert doubled == []
    for client_order_id, answer in ledger.acknowledged.items():
        assert client_order_id in stored, f"acknowledged order {answer} is lost"
        (document,) = stored[client_order_id]
        assert str(document["_id"]) == answer["id"]
        if answer["status"] in ("FILLED", "REJECTED"):
            assert document["status"] == answer["status"]
        if answer["id"] in ledger.cancelled:
            assert document["status"] == "CANCELLED"
    told: list[Any] = []
    with open_books(database) as books:
        check_books(books, told.append)
    assert told == []


@pytest.mark.timeout(900)
def test_kills_lose_no_acknowledged_order_and_double_none(
    mongod: str, database: Database, io_loop: IOLoop, capsys: pytest.CaptureFixture[str]
) -> None:
    chance, ledger = random.Random(20261121), Ledger()
    for number in range(KILLS):
        point = POINTS[number % len(POINTS)]
        victim = Victim(mongod, database.name, point, 1 if point in HIT_ONCE else chance.randint(1, 40))
        try:
            io_loop.run_sync(partial(live, victim, ledger, chance))
            assert victim.process.wait(60) == -signal.SIGKILL, f"{point} was not reached"
        finally:
            victim.kill()
        ledger.kills[point] += 1
        check_stored(database, ledger)
    last = Victim(mongod, database.name, "never", 0)
    try:
        assert last.port is not None
        io_loop.run_sync(partial(settle_all, last.port, ledger))
        assert last.stop() == 0
    finally:
        last.kill()
    check_stored(database, ledger)
    assert sum(ledger.kills.values()) == KILLS
    assert len(ledger.acknowledged) > KILLS
    summary = f"{KILLS} kills at {len(ledger.kills)} points, {len(ledger.acknowledged)} orders: lost 0, doubled 0"
    with capsys.disabled():
        print(f"\n{summary}")  # noqa: T201  the figure to quote


async def live(victim: Victim, ledger: Ledger, chance: random.Random) -> None:
    """Load the victim until it is dead; one that died while starting is given no load."""
    if victim.port is None:
        return
    try:
        token = await log_in(victim.port)
        await retry_unknown(victim.port, token, ledger)
        async with asyncio.timeout(60):  # a point that is never reached fails the test instead of holding it
            await asyncio.gather(*(trade(victim.port, token, ledger, chance) for _ in range(CLIENTS)))
    except (OSError, asyncio.IncompleteReadError):
        return


async def settle_all(port: int, ledger: Ledger) -> None:
    await retry_unknown(port, await log_in(port), ledger)
