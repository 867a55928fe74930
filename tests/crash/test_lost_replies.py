"""Answers that are lost on their way, whole or from the middle on: asking again gives what the lost one said.

The proxy keeps what was lost, so the answer to the retry is held against the very bytes the client did not get.
"""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from qsuite.domain.market import Quote
from tests.crash.clients import CONNECTION_LOST, SCALE, Connection, check_the_books
from tests.support.client import ApiClient
from tests.support.proxy import Proxy, proxy_to, whole_frame
from tests.support.running_app import Api
from tests.support.ws import Closed, WsClient

ORDERS = "/api/v1/orders/"
SYMBOL = "LOST"
LOST = 200 * SCALE

Answer = tuple[int, dict[str, Any]]


@pytest.fixture(autouse=True, scope="module")
def market(api: Api, io_loop: IOLoop) -> None:
    async def open_market() -> None:
        await api.services.reference.ensure_ticker(SYMBOL, {"name": "for lost replies"})
        await api.services.market.publish([Quote(SYMBOL, time.time_ns(), Decimal("99.99"), Decimal("100.01"))])

    io_loop.run_sync(open_market)


class Client:
    """A trader whose answers get lost."""

    def __init__(self, proxy: Proxy, trader: ApiClient, chance: random.Random) -> None:
        assert trader.token is not None
        self.proxy, self.trader, self.token, self.chance = proxy, trader, trader.token, chance
        self.sent = 0

    def order(self, **fields: Any) -> dict[str, Any]:
        """Make up an order under an id of its own."""
        self.sent += 1
        order = {"symbol": SYMBOL, "side": "BUY", "order_type": "MARKET", "client_order_id": f"lost-{self.sent}"}
        return order | {"quantity": self.chance.randint(1, 9)} | fields

    def resting(self) -> dict[str, Any]:
        """Make up an order that stays open."""
        return self.order(order_type="LIMIT", price="60.00", time_in_force="GTC")

    async def call(self, method: str, path: str, body: Any = None) -> Answer:
        """Ask over a connection of its own."""
        async with Connection.open(self.proxy.port, self.token) as connection:
            return await connection.call(method, path, body)

    async def lose(self, method: str, path: str, body: Any = None) -> Answer:
        """Ask, do not get the answer, and return what it was."""
        lost = self.proxy.lose(self.chance.choice([0.0, self.chance.random()]))
        with pytest.raises(CONNECTION_LOST):
            await self.call(method, path, body)
        head, _, answer = (await lost).partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(answer)

    async def socket(self) -> WsClient:
        """Open a WebSocket and log in."""
        client = await WsClient.open(self.proxy.port, token=self.token)
        assert [(await client.receive())["type"] for _ in range(2)] == ["welcome", "authenticated"]
        return client

    async def say(self, message: dict[str, Any]) -> dict[str, Any]:
        """Say something over a socket of its own and return the answer."""
        async with await self.socket() as socket:
            return await socket.ask(message)

    async def lose_said(self, message: dict[str, Any]) -> dict[str, Any]:
        """Say something over a socket, do not get the answer, and return what it was."""
        async with await self.socket() as socket:
            lost = self.proxy.lose(self.chance.choice([0.0, self.chance.random()]), whole_frame)
            await socket.send(message)
            with pytest.raises(Closed):
                await socket.receive()
        answer: dict[str, Any] = json.loads((await lost).partition(b"[")[2].join((b"[", b"")))[0]
        return answer


async def place(client: Client) -> None:
    kinds: list[Callable[[], dict[str, Any]]] = [client.order, client.resting, partial(client.order, hold=True)]
    order = client.chance.choice(kinds)()
    first = await client.lose("POST", ORDERS, order)
    assert first[0] == 201, first
    assert await client.call("POST", ORDERS, order) == first
    if first[1]["status"] != "FILLED":
        assert (await client.call("DELETE", f"{ORDERS}{first[1]['id']}/"))[0] == 200
        assert await client.call("POST", ORDERS, order) == first  # what it said, not what became of it


async def place_refused(client: Client) -> None:
    order = client.order(quantity=9_999_999)
    status, lost = await client.lose("POST", ORDERS, order)
    again, answer = await client.call("POST", ORDERS, order)
    assert status == again == 422
    assert (lost["code"], lost["order"]) == (answer["code"], answer["order"])


async def cancel(client: Client) -> None:
    _, order = await client.call("POST", ORDERS, client.resting())
    first = await client.lose("POST", f"{ORDERS}{order['id']}/cancel/")
    assert (first[0], first[1]["status"]) == (200, "CANCELLED")
    assert await client.call("POST", f"{ORDERS}{order['id']}/cancel/") == first


async def release(client: Client) -> None:
    """What was released cannot be released again: the answer says so, and shows the order as the lost one did."""
    _, order = await client.call("POST", ORDERS, client.order(hold=True))
    status, released = await client.lose("POST", f"{ORDERS}{order['id']}/execute/")
    assert (status, released["status"]) == (200, "FILLED")
    again, answer = await client.call("POST", f"{ORDERS}{order['id']}/execute/")
    assert (again, answer["code"]) == (409, "order.already_processed")
    assert answer["order"] == released


async def replace(client: Client) -> None:
    _, order = await client.call("POST", ORDERS, client.resting())
    terms = {"quantity": 11, "price": "61.00"}
    first = await client.lose("PATCH", f"{ORDERS}{order['id']}/", terms)
    assert (first[0], first[1]["quantity"], first[1]["price"]) == (200, "11", "61.00")
    assert await client.call("PATCH", f"{ORDERS}{order['id']}/", terms) == first
    assert (await client.call("DELETE", f"{ORDERS}{order['id']}/"))[0] == 200


async def place_by_socket(client: Client) -> None:
    message = {"action": "order", "id": "the same", "order": client.order()}
    first = await client.lose_said(message)
    assert (first["type"], first["order"]["status"]) == ("result", "FILLED")
    assert await client.say(message) == first
    assert await client.call("POST", ORDERS, message["order"]) == (201, first["order"])


async def cancel_by_socket(client: Client) -> None:
    _, order = await client.call("POST", ORDERS, client.resting())
    message = {"action": "cancel", "id": 7, "order_id": order["id"]}
    first = await client.lose_said(message)
    assert (first["type"], first["order"]["status"]) == ("result", "CANCELLED")
    assert await client.say(message) == first


WAYS: list[Callable[[Client], Awaitable[None]]] = [
    place,
    place_refused,
    cancel,
    release,
    replace,
    place_by_socket,
    cancel_by_socket,
]


@pytest.mark.timeout(120 * SCALE)
async def test_whoever_asks_again_gets_the_answer_that_was_lost(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    lost: Counter[str] = Counter()
    async with proxy_to(api.port) as proxy:
        client = Client(proxy, await api.new_client("trader"), random.Random(20261121))
        for number in range(LOST):
            way = WAYS[number % len(WAYS)]
            await way(client)
            lost[way.__name__] += 1
    account = (await client.trader.get("/api/v1/account/")).json["id"]
    listed = [one async for one in api.database.collection("orders").find({})]
    ours = Counter(one["client_order_id"] for one in listed if str(one["account"]) == account)
    assert len(ours) == client.sent
    assert set(ours.values()) == {1}
    await asyncio.to_thread(check_the_books, api.database)
    with capsys.disabled():
        print(f"\n{LOST} lost replies ({dict(lost)}): doubled 0, different 0")  # noqa: T201  the figure to quote
