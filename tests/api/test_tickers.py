"""Tickers and data sources as a client sees them."""

import uuid
from typing import Any

import pytest

from tests.support.market import quote, trade
from tests.support.running_app import Api
from tests.support.waiting import eventually


def a_ticker(**more: Any) -> dict[str, Any]:
    return {"symbol": f"T{uuid.uuid4().hex[:8].upper()}", "name": "A ticker", **more}


async def made(api: Api, **more: Any) -> dict[str, Any]:
    answer = await api.admin.post("/api/v1/tickers/", a_ticker(**more))
    assert answer.status == 201, answer
    return dict(answer.json)


async def made_source(api: Api) -> dict[str, Any]:
    answer = await api.admin.post("/api/v1/data-sources/", {"name": "A source", "code": f"s{uuid.uuid4().hex[:8]}"})
    assert answer.status == 201, answer
    return dict(answer.json)


async def test_a_ticker_is_made_with_sensible_defaults_and_found_by_id_and_symbol(api: Api) -> None:
    answer = await api.admin.post("/api/v1/tickers/", a_ticker(tick_size=0.05, currency="EUR"))
    assert answer.status == 201
    ticker = answer.json
    assert answer.headers["Location"] == f"/api/v1/tickers/{ticker['id']}/"
    assert ticker == {
        **ticker,
        "currency": "EUR",
        "description": "",
        "data_source": None,
        "is_active": True,
        "restricted": False,
        "tick_size": "0.05",
        "lot_size": "1",
        "execution_mode": "paper",
        "calendar": "24/7",
        "commission": None,
        "fill": None,
        "version": 1,
    }
    for name in (ticker["id"], ticker["symbol"]):
        found = await api.viewer.get(f"/api/v1/tickers/{name}")
        assert (found.status, found.json) == (200, ticker)


async def test_a_symbol_with_a_slash_is_found_when_it_is_escaped(api: Api) -> None:
    symbol = f"BTC/{uuid.uuid4().hex[:6]}"
    await made(api, symbol=symbol)
    answer = await api.viewer.get(f"/api/v1/tickers/{symbol.replace('/', '%2F')}/")
    assert (answer.status, answer.json["symbol"]) == (200, symbol)


async def test_a_symbol_can_be_taken_once(api: Api) -> None:
    ticker = await made(api)
    answer = await api.admin.post("/api/v1/tickers/", a_ticker(symbol=ticker["symbol"]))
    assert (answer.status, answer.code) == (409, "already_exists")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("symbol", "A B"),
        ("symbol", "A\n"),
        ("symbol", ""),
        ("symbol", 7),
        ("symbol", "A" * 65),
        ("name", ""),
        ("currency", "usd"),
        ("tick_size", "0"),
        ("tick_size", "-0.01"),
        ("tick_size", "NaN"),
        ("lot_size", True),
        ("execution_mode", "real"),
        ("calendar", "MARS"),
        ("calendar", "X\n"),
        ("commission", "free"),
        ("commission", {}),
        ("commission", {"model": "per_share"}),
        ("commission", {"model": "per_share", "per_share": "-1"}),
        ("commission", {"model": "per_share", "per_share": "1", "percent": "1"}),
        ("commission", {"model": "percent", "percent": "1", "minimum": "2", "maximum": "1"}),
        ("commission", {"model": "tiered", "tiers": []}),
        ("commission", {"model": "tiered", "tiers": [{"per_share": "1", "up_to": "10"}]}),
        ("fill", {"participation": "0"}),
        ("fill", {"participation": "1.01"}),
        ("fill", {"slippage_min_bps": "1"}),
        ("fill", {"slippage_min_bps": "2", "slippage_max_bps": "1"}),
        ("fill", {"limit_fill": "maybe"}),
        ("fill", {"commission": "1"}),
        ("is_active", "yes"),
        ("data_source", "demo"),
        ("id", str(uuid.uuid4())),
        ("version", 2),
        ("$where", "1"),
    ],
)
async def test_a_wrong_field_is_named(api: Api, field: str, value: object) -> None:
    answer = await api.admin.post("/api/v1/tickers/", a_ticker() | {field: value})
    assert (answer.status, answer.code) == (422, "validation")
    assert {name.split(".")[0] for name in answer.json["errors"]} == {field}
    assert "pattern" not in str(answer.json["errors"]), "what a person reads says what may be sent"


