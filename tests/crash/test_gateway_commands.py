"""Clients at two gateways, and the engine's process killed and frozen under them: nothing lost, nothing doubled."""

import asyncio
import itertools
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from qsuite.repos.database import Database
from tests.crash.clients import SCALE, Ledger, acknowledge, check_stored, new_order, retry_unknown
from tests.crash.crowd import Crowd, crowd
from tests.crash.rivals import Rival
from tests.support.client import ApiClient
from tests.support.server import serving
from tests.support.waiting import eventually
from tests.support.ws import WsClient

LEASE_S = 1.0
BLOWS = (signal.SIGKILL, signal.SIGSTOP) * SCALE
ACKNOWLEDGED = 30
ON_SOCKET = 20
RESTS = {"symbol": "CRASH", "side": "BUY", "order_type": "LIMIT", "quantity": 1, "price": "40.00"} | {
    "time_in_force": "GTC"
}
PLAIN = {"symbol": "CRASH", "side": "BUY", "order_type": "MARKET", "quantity": 1}
ORDERS = "/api/v1/orders/"
SETTINGS = {"SECRET_KEY": "only-for-crash-tests-0123456789-abcdef", "ENGINE__LEASE_S": str(LEASE_S)}


class Field:
    """The engine's process, one that stands by, the gateways, and the clients of these."""

    def __init__(self, uri: str, database: Database, directory: Path) -> None:
        self._uri, self._database, self._directory = uri, database, directory
        self._ends = ExitStack()
        self.rivals: list[Rival] = []
        self.ports: list[int] = []
        self.crowds: list[Crowd] = []
        self.sockets = Ledger()
        self.gaps_s: list[float] = []

    async def start(self) -> None:
        """Start the engine's process first: it makes the users."""
        for _ in range(2):
            self.rivals.append(await Rival(self._uri, self._database.name, LEASE_S).listens())
        settings = SETTINGS | {"MONGODB_URI": self._uri, "DATABASE": self._database.name, "ROLE": "gateway"}
        found = []
        for number in range(2):
            directory = self._directory / f"gateway{number}"
            directory.mkdir()
            found.append(self._ends.enter_context(serving(directory, "--port", "0", **settings)))
        for server in found:
            url = await asyncio.to_thread(lambda server=server: server.url)
            self.ports.append(int(url.rpartition(":")[2]))

    async def trade_on_a_socket(self, at: int, stop: asyncio.Event) -> None:
        """Send orders over a gateway's WebSocket, several at once, and each again until it is answered well."""
        names = itertools.count()
        async with await WsClient.open(self.ports[at], token=self.crowds[at].token) as socket:
            await socket.receive_until(lambda message: message["type"] == "authenticated")
            while not stop.is_set():
                orders = {f"ws{at}-{next(names)}": new_order(self.crowds[at].chance) for _ in range(5)}
                asked = {name: order | {"client_order_id": name} for name, order in orders.items()}
                self.sockets.unknown.update(asked)
                while left := [name for name in asked if name in self.sockets.unknown]:
                    for name in left:
                        await socket.send({"action": "order", "id": name, "order": asked[name]})
                    for _ in left:
                        self._hear(await self._answer(socket), asked)
                await asyncio.sleep(0.05)

    async def _answer(self, socket: WsClient) -> dict[str, object]:
        while True:
            message = await socket.receive(timeout_s=20)
            if "id" in message:
                return message

    def _hear(self, answer: dict[str, object], asked: dict[str, dict[str, object]]) -> None:
        if "order" in answer:
            status = 201 if answer["type"] == "result" else 422
            acknowledge(self.sockets, asked[str(answer["id"])], status, answer if status == 422 else answer["order"])  # type: ignore[arg-type]
        else:
            assert answer["code"] in ("engine.away", "outcome-unknown", "unavailable"), answer

    async def keeper(self) -> tuple[WsClient, list[str]]:
        """Open a socket that leaves nothing behind, with an order that rests; return it and the order's id."""
        socket = await WsClient.open(self.ports[0], token=self.crowds[0].token)
        await socket.send({"action": "cancel_on_disconnect", "id": "on"})
        await self._answer(socket)
        return socket, [await self.rest(socket)]

    async def rest(self, socket: WsClient) -> str:
        """Place an order over a socket that no price reaches."""
        name = f"kept-{len(self.sockets.acknowledged)}"
        await socket.send({"action": "order", "id": name, "order": RESTS | {"client_order_id": name}})
        answer: Any = await self._answer(socket)
        acknowledge(self.sockets, RESTS | {"client_order_id": name}, 201, answer["order"])
        return str(answer["order"]["id"])

    async def are_cancelled(self, orders: list[str]) -> bool:
        """Say whether orders have ended."""
        client = ApiClient(f"http://127.0.0.1:{self.ports[1]}", self.crowds[0].token)
        found = [(await client.get(f"{ORDERS}{order}/")).json["status"] for order in orders]
        client.close()
        return set(found) == {"CANCELLED"}

    async def blow(self, how: signal.Signals, active: int) -> None:
        """Kill or freeze the engine's process; see everybody served by the other, and the first one back."""
        before = [crowd.times[-1] for crowd in self.crowds]
        self.rivals[active].signal(how)
        known = len(self.sockets.acknowledged)
        await asyncio.gather(*(crowd.more(ACKNOWLEDGED) for crowd in self.crowds))
        await eventually(
            lambda: len(self.sockets.acknowledged) >= known + ON_SOCKET, timeout_s=30, what="orders on sockets"
        )
        self.gaps_s += [crowd.gap_s(since) for crowd, since in zip(self.crowds, before, strict=True)]
        if how is signal.SIGSTOP:
            self.rivals[active].signal(signal.SIGCONT)
        else:
            self.rivals[active].end()
            self.rivals[active] = await Rival(self._uri, self._database.name, LEASE_S).listens()
        await eventually(self.rivals[active].stands_by, timeout_s=20, what="the stale one standing by")

    async def same_order_everywhere(self) -> None:
        """Send one order fifty times at once, over both gateways, while its engine is killed."""
        clients = [ApiClient(f"http://127.0.0.1:{port}", self.crowds[0].token) for port in self.ports]
        order = PLAIN | {"client_order_id": "storm"}
        asking = [asyncio.ensure_future(clients[number % 2].post(ORDERS, order)) for number in range(50)]
        await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        active = 0 if await self.rivals[0].is_ready() else 1
        self.rivals[active].signal(signal.SIGKILL)
        answers = await asyncio.gather(*asking)
        assert {one.status for one in answers} == {201}, [str(one) for one in answers if one.status != 201]
        assert len({one.json["id"] for one in answers}) == 1
        acknowledge(self.sockets, order, 201, answers[0].json)
        for client in clients:
            client.close()

    def end(self) -> None:
        """End everything that was started."""
        for rival in self.rivals:
            rival.end()
        self._ends.close()


