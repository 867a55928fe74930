"""Two gateways, and a Redis that is killed and frozen under load: every reader ends with what REST shows, and was told
of every gap on the way there."""

import asyncio
import itertools
import json
import random
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from qsuite.domain.times import format_rfc3339
from qsuite.repos.database import Database
from tests.crash.clients import SCALE
from tests.crash.folds import LOST, Fold, Meanings
from tests.crash.trap import PASSWORD
from tests.support.client import ApiClient
from tests.support.redis_server import RedisServer, running_redis
from tests.support.server import Server, run_command, serving
from tests.support.waiting import eventually

SYMBOLS = ("ALFA", "BETA", "GAMA")
PRIVATE = ["orders", "executions", "positions", "account"]
PRICES = ["trades:ALFA", "quotes:ALFA", "trades:*", "bars:1m:*", "depth:BETA"]
SOME = 20
"""Orders acknowledged between one blow and the next, at least."""
BLOWS = (signal.SIGSTOP, signal.SIGKILL) * SCALE


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


class Fleet:
    """A process with the engine, two gateways, the readers at all of them, and who loads them."""

    def __init__(self, uri: str, database: Database, redis: RedisServer, directory: Path) -> None:
        self.redis = redis
        self.meanings = Meanings()
        self.folds: list[Fold] = []
        self.acknowledged = 0
        self.servers: list[Server] = []
        self.ports: list[int] = []
        self.clients: list[ApiClient] = []
        self._directory = directory
        self._ends = ExitStack()
        self._settings = {
            "MONGODB_URI": uri,
            "DATABASE": database.name,
            "REDIS_URL": redis.url,
            "SECRET_KEY": "only-for-crash-tests-0123456789-abcdef",
            "ENGINE__LEASE_S": "1",
            "MARKET__TICKS_SEALED_AFTER_S": "0",
        }

    async def start(self) -> None:
        """Start the engine's process, its users and market, then the gateways."""
        self._add("engine")
        await self._listens(0)
        self._add("gateway")
        self._add("gateway")
        users = (("tina", "trader"), ("adam", "admin"))
        for made in await asyncio.gather(*(asyncio.to_thread(self._make_user, *user) for user in users)):
            assert made.returncode == 0, made.stderr
        for at in (1, 2):
            await self._listens(at)
        self.meanings.token = await self._log_in("tina")
        admin = await self._log_in("adam")
        self.clients = [ApiClient(server.url, self.meanings.token) for server in self.servers]
        self.admins = [client.as_(admin) for client in self.clients]
        for symbol in SYMBOLS:
            answer = await self.admins[0].post("/api/v1/tickers/", {"symbol": symbol, "name": symbol})
            assert answer.status == 201, answer
            await self.tick(0, symbol, "100.00")
        await eventually(self._market_everywhere, what="the market at the gateways")

    async def _market_everywhere(self) -> bool:
        paths = [f"/api/v1/tickers/{symbol}/latest_price/" for symbol in SYMBOLS]
        return all([(await client.get(path)).status == 200 for client in self.clients for path in paths])

    def _make_user(self, name: str, role: str) -> Any:
        directory = self._directory / "engine"
        command = ("user", "create", name, "--role", role, "--password-stdin")
        return run_command(directory, *command, stdin=PASSWORD, **self._settings)

    def _add(self, role: str) -> None:
        name = f"{role}{len(self.servers)}" if role == "gateway" else role
        directory = self._directory / name
        directory.mkdir(exist_ok=True)
        settings = self._settings | ({"ROLE": "gateway"} if role == "gateway" else {})
        server = self._ends.enter_context(serving(directory, "--port", "0", output="-server", **settings))
        self.servers.append(server)

    async def _listens(self, at: int) -> None:
        url = await asyncio.to_thread(lambda: self.servers[at].url)
        self.ports.append(int(url.rpartition(":")[2]))

    async def restart_engine(self) -> None:
        """Kill the process with the engine, and start it again at its port."""
        self.servers[0].stop(signal.SIGKILL)
        port = str(self.ports[0])
        directory = self._directory / "engine"
        server = serving(directory, "--port", port, output="-again", **self._settings)
        self.servers[0] = self._ends.enter_context(server)
        await asyncio.to_thread(lambda: self.servers[0].url)

    async def _log_in(self, name: str) -> str:
        client = ApiClient(self.servers[-1].url)
        answer = await client.post("/api/auth/login/", {"username": name, "password": PASSWORD})
        client.close()
        assert answer.status == 200, answer
        return str(answer.json["access"])

    def read(self, name: str, ports: list[int], channels: list[str]) -> Fold:
        """Let one more reader begin."""
        self.folds.append(Fold(name, ports, channels, self.meanings))
        return self.folds[-1]

    # -- load ---------------------------------------------------------------------------------------------------------

    async def tick(self, at: int, symbol: str, price: str) -> None:
        """Send a quote and a trade to a process."""
        now, low = format_rfc3339(time.time_ns()), f"{float(price) - 0.01:.2f}"
        tick = {"symbol": symbol, "ts": now, "kind": "trade", "price": price, "size": "50"}
        quote = {"symbol": symbol, "ts": now, "kind": "quote", "bid": low, "ask": price} | SIZES
        answer = await self.admins[at].post("/api/v1/ticks/", [quote, tick])
        assert answer.status == 503 or answer.json["rejected"] == 0, answer

    async def trade(self, number: int, stop: asyncio.Event) -> None:
        """Place orders at the processes in turn, one after the other, and cancel those that rest."""
        chance = random.Random(number)
        for turn in itertools.count():
            if stop.is_set():
                return
            order = ORDER | {"symbol": chance.choice(SYMBOLS), "client_order_id": f"{number}-{turn}"}
            if chance.random() < 0.3:
                order |= {"order_type": "LIMIT", "price": "90.00", "time_in_force": "GTC"}
            with suppress_lost():
                client = self.clients[(number + turn) % 3]
                placed = await client.post("/api/v1/orders/", order)
                self.acknowledged += placed.status == 201
                if placed.status == 201 and placed.json["status"] == "PENDING" and chance.random() < 0.7:
                    await client.post(f"/api/v1/orders/{placed.json['id']}/cancel/")
            await asyncio.sleep(0.02)

    async def prices(self, stop: asyncio.Event) -> None:
        """Send ticks to the processes in turn."""
        chance = random.Random(7)
        for turn in itertools.count():
            if stop.is_set():
                return
            with suppress_lost():
                await self.tick(turn % 3, SYMBOLS[turn % len(SYMBOLS)], f"{chance.uniform(99, 101):.2f}")
            await asyncio.sleep(0.02)

    async def events(self, port: int) -> str:
        """Return the channel of the first snapshot that a process sends as server-sent events."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        path = "/api/v1/stream/?channels=trades:ALFA"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {self.meanings.token}\r\n\r\n".encode())
        try:
            async with asyncio.timeout(10):
                while True:
                    line = (await reader.readline()).removeprefix(b"data: ")
                    for message in json.loads(line) if line.startswith(b"[") else []:
                        if message["type"] == "snapshot":
                            return str(message["channel"])
        finally:
            writer.transport.abort()

    # -- what must come about -----------------------------------------------------------------------------------------

    async def sources(self, wanted: str, timeout_s: float = 15) -> None:
        """Wait until both gateways have their messages from there."""

        async def there() -> bool:
            found = [(await client.get("/health")).json["stream"]["source"] for client in self.clients[1:]]
            return found == [wanted, wanted]

        await eventually(there, timeout_s=timeout_s, what=f"the source {wanted}")

    async def turns(self) -> list[str]:
        """Return how often each gateway went from Redis to the database or back."""
        shown = [(await client.get("/metrics")).body.decode() for client in self.clients[1:]]
        return [line for text in shown for line in text.splitlines() if line.startswith("qsuite_gateway_turns_total")]

    async def load_on(self) -> None:
        """Wait until further orders were placed and all readers are told."""
        known = self.acknowledged
        await eventually(lambda: self.acknowledged >= known + SOME, timeout_s=30, what="orders")
        await eventually(lambda: not self._waiting(), timeout_s=20, what="snapshots")
        assert self.meanings.faults == []

    def _waiting(self) -> list[str]:
        waiting = [fold.waits for fold in self.folds if not fold.ready]
        assert waiting == []
        return waiting

    async def same_as_rest(self, fold: Fold, at: int) -> bool:
        """Say whether what a reader made of the stream is what REST shows at a process."""
        client, things = self.clients[at], fold.things
        if "orders" in fold.channels:
            await self._same_trading(client, things)
        else:
            for symbol in SYMBOLS:
                latest = (await client.get(f"/api/v1/tickers/{symbol}/latest_price/")).json
                told = things["trades"][symbol]
                everywhere = [(await each.get(f"/api/v1/tickers/{symbol}/latest_price/")).json for each in self.clients]
                assert told["price"] == latest["price"], f"{fold.name} was told {told}, REST shows {everywhere}"
            depth = (await client.get("/api/v1/tickers/BETA/depth/")).json
            assert things["quotes"]["ALFA"]["ask"] is not None
            assert depth["asks"]
        return True

    async def _same_trading(self, client: ApiClient, things: dict[str, dict[str, dict[str, Any]]]) -> None:
        shown = (await client.get("/api/v1/orders/?status__in=PENDING,PARTIAL,HELD&page_size=1000")).json["results"]
        folded = {name: order for name, order in things["orders"].items() if order["status"] in OPEN}
        assert {one["id"]: one["version"] for one in shown} == {
            name: order["version"] for name, order in folded.items()
        }
        for order in itertools.islice(things["orders"].values(), 20):
            stored = (await client.get(f"/api/v1/orders/{order['id']}/")).json
            assert stored == {name: order[name] for name in stored}
        positions = {one["symbol"]: one for one in (await client.get("/api/v1/positions/")).json["results"]}
        for symbol, position in positions.items():
            assert things["positions"][symbol]["quantity"] == position["quantity"]
        account = (await client.get("/api/v1/account/")).json
        (told,) = things["account"].values()
        assert (told["cash"], told["realized_pnl"]) == (account["cash"], account["realized_pnl"])

    async def stop(self, at: int) -> int:
        """Ask a process to stop, and return how it ended."""
        return await asyncio.to_thread(self.servers[at].stop)

    async def end(self) -> None:
        """End everything that was started."""
        for fold in self.folds:
            await fold.end()
        for client in self.clients:
            client.close()
        self._ends.close()


ORDER = {"side": "BUY", "order_type": "MARKET", "quantity": 1}
SIZES = {"bid_size": "100000", "ask_size": "100000"}
OPEN = ("HELD", "PENDING", "PARTIAL")


def suppress_lost() -> suppress:
    """Pass over what a process that is killed does to a request."""
    return suppress(AssertionError, *LOST)


@asynccontextmanager
async def fleet(uri: str, database: Database, redis: RedisServer, directory: Path) -> AsyncIterator[Fleet]:
    made = Fleet(uri, database, redis, directory)
    try:
        await made.start()
        yield made
    finally:
        await made.end()


async def blow(fleet: Fleet, how: signal.Signals) -> None:
    """Freeze or kill Redis; see readers told from the database, and from Redis again when it is back."""
    blows = {signal.SIGSTOP: fleet.redis.freeze, signal.SIGKILL: fleet.redis.kill}
    blows[how]()
    await fleet.sources("database")
    await fleet.load_on()
    if how is signal.SIGSTOP:
        fleet.redis.thaw()
    else:
        await asyncio.to_thread(fleet.redis.start)
    await fleet.sources("redis")
    await fleet.load_on()


async def ordeal(fleet: Fleet) -> None:
    engine, *gateways = fleet.ports
    await fleet.sources("redis")
    turned = await fleet.turns()
    direct = [fleet.read("direct", [engine], PRIVATE), fleet.read("direct prices", [engine], PRICES)]
    there = [fleet.read(f"at {port}", [port], PRIVATE) for port in gateways]
    there += [fleet.read(f"prices at {port}", [port], PRICES) for port in gateways]
    mover = fleet.read("mover", [engine, *gateways], [*PRIVATE, "trades:ALFA"])
    for gateway in fleet.clients[1:]:
        placed = await gateway.post("/api/v1/orders/", ORDER | {"symbol": "ALFA"})
        assert placed.status == 201, placed
        assert (await gateway.get("/health/ready")).status == 200
    for port in gateways:
        assert await fleet.events(port) == "trades:ALFA"
    stop = asyncio.Event()
    load = [asyncio.create_task(fleet.trade(number, stop)) for number in range(4)]
    load.append(asyncio.create_task(fleet.prices(stop)))
    try:
        await fleet.load_on()
        for _ in range(3):
            before = mover.subscriptions
            await mover.move()
            await eventually(lambda before=before: mover.subscriptions > before)
            await fleet.load_on()
        if await fleet.turns() == turned:  # a machine that starved one of them for a second makes gaps, too
            assert [fold.gaps for fold in fleet.folds] == [0] * len(fleet.folds)
            assert mover.resumed == 3
        shared = fleet.meanings.shared
        assert shared > 100
        for how in BLOWS:
            await blow(fleet, how)
        assert all(fold.gaps for fold in there)
        assert [fold.gaps for fold in direct] == [0, 0]
        await fleet.restart_engine()
        await fleet.sources("redis")
        await fleet.load_on()
    finally:
        stop.set()
        await asyncio.gather(*load, return_exceptions=True)
    for fold, at in zip([*direct, *there, mover], (0, 0, 1, 2, 1, 2, 1), strict=True):
        await eventually(lambda fold=fold, at=at: fleet.same_as_rest(fold, at), timeout_s=10, what=fold.name)
    assert fleet.meanings.faults == []
    assert [await fleet.stop(1), await fleet.stop(0)] == [0, 0]
    fleet.redis.freeze()
    assert await fleet.stop(2) == 0


@pytest.mark.timeout(900)
def test_every_reader_at_two_gateways_ends_with_what_rest_shows_whatever_befalls_redis(
    mongod: str,
    database: Database,
    redis: RedisServer,
    io_loop: IOLoop,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def run() -> Fleet:
        async with fleet(mongod, database, redis, tmp_path) as made:
            await ordeal(made)
            return made

    made = io_loop.run_sync(run)
    assert made is not None
    with capsys.disabled():
        print(  # noqa: T201  the figures to quote
            f"\n{len(BLOWS)} blows to Redis, {made.acknowledged} orders, {len(made.folds)} readers: silent gaps 0,"
            f" {made.meanings.shared} messages were the same at two readers; they saw {dict(made.meanings.seen)}"
        )