async def test_a_data_source_must_exist(api: Api) -> None:
    answer = await api.admin.post("/api/v1/tickers/", a_ticker(data_source=str(uuid.uuid4())))
    assert (answer.status, list(answer.json["errors"])) == (422, ["data_source"])


async def test_patch_changes_what_is_given_and_put_the_rest_too(api: Api) -> None:
    ticker = await made(api, description="old", currency="EUR")
    path = f"/api/v1/tickers/{ticker['symbol']}/"
    patched = await api.admin.patch(path, {"name": "New name"})
    assert patched.status == 200
    assert (patched.json["name"], patched.json["description"], patched.json["version"]) == ("New name", "old", 2)
    replaced = await api.admin.put(path, {"symbol": ticker["symbol"], "name": "Newest"})
    assert (replaced.json["description"], replaced.json["currency"], replaced.json["version"]) == ("", "USD", 3)
    moved = await api.admin.patch(path, {"symbol": "OTHER"})
    assert (moved.status, list(moved.json["errors"])) == (422, ["symbol"])


async def test_a_ticker_has_terms_of_its_own_until_they_are_taken_away(api: Api) -> None:
    tiers = [{"up_to": "1000", "per_share": "0.005"}, {"per_share": "0.0030"}]
    terms = {
        "commission": {"model": "tiered", "tiers": tiers, "minimum": "1"},
        "fill": {"participation": 0.25, "limit_fill": "through", "latency_ms": "20"},
    }
    ticker = await made(api, execution_mode="book", **terms)
    shown = {"participation": "0.25", "limit_fill": "through", "latency_ms": "20"}
    path = f"/api/v1/tickers/{ticker['id']}/"
    assert (await api.viewer.get(path)).json == ticker
    assert (ticker["execution_mode"], ticker["commission"], ticker["fill"]) == ("book", terms["commission"], shown)
    stored = await api.database.collection("tickers").find_one({"symbol": ticker["symbol"]})
    assert stored is not None
    assert str(stored["commission"]["tiers"][1]["per_share"]) == "0.0030"
    patched = await api.admin.patch(path, {"fill": None})
    assert (patched.json["commission"], patched.json["fill"]) == (terms["commission"], None)
    replaced = await api.admin.put(path, {"symbol": ticker["symbol"], "name": "Plain"})
    assert (replaced.json["commission"], replaced.json["execution_mode"]) == (None, "paper")


async def test_a_ticker_follows_the_calendar_of_an_exchange(api: Api) -> None:
    ticker = await made(api, calendar="XNYS")
    assert ticker["calendar"] == "XNYS"
    back = await api.admin.patch(f"/api/v1/tickers/{ticker['id']}/", {"calendar": "24/7"})
    assert back.json["calendar"] == "24/7"


async def test_what_open_orders_depend_on_changes_only_once_they_are_closed(api: Api) -> None:
    ticker = await made(api)
    await api.services.market.publish([trade(1_400_000_000_000_000_000, symbol=ticker["symbol"])])
    asked = {"symbol": ticker["symbol"], "side": "BUY", "order_type": "LIMIT", "quantity": "1", "price": "175.00"}
    order = await api.trader.post("/api/v1/orders/", asked)
    assert (order.status, order.json["status"]) == (201, "PENDING")
    path = f"/api/v1/tickers/{ticker['id']}/"
    for change in ({"tick_size": "0.05"}, {"lot_size": "10"}, {"execution_mode": "book"}):
        refused = await api.admin.patch(path, change)
        assert (refused.status, refused.code) == (409, "ticker.open_orders")
    assert (await api.admin.patch(path, {"name": "Renamed", "tick_size": "0.010"})).status == 200
    assert (await api.viewer.get(path)).json["is_active"] is True
    assert (await api.trader.delete(f"/api/v1/orders/{order.json['id']}/")).status == 200
    assert (await api.admin.patch(path, {"lot_size": "10"})).json["lot_size"] == "10"


