"""Ticks that a feed sends over the stream: the market at once, answered with the same id once stored."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from qsuite.domain.times import format_rfc3339, parse_rfc3339
from tests.support.client import ApiClient
from tests.support.running_app import Api
from tests.support.ws import WsClient

T0_NS = parse_rfc3339("2013-10-07T13:30:00.123456789Z")


async def new_symbol(api: Api) -> str:
    symbol = f"F{uuid.uuid4().hex[:8].upper()}"
    await api.services.reference.ensure_ticker(symbol, {"name": symbol})
    return symbol


def a_trade(symbol: str, after_ns: int = 0, **changed: Any) -> dict[str, Any]:
    given = {"symbol": symbol, "ts": format_rfc3339(T0_NS + after_ns), "price": "181.520", "size": "283"}
    return given | changed


def message(number: object, *ticks: Any) -> dict[str, Any]:
    return {"action": "ticks", "id": number, "ticks": list(ticks)}


@asynccontextmanager
async def feeding(api: Api, client: ApiClient | None = None) -> AsyncIterator[WsClient]:
    async with await WsClient.open(api.port, token=(client or api.admin).token) as socket:
        assert (await socket.receive_some(2))[1]["type"] == "authenticated"
        yield socket


async def stored(api: Api, symbol: str) -> list[dict[str, Any]]:
    answer = await api.viewer.get("/api/v1/ticks/", query={"symbol": symbol, "page_size": 1_000})
    return list(answer.json["results"])


async def test_ticks_are_in_storage_when_they_are_answered_for(api: Api) -> None:
    symbol = await new_symbol(api)
    quote = {"symbol": symbol, "ts": format_rfc3339(T0_NS), "kind": "quote", "bid": "181.50", "bid_size": "300"}
    async with feeding(api) as socket:
        answer = await socket.ask(message("a", quote, a_trade(symbol, 1)))
        assert answer == {
            "type": "result", "action": "ticks", "id": "a", "accepted": 2, "rejected": 0, "errors": [],
        }  # fmt: skip
        assert await api.database.collection("ticks").count_documents({"symbol": symbol}) == 2
    price = await api.viewer.get(f"/api/v1/tickers/{symbol}/latest_price/")
    assert (price.json["price"], price.json["bid"]) == ("181.520", "181.50")


async def test_messages_go_live_in_their_order_and_each_is_answered(api: Api) -> None:
    symbol = await new_symbol(api)
    async with feeding(api) as socket:
        await socket.send(*(message(at, a_trade(symbol, 0, price=str(1 + at))) for at in range(60)))
        answers = await socket.receive_some(60)
    assert {answer["id"] for answer in answers} == set(range(60))
    assert {answer["accepted"] for answer in answers} == {1}
    assert [tick["price"] for tick in await stored(api, symbol)] == [str(1 + at) for at in range(60)]


async def test_a_message_may_be_as_large_as_any(api: Api) -> None:
    symbol = await new_symbol(api)
    async with feeding(api) as socket:
        answer = await socket.ask(message(1, *(a_trade(symbol, at) for at in range(500))))
        assert (answer["accepted"], answer["rejected"]) == (500, 0)
    assert len(await stored(api, symbol)) == 500


async def test_numbers_are_read_exactly_and_ticks_of_a_message_by_time(api: Api) -> None:
    symbol = await new_symbol(api)
    late, early = format_rfc3339(T0_NS + 5), format_rfc3339(T0_NS)
    async with feeding(api) as socket:
        await socket.send_text(
            f'{{"action":"ticks","id":1,"ticks":[{{"symbol":"{symbol}","ts":"{late}","price":1.10,"size":7}},'
            f'{{"symbol":"{symbol}","ts":"{early}","price":0.000000000000000000001,"size":9007199254740993}}]}}'
        )
        assert (await socket.receive())["accepted"] == 2
    found = [(tick["price"], tick["size"]) for tick in await stored(api, symbol)]
    assert found == [("0.000000000000000000001", "9007199254740993"), ("1.10", "7")]


async def test_bad_ticks_are_named_by_their_place_and_the_good_ones_kept(api: Api) -> None:
    symbol = await new_symbol(api)
    bad: list[Any] = [
        a_trade(symbol, price="NaN"), a_trade(symbol, price=True), a_trade("NOBODY"), 7, a_trade(symbol, ts="noon"),
        a_trade(symbol, colour="red"), a_trade(symbol) | {"symbol": 5}, a_trade(symbol, price=[1]), {}, None,
    ]  # fmt: skip
    async with feeding(api) as socket:
        answer = await socket.ask(message(1, *bad, a_trade(symbol)))
    assert (answer["accepted"], answer["rejected"]) == (1, len(bad))
    assert [error["line"] for error in answer["errors"]] == list(range(1, len(bad) + 1))
    assert [error["field"] for error in answer["errors"]] == [
        "price", "price", "symbol", None, "ts", None, "symbol", "price", "symbol", None,
    ]  # fmt: skip
    assert {error["code"] for error in answer["errors"]} == {"validation", "ticker.unknown"}


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"action": "ticks", "ticks": []}, "validation"),
        ({"action": "ticks", "id": 1}, "validation"),
        ({"action": "ticks", "id": 1, "ticks": {"symbol": "IBM"}}, "validation"),
        ({"action": "ticks", "id": [1], "ticks": []}, "validation"),
    ],
)
async def test_a_message_without_id_or_list_is_refused(api: Api, wrong: dict[str, Any], code: str) -> None:
    async with feeding(api) as socket:
        await socket.send(wrong)
        answer = await socket.receive()
        assert (answer["type"], answer["code"]) == ("error", code)
        assert (await socket.ask(message(2)))["accepted"] == 0


@pytest.mark.parametrize("role", ["viewer", "trader", "risk_manager", "auditor"])
async def test_only_admins_feed(api: Api, role: str) -> None:
    symbol = await new_symbol(api)
    async with feeding(api, await api.new_client(role)) as socket:
        answer = await socket.ask(message(1, a_trade(symbol)))
        assert (answer["type"], answer["code"], answer["id"]) == ("error", "forbidden", 1)
    assert await stored(api, symbol) == []


async def test_nothing_is_taken_while_storage_is_behind_and_the_feed_stays(api: Api) -> None:
    symbol = await new_symbol(api)
    writer = api.services.market.writer
    async with feeding(api) as socket:
        writer._room.clear()
        try:
            told = [await socket.ask(message(at, a_trade(symbol))) for at in range(12)]
        finally:
            writer._room.set()
        assert {(answer["type"], answer["code"]) for answer in told} == {("error", "ticks.behind")}
        assert (await socket.ask(message(99, a_trade(symbol))))["accepted"] == 1
    assert len(await stored(api, symbol)) == 1
