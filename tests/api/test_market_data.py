"""Stored bars as a client sees them: one by one, in bulk of four types, and the last five minutes."""

import json
import time
import uuid
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from qsuite.domain.times import format_rfc3339
from tests.support.client import Answer
from tests.support.market import trade
from tests.support.running_app import Api

PATH = "/api/v1/market-data/"
BULK = f"{PATH}bulk_create/"
FIGURES = {"open": "118.56", "high": "132.06", "low": "118.50", "close": "130.31", "volume": "9616100"}


async def new_symbol(api: Api) -> str:
    symbol = f"M{uuid.uuid4().hex[:8].upper()}"
    answer = await api.admin.post("/api/v1/tickers/", {"symbol": symbol, "name": symbol})
    assert answer.status == 201, answer
    return symbol


def a_bar(symbol: str, day: int = 1, **more: Any) -> dict[str, Any]:
    return {"symbol": symbol, "interval": "1d", "timestamp": f"2000-03-{day:02d}T00:00:00Z", **FIGURES, **more}


async def made(api: Api, *bars: dict[str, Any]) -> list[dict[str, Any]]:
    answers = [await api.admin.post(PATH, bar) for bar in bars]
    assert [answer.status for answer in answers] == [201] * len(bars), answers
    return [answer.json for answer in answers]


async def test_a_bar_is_stored_and_shown_to_the_last_digit(api: Api) -> None:
    symbol = await new_symbol(api)
    body = a_bar(symbol, timestamp="2000-03-01T01:00:00+01:00", close=130.310, adjusted_close="4.186662803811")
    (bar,) = await made(api, body)
    ticker = (await api.viewer.get(f"/api/v1/tickers/{symbol}/")).json["id"]
    assert bar == {
        "id": bar["id"],
        "ticker": ticker,
        "symbol": symbol,
        "interval": "1d",
        "timestamp": "2000-03-01T00:00:00.000Z",
        **FIGURES,
        "adjusted_close": "4.186662803811",
        "vwap": None,
        "trades": None,
        "created_at": bar["created_at"],
        "updated_at": bar["updated_at"],
        "version": 1,
    }
    assert (await api.viewer.get(f"{PATH}{bar['id']}/")).json == bar


async def test_a_ticker_may_be_named_by_id_or_symbol_in_either_field(api: Api) -> None:
    symbol = await new_symbol(api)
    ticker = (await api.viewer.get(f"/api/v1/tickers/{symbol}/")).json["id"]
    by_id = a_bar(symbol, 1, ticker=ticker)
    del by_id["symbol"]
    bars = await made(api, by_id, a_bar(symbol, 2, ticker=symbol), a_bar(symbol, 3, ticker=ticker))
    assert {bar["symbol"] for bar in bars} == {symbol}
    other = await new_symbol(api)
    mixed = await api.admin.post(PATH, a_bar(other, ticker=ticker))
    assert (mixed.status, list(mixed.json["errors"])) == (422, ["ticker"])


async def test_one_place_takes_one_bar(api: Api) -> None:
    symbol = await new_symbol(api)
    await made(api, a_bar(symbol, interval="1h"))
    again = await api.admin.post(PATH, a_bar(symbol, interval="60m"))
    assert (again.status, again.code) == (409, "already_exists")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"high": "100"}, "high"),
        ({"low": "125"}, "low"),
        ({"close": "0"}, "close"),
        ({"open": "-1"}, "open"),
        ({"open": "1e400"}, "open"),
        ({"open": "1" * 35}, "open"),
        ({"volume": "-1"}, "volume"),
        ({"volume": True}, "volume"),
        ({"interval": "7m"}, "interval"),
        ({"interval": None}, "interval"),
        ({"timestamp": "2000-03-01"}, "timestamp"),
        ({"timestamp": "2000-03-01T00:00:00"}, "timestamp"),
        ({"timestamp": "2000-03-01T00:00:00.000000001Z"}, "timestamp"),
        ({"timestamp": 951868800}, "timestamp"),
        ({"timestamp": "9999-12-01T00:00:00Z"}, "timestamp"),
        ({"trades": 1.5}, "trades"),
        ({"symbol": "NOSUCH"}, "symbol"),
        ({"final": True}, "final"),
    ],
)
async def test_a_bar_that_makes_no_sense_is_refused_with_the_field(
    api: Api, change: dict[str, Any], field: str
) -> None:
    symbol = await new_symbol(api)
    answer = await api.admin.post(PATH, a_bar(symbol) | change)
    assert (answer.status, answer.code) == (422, "validation")
    assert list(answer.json["errors"]) == [field]


