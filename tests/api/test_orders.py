"""Orders, holdings and kill switches as a client sees them."""

import asyncio
import json
import time
import uuid
from decimal import Decimal
from typing import Any

import pytest

from qsuite.domain.market import Quote
from tests.support.client import ApiClient
from tests.support.running_app import Api
from tests.support.waiting import eventually
from tests.support.ws import WsClient

ORDERS = "/api/v1/orders/"


@pytest.fixture(autouse=True, scope="module")
def market(api: Api, io_loop: Any) -> None:
    async def open_market() -> None:
        for symbol in ("IBM", "HALTME"):
            await api.services.reference.ensure_ticker(symbol, {"name": symbol})
        now = time.time_ns()
        await api.services.market.publish(
            [Quote(symbol, now, Decimal("99.98"), Decimal("100.02")) for symbol in ("IBM", "HALTME")]
        )

    io_loop.run_sync(open_market)


def market_order(side: str = "BUY", quantity: Any = 10, **more: Any) -> dict[str, Any]:
    return {"symbol": "IBM", "side": side, "order_type": "MARKET", "quantity": quantity, **more}


def limit_order(price: Any, side: str = "BUY", quantity: Any = 10, **more: Any) -> dict[str, Any]:
    return {"symbol": "IBM", "side": side, "order_type": "LIMIT", "quantity": quantity, "price": price, **more}


async def place(client: ApiClient, order: dict[str, Any], status: int = 201) -> Any:
    answer = await client.post(ORDERS, order)
    assert answer.status == status, answer
    return answer.json


async def test_a_market_order_fills_at_the_ask_and_shows_in_every_book(api: Api) -> None:
    trader = await api.new_client("trader")
    order = await place(trader, market_order(quantity="10"))
    assert (order["status"], order["filled_quantity"], order["avg_fill_price"]) == ("FILLED", "10", "100.02")
    assert order["commission"] == "0.050"
    assert order["created_by"] == trader.user["id"]
    (execution,) = (await trader.get(f"{ORDERS}{order['id']}/executions/")).json["results"]
    assert (execution["price"], execution["quantity"], execution["order"]) == ("100.02", "10", order["id"])
    assert (await trader.get(f"/api/v1/executions/{execution['id']}/")).json == execution
    position = (await trader.get("/api/v1/positions/IBM/")).json
    assert (position["quantity"], position["market_price"], position["market_value"]) == ("10", "99.98", "999.80")
    assert Decimal(position["unrealized_pnl"]) == Decimal("-0.40")
    account = (await trader.get("/api/v1/account/")).json
    # 1,000,000 - 10 x 100.02 - 10 x 0.005
    assert Decimal(account["cash"]) == Decimal("998999.75")
    assert Decimal(account["equity"]) == Decimal("998999.75") + Decimal("999.80")
    assert Decimal(account["buying_power"]) == Decimal("998999.75")


async def test_a_number_or_a_string_is_the_same_exact_decimal(api: Api) -> None:
    trader = await api.new_client("trader")
    for quantity in (3, "3", 3.0):
        assert Decimal((await place(trader, market_order(quantity=quantity)))["filled_quantity"]) == 3


async def test_a_refused_order_is_answered_422_with_the_stored_order(api: Api) -> None:
    trader = await api.new_client("trader")
    answer = await trader.post(ORDERS, market_order("SELL", 5))
    assert (answer.status, answer.code) == (422, "risk.short_sale")
    stored = answer.json["order"]
    assert stored["status"] == "REJECTED"
    assert stored["reject"]["code"] == "risk.short_sale"
    assert (await trader.get(f"{ORDERS}{stored['id']}/")).json == stored


@pytest.mark.parametrize(
    "broken",
    [
        {"quantity": 0},
        {"quantity": -5},
        {"quantity": True},
        {"quantity": "NaN"},
        {"quantity": "١"},
        {"quantity": "1_000"},
        {"side": "buy"},
        {"side": {"$ne": None}},
        {"order_type": "ICEBERG"},
        {"symbol": "IBM\n"},
        {"symbol": None},
        {"status": "FILLED"},
        {"hold": "yes"},
        {"hold": 1},
        {"client_order_id": "a" * 65},
        {"client_order_id": "two words"},
    ],
)
async def test_wrong_fields_are_named_and_nothing_is_stored(api: Api, broken: dict[str, Any]) -> None:
    before = (await api.trader.get(ORDERS)).json["count"]
    answer = await api.trader.post(ORDERS, market_order() | broken)
    assert (answer.status, answer.code) == (422, "validation")
    assert set(answer.json["errors"]) == set(broken)
    assert (await api.trader.get(ORDERS)).json["count"] == before


