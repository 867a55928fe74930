"""The stream of the whole application: real logins, orders through the engine, ticks through the market."""

import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from qsuite.domain.market import Quote, Trade
from tests.support.client import ApiClient
from tests.support.running_app import Api
from tests.support.ws import WsClient

SYMBOL = "STRM"


async def prices(api: Api, *, trades: Sequence[str] = (), bid: str = "99.99", ask: str = "100.01") -> None:
    """Publish a quote and trades, at times that rise."""
    await api.services.reference.ensure_ticker(SYMBOL, {"name": "for the stream"})
    now = time.time_ns()
    ticks: list[Quote | Trade] = [Quote(SYMBOL, now, Decimal(bid), Decimal(ask), Decimal(10_000), Decimal(10_000))]
    ticks += [Trade(SYMBOL, now + at, Decimal(price), Decimal(100)) for at, price in enumerate(trades, 1)]
    await api.services.market.publish(ticks)


async def opened(api: Api, client: ApiClient, *channels: str, **more: Any) -> WsClient:
    socket = await WsClient.open(api.port, token=client.token)
    assert (await socket.receive_some(2))[1]["type"] == "authenticated"
    if channels:
        await socket.send({"action": "subscribe", "channels": channels, **more})
        await socket.receive_type("subscribed")
    return socket


def order(**changed: Any) -> dict[str, Any]:
    asked = {"symbol": SYMBOL, "side": "BUY", "order_type": "MARKET", "quantity": "10"}
    return {"action": "order", "id": "mine", "order": asked | changed}


async def test_an_order_over_the_stream_is_durable_when_answered_and_heard_on_every_channel(api: Api) -> None:
    await prices(api)
    trader = await api.new_client("trader")
    async with await opened(api, trader, "orders", "executions", "positions", "account") as socket:
        snapshots = {message["channel"]: message for message in await socket.receive_some(4)}
        assert snapshots["orders"]["data"] == snapshots["executions"]["data"] == snapshots["positions"]["data"] == []
        assert snapshots["account"]["data"][0]["cash"] == "1000000"
        await socket.send(order())
        seen: dict[str, dict[str, Any]] = {}
        states: list[tuple[str, int]] = []
        while not {"result", "order", "execution", "position", "account"} <= seen.keys():
            message = await socket.receive()
            seen[message["type"]] = message
            if message["type"] == "order":
                states.append((message["status"], message["seq"] - snapshots["orders"]["seq"]))
        placed = seen["result"]["order"]
        assert (seen["result"]["id"], placed["status"], placed["avg_fill_price"]) == ("mine", "FILLED", "100.01")
        stored = await trader.get(f"/api/v1/orders/{placed['id']}/")
        assert stored.json == placed
        assert seen["order"]["id"] == placed["id"]
        assert states == [("PENDING", 1), ("FILLED", 2)], "one message for each transition"
        assert (seen["execution"]["order"], seen["execution"]["price"]) == (placed["id"], "100.01")
        assert (seen["position"]["symbol"], seen["position"]["quantity"]) == (SYMBOL, "10")
        assert Decimal(seen["account"]["cash"]) == 1_000_000 - Decimal("1000.10") - Decimal("0.05")


async def test_a_refused_order_has_the_same_code_as_over_http(api: Api) -> None:
    await prices(api)
    trader = await api.new_client("trader")
    async with await opened(api, trader) as socket:
        answer = await socket.ask(order(quantity="10001"))
        over_http = await trader.post("/api/v1/orders/", order(quantity="10001")["order"])
        assert over_http.status == 422
        assert (answer["type"], answer["code"]) == ("error", over_http.code)
        assert answer["order"]["status"] == "REJECTED"
        assert (await trader.get(f"/api/v1/orders/{answer['order']['id']}/")).json["status"] == "REJECTED"


async def test_a_resting_order_is_in_the_snapshot_and_can_be_cancelled(api: Api) -> None:
    await prices(api)
    trader = await api.new_client("trader")
    async with await opened(api, trader) as socket:
        resting = (await socket.ask(order(order_type="LIMIT", price="50.00")))["order"]
        assert resting["status"] == "PENDING"
    async with await opened(api, trader, "orders") as socket:
        assert (await socket.receive())["data"] == [resting]
        answer = await socket.ask({"action": "cancel", "id": "c", "order_id": resting["id"]})
        assert answer["order"]["status"] == "CANCELLED"


