"""The same request many times at once, over REST and WebSocket: one order, one fill, and every answer the same."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from qsuite.domain.market import Quote
from tests.crash.clients import SCALE, Connection, check_the_books
from tests.support.client import ApiClient
from tests.support.running_app import Api
from tests.support.waiting import turns
from tests.support.ws import WsClient

ORDERS = "/api/v1/orders/"
SYMBOL = "STORM"
DIFFERENT, AT_ONCE = 50 * SCALE, 20
RELEASES = 60
RACES = 20 * SCALE


def quote(bid: str = "99.99", ask: str = "100.01") -> Quote:
    return Quote(SYMBOL, time.time_ns(), Decimal(bid), Decimal(ask))


@pytest.fixture(autouse=True, scope="module")
def market(api: Api, io_loop: IOLoop) -> None:
    async def open_market() -> None:
        await api.services.reference.ensure_ticker(SYMBOL, {"name": "for storms"})
        await api.services.market.publish([quote()])

    io_loop.run_sync(open_market)


class Crowd:
    """Connections of one trader, of both kinds, all open before anything is sent."""

    def __init__(self, rest: list[Connection], sockets: list[WsClient]) -> None:
        self.rest, self.sockets = rest, sockets

    async def place(self, order: dict[str, Any], others: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Send an order over every connection at once; every second one sends ``others`` where given."""
        orders = [order, others or order] * (len(self.rest) + len(self.sockets))
        by_rest = [one.call("POST", ORDERS, asked) for one, asked in zip(self.rest, orders, strict=False)]
        by_socket = [
            one.ask({"action": "order", "id": "storm", "order": asked})
            for one, asked in zip(self.sockets, orders, strict=False)
        ]
        answered = await asyncio.gather(*by_rest, *by_socket)
        return [told(answer) for answer in answered]


def told(answer: Any) -> dict[str, Any]:
    """Say what an answer says, without the shape of its way: status or code, and the order."""
    if isinstance(answer, tuple):
        status, body = answer
        return {"code": "", "order": body} if status == 201 else {"code": body["code"], "order": body["order"]}
    return {"code": answer.get("code", ""), "order": answer["order"]}


@asynccontextmanager
async def crowd(port: int, trader: ApiClient, rest: int, sockets: int) -> AsyncIterator[Crowd]:
    assert trader.token is not None
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(Connection.open(port, trader.token)) for _ in range(rest)]
        clients = [
            await stack.enter_async_context(await WsClient.open(port, token=trader.token)) for _ in range(sockets)
        ]
        for client in clients:
            assert [(await client.receive())["type"] for _ in range(2)] == ["welcome", "authenticated"]
        yield Crowd(connections, clients)


def an_order(number: int) -> dict[str, Any]:
    """Make up one of five kinds: filled, resting, held, refused, waiting for its stop."""
    order = {"symbol": SYMBOL, "side": "BUY", "quantity": 1 + number, "client_order_id": f"storm-{number}"}
    kinds: list[dict[str, Any]] = [
        {"order_type": "MARKET"},
        {"order_type": "LIMIT", "price": "60.00", "time_in_force": "GTC"},
        {"order_type": "MARKET", "hold": True},
        {"order_type": "MARKET", "quantity": 9_999_999},
        {"order_type": "STOP", "stop_price": "150.00", "time_in_force": "GTC"},
    ]
    return order | kinds[number % len(kinds)]


async def stored(api: Api, trader: ApiClient) -> Counter[str]:
    """Count the trader's orders in storage by client order id."""
    user = trader.user["id"]
    found = api.database.collection("orders").find({})
    return Counter([one["client_order_id"] async for one in found if str(one["created_by"]) == user])