async def test_fifty_equal_requests_at_once_are_one_order_and_get_one_answer(api: Api) -> None:
    trader = await api.new_client("trader")
    order = market_order(client_order_id="storm")
    answers = await asyncio.gather(*(trader.post(ORDERS, order) for _ in range(50)))
    assert {answer.status for answer in answers} == {201}
    assert len({answer.body for answer in answers}) == 1
    assert (await trader.get(ORDERS)).json["count"] == 1
    other = await trader.post(ORDERS, order | {"quantity": 11})
    assert (other.status, other.code) == (409, "order.duplicate_id")
    found = await trader.get(f"{ORDERS}by-client-id/storm/")
    assert found.json == answers[0].json


async def test_the_first_answer_comes_again_after_the_order_changed(api: Api) -> None:
    trader = await api.new_client("trader")
    order = limit_order("50.00", client_order_id="again")
    first = await trader.post(ORDERS, order)
    await trader.delete(f"{ORDERS}{first.json['id']}/")
    again = await trader.post(ORDERS, order)
    assert (again.status, again.body) == (first.status, first.body)


async def test_a_held_order_waits_for_its_release_and_is_released_once(api: Api) -> None:
    trader = await api.new_client("trader")
    held = await place(trader, market_order(hold=True))
    assert (held["status"], held["filled_quantity"]) == ("HELD", "0")
    answers = await asyncio.gather(*(trader.post(f"{ORDERS}{held['id']}/execute/") for _ in range(10)))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 9
    assert {answer.code for answer in answers if answer.status == 409} == {"order.already_processed"}
    assert (await trader.get("/api/v1/executions/")).json["count"] == 1


async def test_cancelling_twice_gives_the_same_answer_and_a_filled_order_a_conflict(api: Api) -> None:
    trader = await api.new_client("trader")
    working = await place(trader, limit_order("50.00"))
    first = await trader.delete(f"{ORDERS}{working['id']}/")
    second = await trader.post(f"{ORDERS}{working['id']}/cancel/")
    assert (first.status, first.json["status"]) == (200, "CANCELLED")
    assert first.body == second.body
    filled = await place(trader, market_order())
    refused = await trader.delete(f"{ORDERS}{filled['id']}/")
    assert (refused.status, refused.code) == (409, "order.already_processed")
    assert refused.json["order"]["status"] == "FILLED"
    assert (await trader.delete(f"{ORDERS}{uuid.uuid4()}/")).status == 404


async def test_cancel_all_frees_what_was_reserved(api: Api) -> None:
    trader = await api.new_client("trader")
    for price in ("50.00", "51.00"):
        await place(trader, limit_order(price))
    assert Decimal((await trader.get("/api/v1/account/")).json["reserved"]) == Decimal("1010.10")
    answer = await trader.post(f"{ORDERS}cancel_all/")
    assert (answer.status, answer.json["count"]) == (200, 2)
    assert Decimal((await trader.get("/api/v1/account/")).json["reserved"]) == 0


async def test_other_peoples_orders_are_not_there(api: Api) -> None:
    mine, other = await api.new_client("trader"), await api.new_client("trader")
    order = await place(mine, limit_order("50.00", client_order_id="mine"))
    for answer in (
        await other.get(f"{ORDERS}{order['id']}/"),
        await other.get(f"{ORDERS}{order['id']}/executions/"),
        await other.delete(f"{ORDERS}{order['id']}/"),
        await other.post(f"{ORDERS}{order['id']}/execute/"),
        await other.get(f"{ORDERS}by-client-id/mine/"),
        await other.post(ORDERS, market_order(account=order["account"])),
    ):
        assert answer.status == 404, answer
    assert (await other.get(ORDERS)).json["count"] == 0
    assert (await api.auditor.get(f"{ORDERS}{order['id']}/")).json["id"] == order["id"]


