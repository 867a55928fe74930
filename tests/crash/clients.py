"""Clients of a QSuite that fails: what they send, what they were told, and what must therefore be in storage.

A client writes an order down as unknown before it sends it and as acknowledged when the answer is there. So after any
failure it is known which orders must be stored once, and which may be stored once or not at all.
"""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qsuite.repos.books import open_books
from qsuite.repos.database import Database
from qsuite.services.books import check_books
from tests.crash.trap import PASSWORD
from tests.crash.victim import SYMBOL, USERNAME

ROOT = Path(__file__).resolve().parents[2]
SCALE = int(os.environ.get("TEST_SCALE", "1"))
"""Every size of the crash tests is multiplied by this: 10 in ``make soak``."""
DATA = tempfile.TemporaryDirectory(prefix="qsuite-crash-")
"""What processes keep beside their database, such as signed heads of its record; gone when the tests are over."""
NOTHING: Mapping[str, str] = {}
CONNECTION_LOST = (OSError, asyncio.IncompleteReadError)


def spawn(
    uri: str, database: str, module: str, *arguments: object, variables: Mapping[str, str] = NOTHING
) -> "subprocess.Popen[str]":
    """Run a module in a process of its own, on this database and with none of this process's settings."""
    environment = {
        "QSUITE_PROFILE": "test",
        "QSUITE_MONGODB_URI": uri,
        "QSUITE_DATABASE": database,
        "QSUITE_DATA_DIR": str(Path(DATA.name) / database),
        "QSUITE_SECRET_KEY": "only-for-crash-tests-0123456789-abcdef",
        "QSUITE_LOG__LEVEL": "error",
        **variables,
    }
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        env={key: value for key, value in os.environ.items() if not key.startswith("QSUITE_")} | environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def end(process: "subprocess.Popen[str]") -> int:
    """End a process whatever it does, and return how it ended."""
    if process.poll() is None:
        process.kill()
    assert process.stdout is not None
    process.stdout.close()
    return process.wait(30)


class Victim:
    """A QSuite in a process of its own that kills itself at ``point``; ``port`` is None when it did while starting."""

    module = "tests.crash.victim"

    def __init__(
        self, uri: str, database: str, point: str = "never", hits: int = 0, variables: Mapping[str, str] = NOTHING
    ) -> None:
        self.point = point
        self.process = spawn(uri, database, self.module, point, hits, variables=variables)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.port = int(line) if line else None

    def kill(self) -> int:
        """End it whatever it does, and return how it ended."""
        return end(self.process)

    def stop(self) -> int:
        """Ask it to stop, and return how it ended."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


class Connection:
    """One kept-alive HTTP connection over a plain socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str = "") -> None:
        self.reader, self.writer, self.token = reader, writer, token

    @classmethod
    @asynccontextmanager
    async def open(cls, port: int, token: str = "") -> AsyncIterator["Connection"]:
        """Connect, and close in the end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield cls(reader, writer, token)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        """Send a request and return status and body; one of CONNECTION_LOST when there is no whole answer."""
        status, answer = await self.text(method, path, body)
        return status, json.loads(answer) if answer else {}

    async def text(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        """Send a request and return status and body as it came."""
        data = b"" if body is None else json.dumps(body).encode()
        self.writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {self.token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode()
            + data
        )
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length:")[1].split("\r\n")[0])
        return int(head.split()[1]), (await self.reader.readexactly(length)).decode()


@dataclass
class Ledger:
    """What clients were told, and what they do not know."""

    acknowledged: dict[str, dict[str, Any]] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    unknown: dict[str, dict[str, Any]] = field(default_factory=dict)
    kills: Counter[str] = field(default_factory=Counter)


async def log_in(port: int, username: str = USERNAME) -> str:
    """Return an access token, by default the trader's."""
    credentials = {"username": username, "password": PASSWORD}
    async with Connection.open(port) as connection:
        status, answer = await connection.call("POST", "/api/auth/login/", credentials)
    assert status == 200, answer
    return str(answer["access"])


def new_order(chance: random.Random) -> dict[str, Any]:
    """Make up an order: one that rests in three of ten cases, one that fills at once in the others."""
    order = {"symbol": SYMBOL, "quantity": chance.randint(1, 5), "client_order_id": f"{chance.getrandbits(64):x}"}
    if chance.random() < 0.3:
        return order | resting()
    return order | {"side": chance.choice(["BUY", "BUY", "SELL"]), "order_type": "MARKET"}


def resting() -> dict[str, Any]:
    """Return the fields of an order that no price of the victim's market reaches."""
    return {"side": "BUY", "order_type": "LIMIT", "price": "50.00", "time_in_force": "GTC"}


async def place(connection: Connection, ledger: Ledger, order: dict[str, Any]) -> dict[str, Any]:
    """Place an order and write down what was answered; until then it is unknown."""
    ledger.unknown[order["client_order_id"]] = order
    status, answer = await connection.call("POST", "/api/v1/orders/", order)
    assert status in (201, 422), answer
    return acknowledge(ledger, order, status, answer)


def acknowledge(ledger: Ledger, order: dict[str, Any], status: int, answer: dict[str, Any]) -> dict[str, Any]:
    """Write down an answer that says what became of an order; return the order in it."""
    stored: dict[str, Any] = answer if status == 201 else answer["order"]
    ledger.acknowledged[order["client_order_id"]] = stored
    ledger.unknown.pop(order["client_order_id"], None)
    return stored


async def retry_unknown(port: int, token: str, ledger: Ledger) -> None:
    """Ask again for all that was not answered: each becomes exactly one order."""
    async with Connection.open(port, token) as connection:
        for order in list(ledger.unknown.values()):
            await place(connection, ledger, order)


def check_stored(database: Database, ledger: Ledger) -> None:
    """Hold storage against the ledger: each acknowledged order once, every other at most once, the books in order."""
    stored: dict[str, list[dict[str, Any]]] = {}
    for document in database.sync.orders.find({}):
        stored.setdefault(document["client_order_id"], []).append(document)
    assert [name for name, documents in stored.items() if len(documents) > 1] == []
    for client_order_id, answer in ledger.acknowledged.items():
        assert client_order_id in stored, f"acknowledged order {answer} is lost"
        (document,) = stored[client_order_id]
        assert str(document["_id"]) == answer["id"]
        if answer["status"] in ("FILLED", "REJECTED"):
            assert document["status"] == answer["status"]
        if answer["id"] in ledger.cancelled:
            assert document["status"] == "CANCELLED"
    check_the_books(database)


def check_the_books(database: Database) -> None:
    """Fail with what the books disagree on."""
    told: list[Any] = []
    with open_books(database) as books:
        check_books(books, told.append)
    assert told == []
