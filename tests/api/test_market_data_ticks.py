"""Ticks and the bars made of them as a client sees them."""

import asyncio
import json
import uuid
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from qsuite.domain.errors import Unavailable
from qsuite.domain.times import DAY_NS, format_rfc3339, parse_rfc3339
from qsuite.repos.ticks import TicksRepo
from tests.support.client import Answer
from tests.support.running_app import Api

TICKS = "/api/v1/ticks/"
BARS = "/api/v1/bars/"
T0 = "2013-10-07T13:30:00.123456789Z"


async def new_symbol(api: Api) -> str:
    symbol = f"K{uuid.uuid4().hex[:8].upper()}"
    answer = await api.admin.post("/api/v1/tickers/", {"symbol": symbol, "name": symbol})
    assert answer.status == 201, answer
    return symbol


def a_trade(symbol: str, after_ns: int = 0, price: str = "181.520", size: str = "283") -> dict[str, Any]:
    ts = format_rfc3339(parse_rfc3339(T0) + after_ns)
    return {"symbol": symbol, "ts": ts, "kind": "trade", "price": price, "size": size}


async def send(api: Api, body: Any, media: str = "application/json") -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await api.admin.post(TICKS, body=raw, headers={"Content-Type": media})


async def read(api: Api, symbol: str, **query: str) -> list[dict[str, Any]]:
    answer = await api.viewer.get(TICKS, query={"symbol": symbol, **query})
    assert answer.status == 200, answer
    return list(answer.json["results"])


async def test_ticks_are_the_market_and_in_storage_when_the_answer_comes(api: Api) -> None:
    symbol = await new_symbol(api)
    quote = {"symbol": symbol, "ts": T0, "kind": "quote", "bid": "181.50", "bid_size": "300"}
    answer = await send(api, [quote, a_trade(symbol, 1)])
    assert (answer.status, answer.json) == (200, {"accepted": 2, "rejected": 0, "errors": []})
    assert await api.database.collection("ticks").count_documents({"symbol": symbol}) == 2
    first, second = await read(api, symbol)
    assert first == {**quote, "ask": None, "ask_size": None, "seq": first["seq"]}
    assert second == {**a_trade(symbol, 1), "seq": first["seq"] + 1}
    price = await api.viewer.get(f"/api/v1/tickers/{symbol}/latest_price/")
    assert (price.json["price"], price.json["bid"]) == ("181.520", "181.50")


@pytest.mark.parametrize("media", ["application/json", "application/x-ndjson", "text/csv", "arrow"])
async def test_every_type_of_body_is_read_exactly(api: Api, media: str) -> None:
    symbol = await new_symbol(api)
    given = [a_trade(symbol, index, f"181.5{index}0", str(100 + index)) for index in range(3)]
    names = list(given[0])
    if media == "arrow":
        money = {name: pa.array([Decimal(tick[name]) for tick in given]) for name in ("price", "size")}
        table = pa.table({name: pa.array([tick[name] for tick in given]) for name in names} | money)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        answer = await send(api, bytes(sink.getvalue()), "application/vnd.apache.arrow.stream")
    else:
        csv = "\n".join([",".join(names), *(",".join(tick.values()) for tick in given)])
        bodies = {
            "application/json": json.dumps(given),
            "application/x-ndjson": "\n".join(map(json.dumps, given)),
            "text/csv": csv,
        }
        answer = await send(api, bodies[media].encode(), media)
    assert (answer.status, answer.json["accepted"]) == (200, 3), answer
    assert [{name: tick[name] for name in names} for tick in await read(api, symbol)] == given


async def test_a_single_tick_may_come_alone(api: Api) -> None:
    symbol = await new_symbol(api)
    assert (await send(api, a_trade(symbol))).json["accepted"] == 1


