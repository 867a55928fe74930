"""Two whole QSuites on one database, and clients who go to the other one whenever one fails them.

A client repeats an order with the same ``client_order_id`` until it has an answer, so each becomes exactly one order; a
reader writes down everything its process tells of the account, for ``faults`` to judge.
"""

import asyncio
import itertools
import json
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tests.crash.clients import end, spawn
from tests.crash.trap import PASSWORD
from tests.crash.victim import SYMBOL, USERNAME
from tests.support.waiting import eventually
from tests.support.ws import Closed, WsClient

ANSWER_S = 0.8
"""A process that says nothing for so long is given up for the other one."""
PACE_S = 0.1
LOST = (OSError, asyncio.IncompleteReadError, TimeoutError)


class Rival:
    """One process that has the engine or stands by."""

    def __init__(self, uri: str, database: str, lease_s: float) -> None:
        self.frozen = False
        variables = {"QSUITE_ENGINE__LEASE_S": str(lease_s)}
        self.process = spawn(uri, database, "tests.crash.victim", "never", 0, variables=variables)
        self.port = 0

    async def listens(self) -> "Rival":
        """Wait until it serves."""
        assert self.process.stdout is not None
        self.port = int(await asyncio.to_thread(self.process.stdout.readline))
        return self

    def signal(self, how: signal.Signals) -> None:
        """Kill, freeze or thaw it."""
        self.process.send_signal(how)
        self.frozen = how is signal.SIGSTOP
        if how is signal.SIGKILL:
            self.process.wait(30)

    def end(self) -> None:
        """End it whatever it does."""
        end(self.process)

    async def ask(self, method: str, path: str, body: Any = None, token: str = "") -> tuple[int, Any]:
        """Send one request on a connection of its own."""
        line = Line(self)
        try:
            async with asyncio.timeout(ANSWER_S):
                return await line.call(method, path, body, token)
        finally:
            line.cut()

    async def is_ready(self) -> bool:
        """Say whether it takes orders."""
        with suppress(*LOST):
            return (await self.ask("GET", "/health/ready"))[0] == 200
        return False

    async def stands_by(self) -> bool:
        """Say whether it serves and knows that the other one has the engine."""
        with suppress(*LOST):
            status, answer = await self.ask("GET", "/health")
            return status == 200 and bool(answer["services"]["engine"] == "standby")
        return False


class Line:
    """A kept-alive connection, opened when it is first needed."""

    def __init__(self, rival: Rival) -> None:
        self.rival = rival
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(self, method: str, path: str, body: Any = None, token: str = "") -> tuple[int, Any]:
        """Send a request; OSError or IncompleteReadError when the line is dead."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self.rival.port)
        reader, writer = self._streams
        data = b"" if body is None else json.dumps(body).encode()
        writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode()
            + data
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length:")[1].split("\r\n")[0])
        answer = await reader.readexactly(length)
        return int(head.split()[1]), json.loads(answer) if answer else {}

    def cut(self) -> None:
        """Let go of the connection."""
        if self._streams is not None:
            self._streams[1].transport.abort()


@dataclass
class Ledger:
    """What clients asked for and were told, and what they saw on the way."""

    token: str = ""
    begun: list[str] = field(default_factory=list)
    acknowledged: dict[str, dict[str, Any]] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    seen: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


class Client:
    """Place orders one after the other, at whichever of two processes answers."""

    def __init__(self, number: int, rivals: list[Rival], ledger: Ledger) -> None:
        self.rivals = rivals
        self.ledger = ledger
        self._side = number % 2
        self._number = number
        self._chance = random.Random(number)
        self._line: Line | None = None

    async def trade(self, stop: asyncio.Event) -> None:
        """Place orders and cancel some of them until told to stop; what is begun is brought to its end."""
        try:
            await self._trade(stop)
        finally:
            if self._line is not None:
                self._line.cut()

    async def _trade(self, stop: asyncio.Event) -> None:
        for turn in itertools.count():
            if stop.is_set():
                return
            if self._chance.random() < 0.1:  # somebody who does not know which of the two is active
                self._turn()
            stored = await self._place(f"{self._number}-{turn}")
            if stored["status"] == "PENDING" and self._chance.random() < 0.8:
                await self._cancel(stored["id"])
            await asyncio.sleep(PACE_S * self._chance.random())

    async def _place(self, name: str) -> dict[str, Any]:
        order = {"symbol": SYMBOL, "quantity": self._chance.randint(1, 5), "client_order_id": name}
        if self._chance.random() < 0.3:
            order |= {"side": "BUY", "order_type": "LIMIT", "price": "98.00", "time_in_force": "GTC"}
        else:
            order |= {"side": self._chance.choice(["BUY", "BUY", "SELL"]), "order_type": "MARKET"}
        self.ledger.begun.append(name)
        status, answer = await self._insist("POST", "/api/v1/orders/", order)
        stored = answer if status == 201 else answer.get("order")
        if stored is None:
            self.ledger.faults.append(f"{name} was answered {status} {answer}")
            return {"status": "lost"}
        self.ledger.acknowledged[name] = stored
        return dict(stored)

    async def _cancel(self, order: str) -> None:
        status, answer = await self._insist("POST", f"/api/v1/orders/{order}/cancel/")
        if status == 200:
            self.ledger.cancelled.add(order)
        else:
            self.ledger.faults.append(f"the cancel of {order} was answered {status} {answer}")

    async def _insist(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Ask until somebody answers."""
        while True:
            if self._line is None or self._line.rival is not self.rivals[self._side]:
                self._turn(0)
            assert self._line is not None
            try:
                async with asyncio.timeout(ANSWER_S):
                    status, answer = await self._line.call(method, path, body, self.ledger.token)
            except LOST as error:
                self.ledger.seen[type(error).__name__] += 1
                self._turn()
                await asyncio.sleep(0.02)
                continue
            if status != 503:
                return status, answer
            self.ledger.seen[answer["code"]] += 1
            self._turn()
            await asyncio.sleep(0.02)

    def _turn(self, by: int = 1) -> None:
        """Go to the other one, or with 0 to whatever is in the place of the same one now."""
        if self._line is not None:
            self._line.cut()
        self._side = (self._side + by) % 2
        self._line = Line(self.rivals[self._side])