@asynccontextmanager
async def field(uri: str, database: Database, directory: Path) -> AsyncIterator[Field]:
    made = Field(uri, database, directory)
    try:
        await made.start()
        yield made
    finally:
        made.end()


async def ordeal(made: Field) -> None:
    """Blow after blow, then hold what clients were told against what is stored."""
    stop = asyncio.Event()
    async with AsyncExitStack() as ends:
        for port in made.ports:
            made.crowds.append(await ends.enter_async_context(crowd(port)))
        trading = [asyncio.create_task(made.trade_on_a_socket(at, stop)) for at in (0, 1)]
        keeper, kept = await made.keeper()
        try:
            await asyncio.gather(*(crowd.more(ACKNOWLEDGED) for crowd in made.crowds))
            for number, how in enumerate(BLOWS):
                await made.blow(how, number % 2)
                for task in trading:
                    assert not task.done(), task.result()
        finally:
            stop.set()
            await asyncio.gather(*trading)
        await asyncio.gather(*(crowd.quiet() for crowd in made.crowds))
        kept.append(await made.rest(keeper))
        await keeper.abort()
        await eventually(lambda: made.are_cancelled(kept), timeout_s=20, what="the cancels of a socket that went")
        await made.same_order_everywhere()
        for found in made.crowds:
            await retry_unknown(found.port, found.token, found.ledger)


@pytest.mark.timeout(300)
def test_clients_of_gateways_lose_and_double_nothing_while_the_engine_is_killed_and_frozen(
    mongod: str, database: Database, io_loop: IOLoop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run() -> Field:
        async with field(mongod, database, tmp_path) as made:
            await ordeal(made)
        return made

    made = io_loop.run_sync(run)
    ledger = Ledger()
    for told in (*(each.ledger for each in made.crowds), made.sockets):
        assert told.unknown == {}
        ledger.acknowledged |= told.acknowledged
        ledger.cancelled |= told.cancelled
    check_stored(database, ledger)
    refused = sum(len(crowd.refused) for crowd in made.crowds)
    with capsys.disabled():
        print(  # noqa: T201  the figures to quote
            f"\n{len(BLOWS)} kills and freezes, {len(ledger.acknowledged)} orders at gateways"
            f" ({len(made.sockets.acknowledged)} on sockets): lost 0, doubled 0; answered 503: {refused};"
            f" longest without an acknowledgement {max(made.gaps_s):.1f} s with a lease of {LEASE_S:g} s"
        )