async def test_bad_lines_and_unknown_tickers_cost_only_themselves(api: Api) -> None:
    symbol = await new_symbol(api)
    ticks = [
        a_trade(symbol),
        a_trade("NOSUCH"),
        a_trade(symbol, price="NaN"),
        a_trade(symbol, size="0"),
        a_trade(symbol) | {"ts": "2013-10-07T13:30:00"},
        a_trade(symbol) | {"bid": "1"},
        {"symbol": symbol, "ts": T0, "kind": "quote"},
        a_trade(symbol) | {"colour": "red"},
    ]
    answer = await send(api, "\n".join(map(json.dumps, ticks)).encode(), "application/x-ndjson")
    assert (answer.json["accepted"], answer.json["rejected"]) == (1, 7)
    assert [(error["line"], error["code"]) for error in answer.json["errors"]] == [
        (2, "ticker.unknown"),
        *((line, "validation") for line in range(3, 9)),
    ]
    assert len(await read(api, symbol)) == 1


async def test_the_market_ends_at_the_newest_tick_of_a_body_in_any_order(api: Api) -> None:
    symbol = await new_symbol(api)
    await send(api, [a_trade(symbol, 5, "185"), a_trade(symbol, 1, "181"), a_trade(symbol, 3, "183")])
    price = await api.viewer.get(f"/api/v1/tickers/{symbol}/latest_price/")
    assert price.json["price"] == "185"


async def test_others_are_served_while_a_long_body_in_any_order_is_taken_in(api: Api) -> None:
    symbol = await new_symbol(api)
    given = [a_trade(symbol, at, str(1 + at)) for at in range(30_000)]
    shuffled = [given[at * 7_919 % len(given)] for at in range(len(given))]
    sending = asyncio.ensure_future(send(api, shuffled))
    served = 0
    while not sending.done():
        assert (await api.anonymous.get("/health/live")).status == 200
        served += 1
    assert (await sending).json == {"accepted": 30_000, "rejected": 0, "errors": []}
    assert served >= 10
    assert [tick["price"] for tick in await read(api, symbol, page_size="1000")] == [str(1 + at) for at in range(1_000)]


async def test_the_first_thousand_lines_left_out_are_told_whatever_was_wrong_with_them(api: Api) -> None:
    symbol = await new_symbol(api)
    ticks = [a_trade(symbol, price="NaN") if at % 2 else a_trade("NOSUCH") for at in range(5_000)]
    answer = await send(api, "\n".join(map(json.dumps, ticks)).encode(), "application/x-ndjson")
    assert (answer.json["accepted"], answer.json["rejected"]) == (0, 5_000)
    assert [error["line"] for error in answer.json["errors"]] == list(range(1, 1_001))


async def test_while_storage_is_away_nobody_is_told_that_ticks_are_stored(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(self: TicksRepo, ticks: Any) -> None:
        raise Unavailable("away")

    symbol = await new_symbol(api)
    with monkeypatch.context() as broken:
        broken.setattr(TicksRepo, "add", away)
        broken.setattr(TicksRepo, "add_new", away)
        answer = await send(api, [a_trade(symbol)])
        assert (answer.status, answer.code) == (503, "outcome-unknown")
        assert "Retry-After" in answer.headers
    await api.services.market.stored()
    assert len(await read(api, symbol)) == 1


async def test_ticks_are_read_by_range_kind_and_page(api: Api) -> None:
    symbol = await new_symbol(api)
    quotes = [{"symbol": symbol, "ts": a_trade(symbol, ns)["ts"], "kind": "quote", "bid": "1"} for ns in range(7)]
    await send(api, [*(a_trade(symbol, ns, size=str(ns + 1)) for ns in range(7)), *quotes])

    def at(ns: int) -> str:
        return str(a_trade(symbol, ns)["ts"])

    found = await read(api, symbol, kind="trade", start=at(2), end=at(5))
    assert [tick["size"] for tick in found] == ["3", "4", "5"]
    page = (await api.viewer.get(TICKS, query={"symbol": symbol, "page_size": 4, "page": 2})).json
    assert (page["count"], len(page["results"])) == (14, 4)
    assert "page=1" in page["previous"]
    seen: list[tuple[int, int]] = []
    following: str | None = f"{TICKS}?symbol={symbol}&page_size=3&cursor="
    while following is not None:
        page = (await api.viewer.get(following)).json
        seen += [(parse_rfc3339(tick["ts"]), tick["seq"]) for tick in page["results"]]
        following = page["next"]
    assert len(seen) == 14
    assert seen == sorted(set(seen))


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "symbol"),
        ({"start": "yesterday"}, "start"),
        ({"kind": "order"}, "kind"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"price": "1"}, "price"),
    ],
)
async def test_a_wrong_question_is_refused_with_the_parameter(api: Api, query: dict[str, str], field: str) -> None:
    symbol = {} if field == "symbol" else {"symbol": await new_symbol(api)}
    answer = await api.viewer.get(TICKS, query=symbol | query)
    assert (answer.status, list(answer.json["errors"])) == (422, [field])