async def test_a_bar_can_be_changed_replaced_and_deleted(api: Api) -> None:
    symbol = await new_symbol(api)
    (bar,) = await made(api, a_bar(symbol, adjusted_close="4"))
    path = f"{PATH}{bar['id']}/"
    patched = await api.admin.patch(path, {"close": "130.32"}, headers={"If-Match": f'"{bar["id"]}.1"'})
    assert (patched.json["close"], patched.json["adjusted_close"], patched.json["version"]) == ("130.32", "4", 2)
    stale = await api.admin.patch(path, {"close": "1"}, headers={"If-Match": f'"{bar["id"]}.1"'})
    assert stale.status == 412
    outside = await api.admin.patch(path, {"close": "132.07"})
    assert (outside.status, list(outside.json["errors"])) == (422, ["high"])
    replaced = await api.admin.put(path, a_bar(symbol, 2))
    assert (replaced.json["timestamp"], replaced.json["adjusted_close"]) == ("2000-03-02T00:00:00.000Z", None)
    assert (await api.admin.delete(path)).status == 204
    assert (await api.viewer.get(path)).status == 404
    assert (await api.viewer.get(f"{PATH}nonsense/")).status == 404


async def test_moving_a_bar_onto_another_is_a_conflict(api: Api) -> None:
    symbol = await new_symbol(api)
    _, second = await made(api, a_bar(symbol, 1), a_bar(symbol, 2))
    answer = await api.admin.patch(f"{PATH}{second['id']}/", {"timestamp": "2000-03-01T00:00:00Z"})
    assert (answer.status, answer.code) == (409, "already_exists")


async def test_only_admins_set_prices(api: Api) -> None:
    symbol = await new_symbol(api)
    (bar,) = await made(api, a_bar(symbol))
    for client in (api.viewer, api.trader, api.risk_manager, api.auditor):
        for answer in (
            await client.post(PATH, a_bar(symbol, 2)),
            await client.put(f"{PATH}{bar['id']}/", a_bar(symbol)),
            await client.patch(f"{PATH}{bar['id']}/", {"close": "1"}),
            await client.delete(f"{PATH}{bar['id']}/"),
            await client.post(BULK, [a_bar(symbol, 2)]),
            await client.post("/api/v1/ticks/", []),
        ):
            assert (answer.status, answer.code) == (403, "forbidden"), answer


async def test_lists_are_filtered_and_page_by_number_and_by_cursor(api: Api) -> None:
    symbol = await new_symbol(api)
    ticker = (await api.viewer.get(f"/api/v1/tickers/{symbol}/")).json["id"]
    await made(api, *(a_bar(symbol, day) for day in range(1, 8)), a_bar(symbol, 1, interval="1h"))

    async def days(**query: str) -> list[int]:
        answer = await api.viewer.get(PATH, query=query)
        assert answer.status == 200, answer
        return [int(bar["timestamp"][8:10]) for bar in answer.json["results"]]

    assert await days(symbol=symbol, interval="1d") == [7, 6, 5, 4, 3, 2, 1]
    assert await days(ticker=ticker, interval="60m") == [1]
    assert await days(ticker=symbol, interval="1d", ordering="timestamp", page_size="2", page="2") == [3, 4]
    assert await days(symbol=symbol, timestamp__gte="2000-03-03T00:00:00Z", timestamp__lt="2000-03-05T00:00:00Z") == [
        4,
        3,
    ]
    assert await days(ticker="NOSUCH") == []
    found: list[int] = []
    following: str | None = f"{PATH}?symbol={symbol}&interval=1d&page_size=3&cursor="
    while following is not None:
        page = (await api.viewer.get(following)).json
        assert page["count"] is None
        found += [int(bar["timestamp"][8:10]) for bar in page["results"]]
        following = page["next"]
    assert found == [7, 6, 5, 4, 3, 2, 1]


# -- bulk -----------------------------------------------------------------------------------------------------------


async def bulk(api: Api, body: bytes, media: str) -> Answer:
    return await api.admin.post(BULK, body=body, headers={"Content-Type": media})


def as_csv(bars: list[dict[str, Any]]) -> bytes:
    names = list(bars[0])
    return "\n".join([",".join(names), *(",".join(str(bar[name]) for name in names) for bar in bars)]).encode()