async def test_a_storm_of_repeated_orders_makes_one_order_each_and_answers_all_alike(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    trader = await api.new_client("trader")
    codes: Counter[str] = Counter()
    async with crowd(api.port, trader, AT_ONCE // 2, AT_ONCE // 2) as clients:
        for number in range(DIFFERENT):
            answers = await clients.place(an_order(number))
            assert len(answers) == AT_ONCE
            assert [answer for answer in answers if answer != answers[0]] == []
            codes[answers[0]["code"] or answers[0]["order"]["status"]] += 1
            if answers[0]["order"]["status"] in ("PENDING", "HELD"):  # open orders of one symbol are limited
                assert (await trader.delete(f"{ORDERS}{answers[0]['order']['id']}/")).status == 200
    assert await stored(api, trader) == {f"storm-{number}": 1 for number in range(DIFFERENT)}
    await asyncio.to_thread(check_the_books, api.database)
    with capsys.disabled():
        summary = f"{DIFFERENT * AT_ONCE} requests for {DIFFERENT} orders ({dict(codes)})"
        print(f"\n{summary}: doubled 0, answered otherwise 0")  # noqa: T201  the figure to quote


async def test_of_two_different_orders_under_one_id_exactly_one_wins(api: Api) -> None:
    trader = await api.new_client("trader")
    async with crowd(api.port, trader, AT_ONCE // 2, AT_ONCE // 2) as clients:
        for number in range(20 * SCALE):
            one = {
                "symbol": SYMBOL,
                "side": "BUY",
                "order_type": "MARKET",
                "quantity": 1,
                "client_order_id": f"{number}",
            }
            answers = await clients.place(one, one | {"quantity": 2})
            won = [answer["order"] for answer in answers if not answer["code"]]
            lost = [answer for answer in answers if answer["code"]]
            assert len(won) == len(lost) == AT_ONCE // 2
            assert [order for order in won if order != won[0]] == []
            assert {answer["code"] for answer in lost} == {"order.duplicate_id"}
            assert {answer["order"]["id"] for answer in lost} == {won[0]["id"]}
    assert set((await stored(api, trader)).values()) == {1}
    await asyncio.to_thread(check_the_books, api.database)


async def test_a_held_order_released_by_many_at_once_is_filled_once(api: Api) -> None:
    trader = await api.new_client("trader")
    held = (await trader.post(ORDERS, an_order(2))).json
    async with crowd(api.port, trader, RELEASES, 0) as clients:
        path = f"{ORDERS}{held['id']}/execute/"
        answers = await asyncio.gather(*(one.call("POST", path) for one in clients.rest))
    assert Counter(status for status, _ in answers) == {200: 1, 409: RELEASES - 1}
    (filled,) = [body for status, body in answers if status == 200]
    assert filled["status"] == "FILLED"
    refused = [body for status, body in answers if status == 409]
    assert {body["code"] for body in refused} == {"order.already_processed"}
    assert [body["order"] for body in refused if body["order"] != filled] == []
    (execution,) = (await trader.get(f"{ORDERS}{held['id']}/executions/")).json["results"]
    assert execution["quantity"] == held["quantity"]
    await asyncio.to_thread(check_the_books, api.database)


async def test_a_cancel_and_a_fill_at_once_end_in_one_of_them_and_never_in_both(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    trader = await api.new_client("trader")
    ends: Counter[str] = Counter()
    async with crowd(api.port, trader, 1, 0) as clients:
        for number in range(RACES):
            order = (await trader.post(ORDERS, an_order(1) | {"client_order_id": f"race-{number}"})).json
            cancelling = asyncio.create_task(clients.rest[0].call("DELETE", f"{ORDERS}{order['id']}/"))
            await turns(number)  # the fill comes a little later each time
            await api.services.market.publish([quote("59.00", "59.50")])
            status, answer = await cancelling
            await api.services.market.publish([quote()])
            after = (await trader.get(f"{ORDERS}{order['id']}/")).json
            fills = (await trader.get(f"{ORDERS}{order['id']}/executions/")).json["results"]
            ends[after["status"]] += 1
            if status == 200:
                assert (after, fills) == (answer, [])
                assert after["status"] == "CANCELLED"
            else:
                assert (status, answer["code"]) == (409, "order.already_processed")
                assert (after["status"], len(fills)) == ("FILLED", 1)
                assert answer["order"] == after
    await asyncio.to_thread(check_the_books, api.database)
    with capsys.disabled():
        print(f"\n{RACES} races between a cancel and a fill: {dict(ends)}")  # noqa: T201  the figure to quote