class Reader:
    """A subscriber of one process, who notes what it is told."""

    def __init__(self, rival: Rival, ledger: Ledger) -> None:
        self.rival = rival
        self.versions: dict[str, list[int]] = {}
        self.names: dict[str, str] = {}
        self.executions: Counter[str] = Counter()
        self.known: set[str] = set()
        self.from_begun = 0
        self.gone: str | None = None
        self._ledger = ledger
        self._task: asyncio.Task[None] | None = None

    async def subscribe(self) -> "Reader":
        """Subscribe; from then on all that is begun must be told from its first version."""
        socket = await WsClient.open(self.rival.port, token=self._ledger.token)
        await socket.send({"action": "subscribe", "channels": ["orders", "executions"]})
        snapshot = await socket.receive_until(lambda message: message.get("channel") == "orders")
        self.known = {order["id"] for order in snapshot[-1]["data"]}
        await socket.receive_until(lambda message: message.get("channel") == "executions")
        self.from_begun = len(self._ledger.begun)
        self._task = asyncio.create_task(self._read(socket))
        return self

    async def _read(self, socket: WsClient) -> None:
        async with socket:
            try:
                while True:
                    self._note(await socket.receive(timeout_s=60))
            except (Closed, OSError) as closed:
                self.gone = str(closed)

    def _note(self, message: dict[str, Any]) -> None:
        if message["type"] == "order":
            self.versions.setdefault(message["id"], []).append(message["version"])
            self.names[message["id"]] = message["client_order_id"]
        elif message["type"] == "execution":
            self.executions[message["id"]] += 1
        elif message["type"] == "gap":
            self._ledger.faults.append("a reader was told of a gap")

    def faults(self) -> Iterator[str]:
        """Say which versions came twice, out of order, or not at all."""
        late = set(self._ledger.begun[: self.from_begun])
        for order, versions in self.versions.items():
            if versions != list(range(versions[0], versions[0] + len(versions))):
                yield f"{order} came as versions {versions}"
            if versions[0] != 1 and order not in self.known and self.names[order] not in late:
                yield f"{order}, begun after its reader, came first as version {versions[0]}"
        yield from (f"execution {one} came {times} times" for one, times in self.executions.items() if times > 1)

    def missing(self, stored: list[dict[str, Any]]) -> list[str]:
        """Return the stored orders begun after this reader whose newest version it was not told."""
        mine = set(self._ledger.begun[self.from_begun :])
        return [
            document["client_order_id"]
            for document in stored
            if document["client_order_id"] in mine
            and self.versions.get(str(document["_id"]), [0])[-1] != document["version"]
        ]

    async def end(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


async def took_over(rival: Rival, timeout_s: float) -> float:
    """Return how many seconds it took until a process takes orders."""
    started = time.monotonic()
    await eventually(rival.is_ready, timeout_s=timeout_s, what="a takeover")
    return time.monotonic() - started


async def log_in(rival: Rival) -> str:
    """Return an access token, which both processes take."""
    credentials = {"username": USERNAME, "password": PASSWORD}
    status, answer = await rival.ask("POST", "/api/auth/login/", credentials)
    assert status == 200, answer
    return str(answer["access"])