async def test_lists_filter_order_and_page_without_gaps(api: Api) -> None:
    trader = await api.new_client("trader")
    placed = [await place(trader, limit_order(f"{50 + number}.00", quantity=number)) for number in range(1, 8)]
    await place(trader, market_order("SELL", 1), status=422)

    async def ids(**query: Any) -> list[str]:
        answer = await trader.get(ORDERS, query=query)
        assert answer.status == 200, answer
        return [order["id"] for order in answer.json["results"]]

    newest_first = [order["id"] for order in reversed(placed)]
    assert await ids(status="PENDING") == newest_first
    assert len(await ids(status="REJECTED")) == 1
    assert await ids(status__in="PENDING,HELD", ordering="created_at") == newest_first[::-1]
    assert await ids(side="SELL", status="PENDING") == []
    assert await ids(created_at__gt=placed[-2]["created_at"], status="PENDING", page_size=1) == newest_first[:1]
    seen: list[str] = []
    url: str | None = f"{ORDERS}?status=PENDING&page_size=3&cursor="
    while url:
        page = (await trader.get(url)).json
        seen += [order["id"] for order in page["results"]]
        url = page["next"]
    assert seen == newest_first
    assert (await trader.get(ORDERS, query={"colour": "red"})).status == 422


async def test_closing_a_position_sells_all_of_it(api: Api) -> None:
    trader = await api.new_client("trader")
    await place(trader, market_order(quantity=7))
    closed = await trader.delete("/api/v1/positions/IBM/")
    assert (closed.status, closed.json["side"], closed.json["filled_quantity"]) == (201, "SELL", "7")
    assert (await trader.get("/api/v1/positions/")).json["results"] == []
    again = await trader.delete("/api/v1/positions/IBM/")
    assert (again.status, again.code) == (409, "position.flat")
    account = (await trader.get("/api/v1/account/")).json
    # bought at 100.02, sold at 99.98: 7 x 0.04 lost, and commission twice
    assert Decimal(account["realized_pnl"]) == Decimal("-0.28")
    assert Decimal(account["cash"]) == Decimal(1_000_000) - Decimal("0.28") - Decimal("0.07")


async def test_a_kill_switch_stops_a_ticker_until_another_user_lifts_it(api: Api) -> None:
    trader = await api.new_client("trader")
    working = await place(trader, limit_order("50.00", symbol="HALTME"))
    switch = {"scope": "ticker", "id": "HALTME", "reason": "bad prints"}
    thrown = await api.risk_manager.post("/api/v1/risk/kill-switch/", switch)
    assert (thrown.status, thrown.json["cancelled"]) == (200, 1)
    assert (await trader.get(f"{ORDERS}{working['id']}/")).json["status"] == "CANCELLED"
    refused = await trader.post(ORDERS, market_order(symbol="HALTME"))
    assert (refused.status, refused.code) == (422, "risk.halted")
    await place(trader, market_order())
    lift = "/api/v1/risk/kill-switch/?scope=ticker&id=HALTME"
    assert (await trader.delete(lift)).status == 403
    assert (await api.risk_manager.delete(lift)).status == 403
    assert (await api.admin.delete(lift)).status == 200
    await place(trader, market_order(symbol="HALTME"))


async def test_an_order_of_a_client_that_went_away_is_placed_all_the_same(api: Api) -> None:
    trader = await api.new_client("trader")
    order = market_order(client_order_id="gone")
    await send_and_leave(api, trader, order)

    async def placed() -> Any:
        return (await trader.get(ORDERS)).json["results"]

    (found,) = await eventually(placed)
    assert (found["client_order_id"], found["status"]) == ("gone", "FILLED")
    assert await place(trader, order) == found
    assert (await trader.get(ORDERS)).json["count"] == 1


async def send_and_leave(api: Api, client: ApiClient, order: dict[str, Any]) -> None:
    """Send an order and hang up before anybody can have read it."""
    body = json.dumps(order)
    _, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(
        f"POST {ORDERS} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {client.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    writer.close()
    await writer.wait_closed()


async def test_the_stream_starts_with_every_open_order_however_many(api: Api) -> None:
    trader = await api.new_client("trader")
    placed = {(await place(trader, limit_order("50.00", quantity=1)))["id"] for _ in range(3)}
    account = (await trader.get("/api/v1/account/")).json["id"]
    template = api.database.sync.orders.find_one({"account": uuid.UUID(account)})
    assert template is not None
    more = [template | {"_id": uuid.uuid4()} for _ in range(1_200)]
    api.database.sync.orders.insert_many(more)
    assert trader.token is not None
    async with await WsClient.open(api.port, token=trader.token) as stream:
        await stream.send({"action": "subscribe", "channels": ["orders"]})
        snapshot = await stream.receive_type("snapshot")
    shown = [order["id"] for order in snapshot["data"]]
    assert len(shown) == len(set(shown)) == 1_203
    assert placed <= set(shown)