async def test_a_ticker_whose_stored_terms_make_no_sense_is_not_traded(api: Api) -> None:
    symbol = f"X{uuid.uuid4().hex[:8]}"
    document = await api.database.collection("tickers").find_one({"symbol": (await made(api))["symbol"]})
    assert document is not None
    broken = {"_id": uuid.uuid4(), "symbol": symbol, "commission": {"model": "generous"}}
    await api.database.collection("tickers").insert_one(document | broken)

    async def inactive() -> bool:
        answer = await api.viewer.get(f"/api/v1/tickers/{symbol}/")
        return answer.status == 200 and answer.json["is_active"] is False

    await eventually(inactive)


async def test_whoever_changes_an_old_version_is_told(api: Api) -> None:
    ticker = await made(api)
    path = f"/api/v1/tickers/{ticker['id']}/"
    read = await api.viewer.get(path)
    tag = read.headers["ETag"]
    assert (await api.viewer.get(path, headers={"If-None-Match": tag})).status == 304
    assert (await api.admin.patch(path, {"name": "One"}, headers={"If-Match": tag})).status == 200
    for refused in (
        await api.admin.patch(path, {"name": "Two"}, headers={"If-Match": tag}),
        await api.admin.delete(path, headers={"If-Match": tag}),
    ):
        assert (refused.status, refused.code) == (412, "precondition_failed")
    assert (await api.admin.delete(path, headers={"If-Match": "*"})).status == 204
    assert (await api.viewer.get(path)).status == 404


async def test_lists_are_filtered_searched_and_ordered(api: Api) -> None:
    source = await made_source(api)
    mark = uuid.uuid4().hex[:8]
    first = await made(api, name=f"Zebra {mark}", data_source=source["id"])
    second = await made(api, name=f"Ant {mark}", currency="EUR", is_active=False)

    async def symbols(**query: str) -> list[str]:
        answer = await api.viewer.get("/api/v1/tickers/", query=query)
        assert answer.status == 200, answer
        assert answer.json["count"] == len(answer.json["results"])
        return [found["symbol"] for found in answer.json["results"]]

    assert await symbols(search=mark.upper(), ordering="-created_at") == [second["symbol"], first["symbol"]]
    assert await symbols(search=mark, ordering="created_at") == [first["symbol"], second["symbol"]]
    assert await symbols(search=mark, currency="EUR") == [second["symbol"]]
    assert await symbols(search=mark, is_active="true") == [first["symbol"]]
    assert await symbols(data_source=source["id"]) == [first["symbol"]]
    assert await symbols(symbol__in=f"{first['symbol']},{second['symbol']}", is_active="false") == [second["symbol"]]
    unknown = await api.viewer.get("/api/v1/tickers/", query={"colour": "red"})
    assert (unknown.status, list(unknown.json["errors"])) == (422, ["colour"])


async def test_only_admins_change_reference_data(api: Api) -> None:
    ticker = await made(api)
    for client in (api.viewer, api.trader, api.risk_manager, api.auditor):
        assert (await client.post("/api/v1/tickers/", a_ticker())).status == 403
        assert (await client.patch(f"/api/v1/tickers/{ticker['id']}/", {"name": "x"})).status == 403
        assert (await client.delete(f"/api/v1/tickers/{ticker['id']}/")).status == 403
        assert (await client.post("/api/v1/data-sources/", {"name": "x", "code": "x"})).status == 403
    assert (await api.anonymous.get("/api/v1/tickers/")).status == 401


async def test_a_ticker_with_prices_is_not_deleted(api: Api) -> None:
    ticker = await made(api)
    await api.services.market.publish([trade(1_400_000_000_000_000_000, symbol=ticker["symbol"])])
    await api.services.market.stored()
    answer = await api.admin.delete(f"/api/v1/tickers/{ticker['symbol']}/")
    assert (answer.status, answer.code) == (409, "ticker.in_use")


async def test_a_ticker_that_another_process_made_is_there_within_a_second(api: Api) -> None:
    symbol = f"X{uuid.uuid4().hex[:8]}"
    document = await api.database.collection("tickers").find_one({"symbol": (await made(api))["symbol"]})
    assert document is not None
    await api.database.collection("tickers").insert_one(document | {"_id": uuid.uuid4(), "symbol": symbol})

    async def known() -> bool:
        return (await api.viewer.get(f"/api/v1/tickers/{symbol}/")).status == 200

    await eventually(known)


