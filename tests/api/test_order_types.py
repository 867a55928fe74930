"""Stops, brackets, replaces, bulk orders and a book, as clients see them."""

import asyncio
import json
import threading
import time
import uuid
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest

from qsuite.domain.market import Quote, Trade
from qsuite.handlers.trading_schemas import PlaceOrderSchema
from tests.support.bad_input import bad_bodies
from tests.support.client import ApiClient
from tests.support.running_app import Api
from tests.support.waiting import eventually
from tests.support.ws import WsClient

ORDERS = "/api/v1/orders/"


@pytest.fixture(autouse=True, scope="module")
def market(api: Api, io_loop: Any) -> None:
    async def open_market() -> None:
        for symbol in ("STOPS", "LEGS"):
            await api.services.reference.ensure_ticker(symbol, {"name": symbol})
            await publish(api, symbol, "99.98", "100.02")
        await api.services.reference.ensure_ticker("PIT", {"name": "a book", "execution_mode": "book"})

    io_loop.run_sync(open_market)


async def publish(api: Api, symbol: str, bid: str, ask: str, last: str | None = None) -> None:
    now = time.time_ns()
    ticks: list[Any] = [Quote(symbol, now, Decimal(bid), Decimal(ask))]
    if last is not None:
        ticks.append(Trade(symbol, now, Decimal(last), Decimal(1_000_000)))
    await api.services.market.publish(ticks)


def limit(symbol: str, side: str, quantity: Any, price: str, **more: Any) -> dict[str, Any]:
    return {"symbol": symbol, "side": side, "order_type": "LIMIT", "quantity": quantity, "price": price, **more}


def at_market(symbol: str, side: str, quantity: Any, **more: Any) -> dict[str, Any]:
    return {"symbol": symbol, "side": side, "order_type": "MARKET", "quantity": quantity, **more}


async def place(client: ApiClient, order: dict[str, Any], status: int = 201) -> Any:
    answer = await client.post(ORDERS, order)
    assert answer.status == status, answer
    return answer.json


async def test_a_stop_waits_and_fills_when_the_market_comes(api: Api) -> None:
    trader = await api.new_client("trader")
    stop = await place(trader, {
        "symbol": "STOPS", "side": "BUY", "order_type": "STOP", "quantity": 10, "stop_price": "101.00",
    })  # fmt: skip
    assert (stop["status"], stop["stop_price"], stop["triggered"]) == ("PENDING", "101.00", False)
    await publish(api, "STOPS", "101.00", "101.04", "101.00")

    async def filled() -> bool:
        return bool((await trader.get(f"{ORDERS}{stop['id']}/")).json["status"] == "FILLED")

    await eventually(filled)
    order = (await trader.get(f"{ORDERS}{stop['id']}/")).json
    assert (order["triggered"], order["avg_fill_price"]) == (True, "101.04")
    await publish(api, "STOPS", "99.98", "100.02", "100.00")


async def test_a_bracket_shows_its_legs_as_orders_of_their_own(api: Api) -> None:
    trader = await api.new_client("trader")
    parent = await place(trader, at_market(
        "LEGS", "BUY", 10, take_profit={"price": "110.00"}, stop_loss={"stop_price": "95.00", "price": "94.50"},
    ))  # fmt: skip
    assert (parent["take_profit"], parent["stop_loss"]) == (
        {"price": "110.00"}, {"stop_price": "95.00", "price": "94.50"},
    )  # fmt: skip
    legs = (await trader.get(f"{ORDERS}?status=PENDING")).json["results"]
    assert {leg["order_type"] for leg in legs} == {"LIMIT", "STOP_LIMIT"}
    assert {leg["parent"] for leg in legs} == {parent["id"]}
    assert {leg["oco"] for leg in legs} == {leg["id"] for leg in legs}
    closing = await trader.delete("/api/v1/positions/LEGS/")
    assert (closing.status, closing.json["status"]) == (201, "FILLED")
    assert (await trader.get(f"{ORDERS}?status=PENDING")).json["results"] == []