def as_arrow(bars: list[dict[str, Any]]) -> bytes:
    money = {name: pa.array([Decimal(bar[name]) for bar in bars]) for name in FIGURES}
    table = pa.table(
        {name: pa.array([bar[name] for bar in bars]) for name in ("symbol", "interval", "timestamp")} | money
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


@pytest.mark.parametrize("media", ["application/json", "application/x-ndjson", "text/csv", "arrow"])
async def test_every_type_of_body_is_stored_once(api: Api, media: str) -> None:
    symbol = await new_symbol(api)
    bars = [a_bar(symbol, day) for day in range(1, 6)]
    body = {
        "application/json": json.dumps(bars).encode(),
        "application/x-ndjson": b"\n".join(json.dumps(bar).encode() for bar in bars),
        "text/csv": as_csv(bars),
        "arrow": as_arrow(bars),
    }[media]
    media = "application/vnd.apache.arrow.stream" if media == "arrow" else media
    first = await bulk(api, body, media)
    assert (first.status, first.json) == (200, {"created": 5, "unchanged": 0, "rejected": 0, "errors": []})
    again = await bulk(api, body, media)
    assert (again.status, again.json) == (200, {"created": 0, "unchanged": 5, "rejected": 0, "errors": []})
    listed = await api.viewer.get(PATH, query={"symbol": symbol})
    assert {name: listed.json["results"][0][name] for name in FIGURES} == FIGURES


async def test_bad_lines_are_named_and_cost_only_themselves(api: Api) -> None:
    symbol = await new_symbol(api)
    await made(api, a_bar(symbol, 5))
    lines = [
        json.dumps(a_bar(symbol, 1)),
        "{nonsense",
        json.dumps(a_bar(symbol, 2, high="1")),
        json.dumps(a_bar("NOSUCH", 3)),
        json.dumps(a_bar(symbol, 4, timestamp="2000-03-04T00:00:00.0000001Z")),
        json.dumps(a_bar(symbol, 5, close="130.30")),
        json.dumps(a_bar(symbol, 6)),
    ]
    answer = await bulk(api, "\n".join(lines).encode(), "application/x-ndjson")
    assert answer.status == 200
    assert (answer.json["created"], answer.json["unchanged"], answer.json["rejected"]) == (2, 0, 5)
    assert [(error["line"], error["code"], error["field"]) for error in answer.json["errors"]] == [
        (2, "validation", None),
        (3, "validation", "high"),
        (4, "ticker.unknown", "symbol"),
        (5, "validation", "timestamp"),
        (6, "conflict", None),
    ]


@pytest.mark.parametrize(
    ("body", "media", "status"),
    [
        (b"[", "application/json", 400),
        (b"", "application/json", 400),
        (b"\xff\xfe", "text/csv", 400),
        (b"no arrow", "application/vnd.apache.arrow.stream", 400),
        (b"a,b\n1,2", "text/csv", 422),
        (b"<xml/>", "application/xml", 415),
    ],
)
async def test_a_body_that_cannot_be_read_is_refused_whole(api: Api, body: bytes, media: str, status: int) -> None:
    assert (await bulk(api, body, media)).status == status


# -- the last five minutes ------------------------------------------------------------------------------------------


async def test_the_feed_holds_live_bars_by_arrival_and_stored_ones_by_time(api: Api) -> None:
    replayed, recent, old = await new_symbol(api), await new_symbol(api), await new_symbol(api)
    await api.services.market.publish([trade(1_381_152_600_000_000_000, "181.52", symbol=replayed)])
    now_ms = time.time_ns() // 1_000_000
    await made(
        api,
        a_bar(recent, interval="1m", timestamp=format_rfc3339((now_ms - 60_000) * 1_000_000)),
        a_bar(old, interval="1m", timestamp=format_rfc3339((now_ms - 600_000) * 1_000_000)),
    )
    feed = (await api.viewer.get(f"{PATH}real_time_feed/")).json
    assert feed["count"] == len(feed["data"])
    found = {bar["symbol"]: bar for bar in feed["data"]}
    assert (found[replayed]["close"], found[replayed]["timestamp"]) == ("181.52", "2013-10-07T13:30:00.000Z")
    assert not found[replayed]["final"]
    assert found[recent]["close"] == "130.31"
    assert old not in found