async def test_the_latest_price_is_the_last_trade_with_the_quote_around_it(api: Api) -> None:
    symbol = (await made(api))["symbol"]
    path = f"/api/v1/tickers/{symbol}/latest_price/"
    none = await api.viewer.get(path)
    assert (none.status, none.code) == (404, "ticker.no_price")
    ts_ns = 1_381_152_600_123_456_789
    await api.services.market.publish([quote(ts_ns - 1, "181.50", None, symbol=symbol)])
    assert (await api.viewer.get(path)).json["source"] == "quote"
    await api.services.market.publish([trade(ts_ns, "181.520", symbol=symbol)])
    assert (await api.viewer.get(path)).json == {
        "symbol": symbol,
        "price": "181.520",
        "bid": "181.50",
        "ask": None,
        "timestamp": "2013-10-07T13:30:00.123456789Z",
        "source": "trade",
        "stale": False,
        "suspect": False,
    }
    unknown = await api.viewer.get("/api/v1/tickers/NOSUCH/latest_price/")
    assert (unknown.status, unknown.code) == (404, "ticker.unknown")


async def test_statistics_describe_stored_bars(api: Api) -> None:
    symbol = (await made(api))["symbol"]
    path = f"/api/v1/tickers/{symbol}/statistics/"
    empty = await api.viewer.get(path)
    assert (empty.status, empty.json["record_count"], empty.json["avg_close"]) == (200, 0, None)
    for day, close in (("01", "10.10"), ("02", "10.20"), ("03", "10.60")):
        bar = {"symbol": symbol, "interval": "1d", "timestamp": f"2013-03-{day}T00:00:00Z", "volume": "7"}
        prices = {"open": "10", "high": "11.5", "low": "9.25", "close": close}
        assert (await api.admin.post("/api/v1/market-data/", bar | prices)).status == 201
    found = (await api.viewer.get(path)).json
    # (10.10 + 10.20 + 10.60) / 3 = 10.30
    assert (found["record_count"], found["avg_close"], found["max_high"], found["min_low"]) == (
        3,
        "10.30",
        "11.5",
        "9.25",
    )
    assert (found["intervals"], found["total_volume"], found["last_close"]) == (["1d"], "21", "10.60")
    later = await api.viewer.get(path, query={"start": "2013-03-02T00:00:00Z", "end": "2013-03-03T00:00:00+00:00"})
    assert (later.json["record_count"], later.json["avg_close"]) == (1, "10.20")
    assert (await api.viewer.get(path, query={"interval": "1h"})).json["record_count"] == 0
    wrong = await api.viewer.get(path, query={"start": "2013-03-02T00:00:00"})
    assert (wrong.status, list(wrong.json["errors"])) == (422, ["start"])


async def test_data_sources_have_the_whole_life(api: Api) -> None:
    source = await made_source(api)
    path = f"/api/v1/data-sources/{source['id']}/"
    assert (await api.viewer.get(path)).json == source
    changed = await api.admin.patch(path, {"is_active": False, "url": "https://example.com"})
    assert (changed.json["is_active"], changed.json["version"]) == (False, 2)
    replaced = await api.admin.put(path, {"name": "Another", "code": source["code"]})
    assert (replaced.json["name"], replaced.json["url"], replaced.json["is_active"]) == ("Another", "", True)
    listed = await api.viewer.get("/api/v1/data-sources/", query={"search": source["code"]})
    assert [found["id"] for found in listed.json["results"]] == [source["id"]]
    twice = await api.admin.post("/api/v1/data-sources/", {"name": "Twice", "code": source["code"]})
    assert (twice.status, twice.code) == (409, "already_exists")
    ticker = await made(api, data_source=source["id"])
    used = await api.admin.delete(path)
    assert (used.status, used.code) == (409, "data_source.in_use")
    await api.admin.patch(f"/api/v1/tickers/{ticker['id']}/", {"data_source": None})
    assert (await api.admin.delete(path)).status == 204
    for gone in (path, "/api/v1/data-sources/nonsense/"):
        assert (await api.viewer.get(gone)).status == 404
