"""Orders over the stream: answered with the same id, side by side, by the controls' own codes."""

from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from qsuite.handlers.stream_session import ORDERS_AT_ONCE
from qsuite.settings import Settings
from tests.support.stream import stream_server
from tests.support.waiting import eventually


def order(number: int = 1, **changed: Any) -> dict[str, Any]:
    asked = {"symbol": "AAPL", "side": "BUY", "order_type": "MARKET", "quantity": "10"}
    return {"action": "order", "id": number, "order": asked | changed}


async def test_an_order_is_answered_with_the_id_of_its_message_and_its_own_inside(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.client("anna") as client:
        server.trading.go.set()
        answer = await client.ask(order(7))
        assert (answer["type"], answer["action"], answer["id"]) == ("result", "order", 7)
        assert answer["order"]["id"] == str(UUID(int=1))
        assert answer["order"]["quantity"] == "10"


async def test_an_order_a_control_refused_is_an_error_with_the_controls_code(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.client("anna") as client:
        server.trading.go.set()
        answer = await client.ask(order(quantity=1_000))
        assert (answer["type"], answer["code"]) == ("error", "risk.max_quantity")
        assert answer["order"]["status"] == "REJECTED"


async def test_orders_go_on_side_by_side_and_nothing_waits_for_them(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.client("anna") as client:
        await client.send(*(order(number) for number in range(50)))
        await eventually(lambda: len(server.trading.asked) == 50)
        await client.send({"action": "ping", "id": "p"})
        assert (await client.receive())["type"] == "pong"
        server.trading.go.set()
        assert {answer["id"] for answer in await client.receive_some(50)} == set(range(50))


async def test_no_more_orders_are_begun_than_can_be_committed_together(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.client("anna") as client:
        await client.send([order(number) for number in range(300)])
        await eventually(lambda: len(server.trading.asked) == ORDERS_AT_ONCE)
        server.trading.go.set()
        assert {answer["id"] for answer in await client.receive_some(300)} == set(range(300))
        assert len(server.trading.asked) == 300


async def test_an_order_goes_on_when_its_socket_does_not(settings: Settings) -> None:
    async with stream_server(settings) as server:
        async with await server.client("anna") as client:
            await client.send(order())
            await eventually(lambda: server.trading.asked)
        await eventually(lambda: server.hub.clients == 0)
        server.trading.go.set()
        await eventually(lambda: server.trading.orders)


@pytest.mark.parametrize(
    "changed",
    [
        {"quantity": 0}, {"quantity": "NaN"}, {"quantity": None}, {"quantity": True}, {"quantity": "1_000"},
        {"side": "HOLD"}, {"side": ["BUY"]}, {"symbol": {"$ne": None}}, {"unknown": 1},
    ],
)  # fmt: skip
async def test_a_wrong_order_says_which_fields_and_counts_against_nobody(settings: Settings, changed: Any) -> None:
    async with stream_server(settings, max_bad_messages=2) as server, await server.client("anna") as client:
        for number in range(3):
            answer = await client.ask(order(number, **changed))
            assert (answer["type"], answer["code"]) == ("error", "validation")
            assert set(answer["errors"]) == set(changed)
        assert server.trading.asked == []


async def test_an_order_nobody_could_store_is_refused(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.client("anna") as client:
        for symbol in ("\ud800", "A\x00"):
            await client.send(order(symbol=symbol))
            assert (await client.receive())["code"] == "validation"
        assert server.trading.asked == []


@pytest.mark.parametrize("wrong", [None, 7, [], "BUY"])
async def test_an_order_that_is_no_object_is_refused(settings: Settings, wrong: Any) -> None:
    async with stream_server(settings) as server, await server.client("anna") as client:
        assert (await client.ask({"action": "order", "id": 1, "order": wrong}))["code"] == "validation"


async def test_numbers_of_an_order_are_read_exactly(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.client("anna") as client:
        server.trading.go.set()
        await client.send_text(
            '{"action":"order","id":1,"order":{"symbol":"A","side":"BUY","order_type":"LIMIT","quantity":0.1,'
            '"price":1.100000000000000000001}}'
        )
        await client.receive()
        asked = server.trading.asked[0]
        assert (str(asked["quantity"]), str(asked["price"])) == ("0.1", "1.100000000000000000001")


async def test_only_traders_trade(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.client("anna-viewer") as client:
        for message in (order(), {"action": "cancel", "id": 2, "order_id": str(UUID(int=1))}):
            assert (await client.ask(message))["code"] == "forbidden"
        assert server.trading.asked == []


async def test_a_cancel_is_answered_with_the_order(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.client("anna") as client:
        server.trading.go.set()
        placed = (await client.ask(order()))["order"]
        answer = await client.ask({"action": "cancel", "id": "c", "order_id": placed["id"]})
        assert (answer["type"], answer["action"], answer["order"]["id"]) == ("result", "cancel", placed["id"])


@pytest.mark.parametrize("order_id", [str(UUID(int=99)), "nonsense", ""])
async def test_a_cancel_of_what_is_not_there_says_so(settings: Settings, order_id: str) -> None:
    async with stream_server(settings) as server, await server.client("anna") as client:
        server.trading.go.set()
        answer = await client.ask({"action": "cancel", "id": 1, "order_id": order_id})
        assert (answer["type"], answer["code"]) == ("error", "not_found")


async def test_a_fault_of_ours_is_told_without_its_secrets(settings: Settings) -> None:
    async with stream_server(settings) as server, await server.client("anna") as client:
        server.trading.go.set()
        with capture_logs() as lines:
            answer = await client.ask(order(symbol="BUG"))
        assert [line["event"] for line in lines] == ["stream.action_failed"]
        assert (answer["type"], answer["code"]) == ("error", "internal")
        assert "swordfish" not in str(answer)
        assert (await client.ask({"action": "ping", "id": 2}))["type"] == "pong"