async def test_a_replace_is_answered_with_the_new_version_and_guards_the_old(api: Api) -> None:
    trader = await api.new_client("trader")
    order = await place(trader, limit("STOPS", "BUY", 10, "99.00"))
    path = f"{ORDERS}{order['id']}/"
    changed = await trader.patch(path, {"price": "98.50", "quantity": "12"}, headers={"If-Match": f'"{order["id"]}.1"'})
    assert (changed.status, changed.json["price"], changed.json["quantity"]) == (200, "98.50", "12")
    assert changed.json["version"] == 2
    late = await trader.patch(path, {"price": "98.00"}, headers={"If-Match": f'"{order["id"]}.1"'})
    assert (late.status, late.code) == (412, "precondition_failed")
    refused = await trader.patch(path, {"quantity": "10001"})
    assert (refused.status, refused.code) == (422, "risk.max_quantity")
    assert refused.json["order"]["quantity"] == "12"
    await trader.delete(path)
    ended = await trader.patch(path, {"price": "98.00"})
    assert (ended.status, ended.code) == (409, "order.already_processed")
    assert (await trader.patch(f"{ORDERS}{uuid.uuid4()}/", {"price": "98.00"})).status == 404
    stranger = await api.new_client("trader")
    assert (await stranger.patch(path, {"price": "98.00"})).status == 404


async def test_each_order_of_a_bulk_has_a_result_of_its_own(api: Api) -> None:
    trader = await api.new_client("trader")
    same = limit("STOPS", "BUY", 1, "99.00", client_order_id="twice")
    asked = [
        at_market("STOPS", "BUY", 1),
        limit("STOPS", "BUY", 1, "99.001"),
        {"symbol": "STOPS"},
        same,
        same,
        {**same, "quantity": 2},
    ]
    answer = await trader.post(f"{ORDERS}bulk/", {"orders": asked})
    assert answer.status == 200, answer
    results = answer.json["results"]
    assert [result["status"] for result in results] == [201, 422, 422, 201, 201, 409]
    assert results[1]["code"] == "order.tick_size"
    assert results[1]["order"]["status"] == "REJECTED"
    assert (results[2]["code"], set(results[2]["errors"])) == ("validation", {"side", "order_type", "quantity"})
    assert results[3]["order"] == results[4]["order"]
    assert results[5]["code"] == "order.duplicate_id"
    assert (answer.json["count"], answer.json["accepted"]) == (6, 3)


@pytest.mark.parametrize("symbol", ["BTC/USD", "ES=F", "@NQ#", "BRK.B", "X:Y&Z+1", "L" * 64])
async def test_whatever_can_be_a_ticker_can_be_traded_and_asked_for(api: Api, symbol: str) -> None:
    trader = await api.new_client("trader")
    made = await api.admin.post("/api/v1/tickers/", {"symbol": symbol, "name": "x"})
    assert made.status == 201, made
    await publish(api, symbol, "99.98", "100.02")
    order = await place(trader, at_market(symbol, "BUY", 1))
    assert (order["status"], order["avg_fill_price"]) == ("FILLED", "100.02")
    escaped = quote(symbol, safe="")
    assert (await trader.get(f"/api/v1/positions/{escaped}/")).json["quantity"] == "1"
    for route in ("orders", "executions", "orders/performance_metrics", "risk/limits"):
        assert (await trader.get(f"/api/v1/{route}/?symbol={escaped}")).status == 200, route
    halt = {"scope": "ticker", "id": symbol, "reason": "over"}
    assert (await api.admin.post("/api/v1/risk/kill-switch/", halt)).status == 200
    assert (await trader.post(ORDERS, at_market(symbol, "BUY", 1))).code == "risk.halted"


async def test_a_bulk_may_be_the_array_alone_of_up_to_a_thousand(api: Api) -> None:
    trader = await api.new_client("trader")
    answer = await trader.post(f"{ORDERS}bulk/", [at_market("STOPS", "BUY", 1)] * 1000)
    assert (answer.status, answer.json["accepted"]) == (200, 1000)
    assert (await trader.get("/api/v1/positions/STOPS/")).json["quantity"] == "1000"
    assert (await trader.post(f"{ORDERS}bulk/", [at_market("STOPS", "BUY", 1)] * 1001)).status == 422
    assert (await trader.post(f"{ORDERS}bulk/", [])).status == 422