async def test_an_unknown_symbol_is_not_found(api: Api) -> None:
    for path in (TICKS, BARS):
        answer = await api.viewer.get(path, query={"symbol": "NOSUCH"})
        assert (answer.status, answer.code) == (404, "ticker.unknown")


# -- bars -----------------------------------------------------------------------------------------------------------

MINUTE = 60_000_000_000
HALF_PAST = parse_rfc3339("2013-10-07T13:30:00Z")


def at_minute(symbol: str, minute: int, price: str, size: str = "10") -> dict[str, Any]:
    ts = format_rfc3339(HALF_PAST + minute * MINUTE + 1)
    return {"symbol": symbol, "ts": ts, "kind": "trade", "price": price, "size": size}


async def bars(api: Api, symbol: str, **query: str) -> list[dict[str, Any]]:
    answer = await api.viewer.get(BARS, query={"symbol": symbol, **query})
    assert answer.status == 200, answer
    return list(answer.json["results"])


async def test_bars_are_made_of_ticks(api: Api) -> None:
    symbol = await new_symbol(api)
    prices = [(0, "10", "5"), (0, "12", "10"), (1, "9", "5"), (6, "11", "7")]
    await send(api, [at_minute(symbol, *each) for each in prices])
    (first, second) = await bars(api, symbol, interval="5m")
    # vwap (10 x 5 + 12 x 10 + 9 x 5) / 20
    assert first == {
        "symbol": symbol,
        "interval": "5m",
        "timestamp": "2013-10-07T13:30:00.000Z",
        "open": "10",
        "high": "12",
        "low": "9",
        "close": "9",
        "volume": "20",
        "adjusted_close": None,
        "vwap": "10.75",
        "trades": 3,
        "final": True,
    }
    assert (second["timestamp"], second["volume"]) == ("2013-10-07T13:35:00.000Z", "7")
    assert [bar["volume"] for bar in await bars(api, symbol, interval="1m")] == ["15", "5", "7"]
    assert [bar["volume"] for bar in await bars(api, symbol, interval="1d")] == ["27"]
    # A range holds the bars that start in it, each of them whole.
    found = await bars(api, symbol, interval="5m", start="2013-10-07T13:30:00.000000001Z", end="2013-10-07T13:36:00Z")
    assert [bar["volume"] for bar in found] == ["7"]


async def test_bars_of_quotes_are_made_of_the_side_asked_for(api: Api) -> None:
    symbol = await new_symbol(api)
    quotes = [("1.10", "1.20"), ("1.12", "1.16"), ("1.08", "1.18")]
    ticks = [
        {"symbol": symbol, "ts": format_rfc3339(HALF_PAST + index), "kind": "quote", "bid": bid, "ask": ask}
        for index, (bid, ask) in enumerate(quotes)
    ]
    await send(api, ticks)
    found = {side: (await bars(api, symbol, interval="1h", side=side))[0] for side in ("bid", "ask", "mid")}
    assert {side: (bar["open"], bar["high"], bar["low"], bar["close"]) for side, bar in found.items()} == {
        "bid": ("1.10", "1.12", "1.08", "1.08"),
        "ask": ("1.20", "1.20", "1.16", "1.18"),
        "mid": ("1.150", "1.150", "1.130", "1.130"),
    }
    assert await bars(api, symbol, interval="1h") == []