async def test_prices_are_heard_as_the_market_publishes_them(api: Api) -> None:
    await prices(api, trades=["100.00"])
    names = (f"trades:{SYMBOL}", f"quotes:{SYMBOL}", f"bars:1m:{SYMBOL}")
    async with await opened(api, api.viewer, *names) as socket:
        snapshots = {message["channel"]: message for message in await socket.receive_some(3)}
        assert snapshots[names[0]]["data"][0]["price"] == "100.00"
        assert (snapshots[names[1]]["data"][0]["bid"], snapshots[names[1]]["data"][0]["ask"]) == ("99.99", "100.01")
        await prices(api, trades=["100.10", "100.20"], bid="100.05")
        seen: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        while len(seen[names[0]]) < 2 or not seen[names[1]] or not seen[names[2]]:
            message = await socket.receive()
            seen[message["channel"]].append(message)
        assert [message["price"] for message in seen[names[0]]] == ["100.10", "100.20"]
        assert [message["seq"] - snapshots[names[0]]["seq"] for message in seen[names[0]]] == [1, 2]
        assert seen[names[0]][0]["ts"].endswith("Z")
        assert seen[names[1]][0]["bid"] == "100.05"
        assert seen[names[2]][-1]["interval"] == "1m"


async def test_orders_missed_while_away_are_replayed(api: Api) -> None:
    await prices(api)
    trader = await api.new_client("trader")
    async with await opened(api, trader, "orders") as socket:
        seq = (await socket.receive())["seq"]
    placed = [(await trader.post("/api/v1/orders/", order()["order"])).json["id"] for _ in range(3)]
    async with await opened(api, trader, "orders", since={"orders": seq}) as socket:
        missed = await socket.receive_some(6)
        assert [message["seq"] for message in missed] == list(range(seq + 1, seq + 7))
        assert [(message["id"], message["status"]) for message in missed] == [
            (order_id, status) for order_id in placed for status in ("PENDING", "FILLED")
        ]


async def test_nobody_hears_of_anothers_orders(api: Api) -> None:
    await prices(api)
    first, second = await api.new_client("trader"), await api.new_client("trader")
    async with await opened(api, first, "orders", "executions", "positions", "account") as socket:
        await socket.receive_some(4)
        assert (await second.post("/api/v1/orders/", order()["order"])).status == 201
        assert await socket.synchronise() == []


@pytest.mark.parametrize("role", ["viewer", "risk_manager", "auditor", "admin"])
async def test_roles_without_accounts_hear_the_market_only(api: Api, role: str) -> None:
    await prices(api)
    async with await opened(api, await api.new_client(role), "jobs", f"trades:{SYMBOL}") as socket:
        await socket.receive_some(2)
        await socket.send({"action": "subscribe", "channels": ["orders"]})
        assert (await socket.receive())["code"] == "channel.forbidden"
        assert (await socket.ask(order()))["code"] == "forbidden"


async def test_a_logout_closes_the_socket(api: Api) -> None:
    trader = await api.new_client("trader")
    async with await opened(api, trader, "orders") as socket:
        assert (await trader.post("/api/auth/logout/", {})).status in (200, 204)
        assert (await socket.closed()).code == 1008


async def test_disabling_a_user_closes_the_socket(api: Api) -> None:
    trader = await api.new_client("trader")
    async with await opened(api, trader) as socket:
        answer = await api.admin.request("PATCH", f"/api/v1/users/{trader.user['id']}/", json={"is_active": False})
        assert answer.status == 200, answer
        assert (await socket.closed()).code == 1008


async def test_an_unknown_symbol_is_no_channel(api: Api) -> None:
    async with await opened(api, api.viewer) as socket:
        await socket.send({"action": "subscribe", "channels": ["trades:NOBODY"]})
        assert (await socket.receive())["code"] == "channel.unknown"