async def test_what_is_no_order_at_all_keeps_its_place_among_the_results(api: Api) -> None:
    trader = await api.new_client("trader")
    answer = await trader.post(f"{ORDERS}bulk/", [None, 1, "x", [], at_market("STOPS", "BUY", 1)])
    assert answer.status == 200, answer
    assert [result["status"] for result in answer.json["results"]] == [422, 422, 422, 422, 201]


async def test_no_bad_order_gets_through_among_good_ones(api: Api) -> None:
    trader = await api.new_client("trader")
    good = at_market("STOPS", "BUY", 1)
    refused = accepted = 0
    for why, body in bad_bodies(PlaceOrderSchema()):
        answer = await trader.post(f"{ORDERS}bulk/", body=b"[%b,%b]" % (json.dumps(good).encode(), body))
        assert answer.status in (200, 400, 413, 422), (why, answer)
        if answer.status == 200:
            first, second = answer.json["results"]
            assert (first["status"], second["status"]) == (201, 422), (why, second)
            accepted += 1
        refused += 1
    assert refused > accepted > 100


async def test_two_users_meet_in_a_book_and_the_market_sees_it(api: Api) -> None:
    seller, buyer = await api.new_client("trader"), await api.new_client("trader")
    await api.risk_manager.put("/api/v1/risk/limits/", {
        "scope": "ticker", "id": "PIT", "limits": {"short_sale": True}, "reason": "somebody must begin",
    })  # fmt: skip
    async with await WsClient.open(api.port, token=buyer.token) as stream:
        await stream.ask({"action": "subscribe", "id": 0, "channels": ["trades:PIT", "executions"]})
        offer = await place(seller, limit("PIT", "SELL", 10, "10.00"))
        taken = await place(buyer, limit("PIT", "BUY", 4, "10.10"))
        assert (taken["status"], taken["avg_fill_price"]) == ("FILLED", "10.00")
        told = await stream.receive_type("trade")
        assert (told["price"], told["size"]) == ("10.00", "4")
    offer = (await seller.get(f"{ORDERS}{offer['id']}/")).json
    assert (offer["status"], offer["filled_quantity"]) == ("PARTIAL", "4")
    position = (await seller.get("/api/v1/positions/PIT/")).json
    assert (position["quantity"], position["avg_cost"]) == ("-4", "10.00")

    async def priced() -> bool:
        return (await buyer.get("/api/v1/tickers/PIT/latest_price/")).status == 200

    await eventually(priced)


async def test_whoever_begins_to_listen_misses_nothing_that_was_decided_before(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    trader = await api.new_client("trader")
    store, go = api.app.engine._storage.store, threading.Event()
    commit = store.commit

    def late(batch: Any) -> None:
        assert go.wait(10)
        commit(batch)

    async with await WsClient.open(api.port, token=trader.token) as stream:
        await stream.ask({"action": "ping", "id": 0})
        monkeypatch.setattr(store, "commit", late)
        placing = asyncio.create_task(place(trader, limit("STOPS", "BUY", 1, "99.00")))
        await eventually(lambda: api.app.engine._committing is not None)
        assert (await stream.ask({"action": "subscribe", "id": 1, "channels": ["orders"]}))["type"] == "subscribed"
        go.set()
        order = await placing
        await stream.receive_until(lambda message: order["id"] in json.dumps(message))


async def test_orders_of_a_socket_that_asked_for_it_end_with_it(api: Api) -> None:
    trader = await api.new_client("trader")
    kept = await place(trader, limit("STOPS", "BUY", 1, "99.00"))
    async with await WsClient.open(api.port, token=trader.token) as stream:
        answer = await stream.ask({"action": "cancel_on_disconnect", "id": 1})
        assert answer["enabled"] is True
        order = (await stream.ask({"action": "order", "id": 2, "order": limit("STOPS", "BUY", 1, "98.00")}))["order"]
        changed = await stream.ask({
            "action": "replace", "id": 3, "order_id": order["id"], "changes": {"price": "98.50"},
        })  # fmt: skip
        assert (changed["order"]["price"], changed["order"]["status"]) == ("98.50", "PENDING")
        await stream.abort()

    async def cancelled() -> bool:
        return bool((await trader.get(f"{ORDERS}{order['id']}/")).json["status"] == "CANCELLED")

    await eventually(cancelled)
    assert (await trader.get(f"{ORDERS}{kept['id']}/")).json["status"] == "PENDING"