async def test_stored_bars_go_before_smaller_ones_and_those_before_ticks(api: Api) -> None:
    symbol = await new_symbol(api)

    def stored(interval: str, ts_ns: int, price: str) -> dict[str, Any]:
        figures = dict.fromkeys(("open", "high", "low", "close"), price)
        return {"symbol": symbol, "interval": interval, "timestamp": format_rfc3339(ts_ns), **figures, "volume": "1"}

    hour = 60 * MINUTE
    day = HALF_PAST - HALF_PAST % DAY_NS
    given = [
        stored("1d", day, "100"),
        *(stored("1h", day + at * hour, "101") for at in range(3)),
        *(stored("1h", day + DAY_NS + at * hour, "102") for at in range(3)),
    ]
    answer = await api.admin.post("/api/v1/market-data/bulk_create/", given)
    assert answer.json["created"] == 7
    ticks = [a_trade(symbol, 0, "103"), a_trade(symbol, DAY_NS, "104"), a_trade(symbol, 2 * DAY_NS, "105")]
    await send(api, ticks)
    found = await bars(api, symbol)
    assert [(bar["timestamp"][:10], bar["close"], bar["volume"]) for bar in found] == [
        ("2013-10-07", "100", "1"),
        ("2013-10-08", "102", "3"),
        ("2013-10-09", "105", "283"),
    ]


async def test_days_that_begin_elsewhere_are_cut_as_the_stored_ones_are(api: Api) -> None:
    symbol = await new_symbol(api)
    figures = {"open": "1", "high": "1", "low": "1", "close": "1"}
    day = {"symbol": symbol, "interval": "1d", "timestamp": "2013-10-07T05:00:00Z", **figures}
    await api.admin.post("/api/v1/market-data/", day)
    times = ["2013-10-08T03:00:00Z", "2013-10-08T06:00:00Z", "2013-10-09T04:00:00Z"]
    await send(api, [a_trade(symbol) | {"ts": ts, "size": "1"} for ts in times])
    found = await bars(api, symbol)
    assert [(bar["timestamp"], bar["volume"]) for bar in found] == [
        ("2013-10-07T05:00:00.000Z", "0"),
        ("2013-10-08T05:00:00.000Z", "2"),
    ]


async def test_bars_page_by_cursor(api: Api) -> None:
    symbol = await new_symbol(api)
    await send(api, [at_minute(symbol, minute, "10") for minute in range(8)])
    seen: list[str] = []
    following: str | None = f"{BARS}?symbol={symbol}&interval=1m&page_size=3"
    while following is not None:
        page = (await api.viewer.get(following)).json
        assert page["count"] is None
        seen += [bar["timestamp"][11:16] for bar in page["results"]]
        following = page["next"]
    assert seen == [f"13:{30 + minute}" for minute in range(8)]
    numbered = await api.viewer.get(BARS, query={"symbol": symbol, "page": 2})
    assert (numbered.status, list(numbered.json["errors"])) == (422, ["page"])


@pytest.mark.parametrize("interval", ["1s", "1d", "1w", "1mo"])
async def test_the_ends_of_time_are_fine_as_ends_of_a_range(api: Api, interval: str) -> None:
    symbol = await new_symbol(api)
    await send(api, [a_trade(symbol)])
    ever = {"start": "0001-01-01T00:00:00Z", "end": "9999-12-31T23:59:59.999999999Z"}
    assert len(await read(api, symbol, **ever)) == 1
    assert len(await bars(api, symbol, interval=interval, **ever)) == 1
    statistics = await api.viewer.get(f"/api/v1/tickers/{symbol}/statistics/", query=ever)
    assert statistics.status == 200, statistics


async def test_a_page_far_behind_is_for_cursors(api: Api) -> None:
    symbol = await new_symbol(api)
    answer = await api.viewer.get(TICKS, query={"symbol": symbol, "page": 1_000_000, "page_size": 1_000})
    assert (answer.status, list(answer.json["errors"])) == (422, ["page"])


async def test_the_bar_of_now_is_not_final(api: Api) -> None:
    symbol = await new_symbol(api)
    await send(api, [a_trade(symbol) | {"ts": format_rfc3339(api.services.market.now())}])
    (bar,) = await bars(api, symbol, interval="1d")
    assert not bar["final"]
