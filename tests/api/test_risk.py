"""The risk desk over HTTP and on the stream: limits, exposure, value at risk, events, kill switches, checks."""

import csv
import gzip
import math
import time
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from qsuite.domain.market import Bar, Quote
from qsuite.domain.market_record import MarketRecord
from qsuite.domain.roles import Role
from qsuite.domain.times import DAY_NS, parse_rfc3339
from qsuite.repos.market_data import MarketDataRepo
from tests.support.client import Answer, ApiClient
from tests.support.running_app import Api
from tests.support.ws import WsClient

RISK = "/api/v1/risk/"
LIMITS, SWITCH = f"{RISK}limits/", f"{RISK}kill-switch/"


@pytest.fixture(autouse=True, scope="module")
def market(api: Api, io_loop: Any) -> None:
    async def quoted() -> None:
        for symbol in ("IBM", "RISKY", "CAPPED", "HALTED", "VARA", "VARB", "VARC", "VARD", "VARE", "VARF", "VARG"):
            await api.services.reference.ensure_ticker(symbol, {"name": symbol})
            now = time.time_ns()
            await api.services.market.publish([Quote(symbol, now, Decimal("99.98"), Decimal("100.02"))])

    io_loop.run_sync(quoted)


def order(side: str = "BUY", quantity: Any = 10, symbol: str = "IBM", **more: Any) -> dict[str, Any]:
    asked = {"symbol": symbol, "side": side, "quantity": quantity, "order_type": "MARKET"}
    return asked | ({"order_type": "LIMIT"} if "price" in more else {}) | more


async def place(client: ApiClient, **asked: Any) -> Answer:
    return await client.post("/api/v1/orders/", order(**asked))


async def account_of(client: ApiClient) -> str:
    return str((await client.get("/api/v1/account/")).json["id"])


async def set_limits(api: Api, scope: str, target: str | None, limits: Any, **headers: str) -> Answer:
    body = {"scope": scope, "id": target, "limits": limits, "reason": "a test"}
    return await api.risk_manager.put(LIMITS, body, headers=headers)


def scope_in(answer: Answer, scope: str, target: str | None = None) -> Any:
    return next((one for one in answer.json["scopes"] if (one["scope"], one["id"]) == (scope, target)), None)


# -- limits -----------------------------------------------------------------------------------------------------------


async def test_a_limit_counts_from_the_next_order_on_and_a_null_takes_it_away(api: Api) -> None:
    trader = await api.new_client(Role.TRADER)
    account = await account_of(trader)
    assert (await place(trader, quantity=6)).status == 201
    answer = await set_limits(api, "account", account, {"max_quantity": "5"})
    assert (answer.status, answer.json["version"], answer.json["limits"]) == (200, 1, {"max_quantity": "5"})
    refused = await place(trader, quantity=6)
    assert (refused.code, refused.json["order"]["reject"]["limit"]) == ("risk.max_quantity", "5")
    assert (await place(trader, quantity=5)).status == 201
    seen = await trader.get(LIMITS)
    assert (seen.json["effective"]["max_quantity"], scope_in(seen, "account", account)["version"]) == ("5", 1)
    assert (await set_limits(api, "account", account, {"max_quantity": None})).json["version"] == 2
    assert (await place(trader, quantity=6)).status == 201
    assert (await trader.get(LIMITS)).json["effective"]["max_quantity"] == "10000"


async def test_a_change_made_against_an_older_version_is_refused(api: Api) -> None:
    first = await set_limits(api, "ticker", "CAPPED", {"max_quantity": 100})
    tag = first.headers["ETag"]
    assert tag == scope_in(await api.auditor.get(LIMITS), "ticker", "CAPPED")["etag"]
    second = await set_limits(api, "ticker", "CAPPED", {"max_quantity": 50}, **{"If-Match": tag})
    assert (second.status, second.json["limits"]) == (200, {"max_quantity": "50"})
    stale = await set_limits(api, "ticker", "CAPPED", {"max_quantity": 900}, **{"If-Match": tag})
    assert stale.status == 412
    other = await set_limits(api, "ticker", "CAPPED", {"max_quantity": 900}, **{"If-Match": '"limits:global:.2"'})
    assert other.status == 412
    assert scope_in(await api.auditor.get(LIMITS), "ticker", "CAPPED")["limits"] == {"max_quantity": "50"}


async def test_the_strictest_of_narrow_limits_counts_for_an_order(api: Api) -> None:
    trader = await api.new_client(Role.TRADER)
    account = await account_of(trader)
    await set_limits(api, "account", account, {"max_quantity": "30", "max_value": "7000"})
    await set_limits(api, "ticker", "RISKY", {"max_quantity": "20"})
    query = {"account": account, "symbol": "RISKY"}
    effective = (await api.risk_manager.get(LIMITS, query=query)).json["effective"]
    assert (effective["max_quantity"], effective["max_value"]) == ("20", "7000")
    assert (await trader.get(LIMITS, query={"symbol": "IBM"})).json["effective"]["max_quantity"] == "30"
    assert (await place(trader, symbol="RISKY", quantity=21)).code == "risk.max_quantity"
    await set_limits(api, "ticker", "RISKY", {"max_quantity": None})


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        ({"max_quantity": "-1"}, "limits.max_quantity"),
        ({"price_collar": "1.5"}, "limits.price_collar"),
        ({"max_open_orders": "1.5"}, "limits.max_open_orders"),
        ({"short_sale": "1"}, "limits.short_sale"),
        ({"max_quantity": True}, "limits.max_quantity"),
        ({"no_such": "1"}, "limits.no_such"),
        ({"system_exposure": "3"}, "limits.system_exposure"),
        ({}, "limits"),
    ],
)
async def test_a_figure_that_no_limit_can_have_is_refused_by_name(api: Api, limits: Any, field: str) -> None:
    answer = await set_limits(api, "ticker", "RISKY", limits)
    assert (answer.status, list(answer.json["errors"])) == (422, [field])


@pytest.mark.parametrize(
    ("scope", "target"),
    [("ticker", "NOSUCH"), ("account", str(uuid.uuid4())), ("strategy", str(uuid.uuid4())), ("account", "x"),
     ("ticker", None), ("global", "x")],
)  # fmt: skip
async def test_what_names_nothing_is_neither_limited_nor_halted(api: Api, scope: str, target: str | None) -> None:
    answer = await set_limits(api, scope, target, {"max_quantity": "1"})
    assert (answer.status, list(answer.json["errors"])) == (422, ["id"])
    halted = await api.risk_manager.post(SWITCH, {"scope": scope, "id": target, "reason": "?"})
    assert (halted.status, list(halted.json["errors"])) == (422, ["id"])


async def test_traders_see_no_limits_of_others(api: Api) -> None:
    trader, other = await api.new_client(Role.TRADER), await api.new_client(Role.TRADER)
    account = await account_of(trader)
    await set_limits(api, "account", account, {"max_quantity": "7"})
    assert scope_in(await other.get(LIMITS), "account", account) is None
    assert scope_in(await other.get(LIMITS), "global") is not None
    assert (await other.get(LIMITS, query={"account": account})).status == 404


# -- exposure ---------------------------------------------------------------------------------------------------------


async def test_exposure_counts_what_working_orders_may_come_to(api: Api) -> None:
    trader = await api.new_client(Role.TRADER)
    account = await account_of(trader)
    empty = (await trader.get(f"{RISK}exposure/")).json
    assert [(one["id"], one["gross"], one["equity"]) for one in empty["accounts"]] == [(account, "0", "1000000")]
    assert (await place(trader, quantity=100)).status == 201
    assert (await place(trader, quantity=50, price="99")).json["status"] == "PENDING"
    found = (await trader.get(f"{RISK}exposure/")).json
    (mine,) = found["accounts"]
    (line,) = mine["symbols"]
    assert (line["symbol"], line["quantity"], line["working_buys"], line["working_sells"]) == ("IBM", "100", "50", "0")
    mark = Decimal(line["mark"])
    assert Decimal(line["worst_case"]) == Decimal(mine["gross"]) == 150 * mark
    assert Decimal(line["value"]) == Decimal(mine["long_value"]) == 100 * mark
    equity = Decimal(1_000_000) - 100 * Decimal("100.02") - Decimal("0.5") + 100 * mark
    assert Decimal(mine["equity"]) == equity
    assert mine["leverage"] == pytest.approx(float(150 * mark / equity))
    assert Decimal(mine["limit"]) == 2 * equity
    assert found["system"] is None
    everybody = (await api.risk_manager.get(f"{RISK}exposure/")).json
    assert mine["id"] in {one["id"] for one in everybody["accounts"]}
    grosses = [Decimal(one["gross"]) for one in everybody["accounts"]]
    assert grosses == sorted(grosses, reverse=True)
    assert Decimal(everybody["system"]["gross"]) == sum(grosses)
    stranger = await api.new_client(Role.TRADER)
    assert (await stranger.get(f"{RISK}exposure/", query={"account": account})).status == 404
    alone = (await api.auditor.get(f"{RISK}exposure/", query={"account": account})).json
    assert [one["id"] for one in alone["accounts"]] == [account]
    assert (await api.auditor.get(f"{RISK}exposure/", query={"account": str(uuid.uuid4())})).status == 404


# -- checks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"quantity": 10}, None),
        ({"quantity": 10, "price": "99.5"}, None),
        ({"quantity": 10_001}, "risk.max_quantity"),
        ({"quantity": 9_000}, "risk.max_value"),
        ({"side": "SELL"}, "risk.short_sale"),
        ({"symbol": "NOSUCH"}, "ticker.unknown"),
        ({"price": "99.999"}, "order.tick_size"),
        ({"price": "150"}, "risk.price_collar"),
    ],
)
async def test_a_check_says_what_placing_then_says_and_changes_nothing(
    api: Api, asked: dict[str, Any], code: str | None
) -> None:
    trader = await api.new_client(Role.TRADER)
    before = (await trader.get("/api/v1/account/")).json
    checked = await trader.post(f"{RISK}check/", order(**asked))
    assert checked.status == 200
    assert (checked.json["verdict"], (checked.json["reject"] or {}).get("code")) == (
        "accepted" if code is None else "refused",
        code,
    )
    after = (await trader.get("/api/v1/account/")).json
    assert after == before | {"updated_at": after["updated_at"]}  # its day may have begun meanwhile
    assert (await trader.get("/api/v1/orders/")).json["results"] == []
    placed = await place(trader, **asked)
    if code is None:
        assert placed.status == 201
    else:
        assert {name: placed.json["order"]["reject"][name] for name in checked.json["reject"]} == checked.json["reject"]


async def test_a_check_shows_the_worst_price_and_what_would_be_reserved(api: Api) -> None:
    trader = await api.new_client(Role.TRADER)
    resting = {"quantity": 10, "price": "99.50"}
    checked = (await trader.post(f"{RISK}check/", order(**resting))).json
    assert Decimal(checked["worst_price"]) == Decimal("99.50")
    assert Decimal(checked["reservation"]) == Decimal("995.05")  # and 0.005 for each
    assert checked["limits"]["max_quantity"] == "10000"
    await place(trader, **resting)
    assert Decimal((await trader.get("/api/v1/account/")).json["reserved"]) == Decimal("995.05")


async def test_a_check_of_an_id_used_before_tells_of_the_order_that_has_it(api: Api) -> None:
    trader = await api.new_client(Role.TRADER)
    placed = (await place(trader, client_order_id="mine-1")).json
    again = (await trader.post(f"{RISK}check/", order(client_order_id="mine-1"))).json
    assert (again["verdict"], again["order"]) == ("accepted", placed["id"])
    other = await trader.post(f"{RISK}check/", order(client_order_id="mine-1", quantity=11))
    assert (other.status, other.code) == (409, "order.duplicate_id")


# -- kill switches ----------------------------------------------------------------------------------------------------


async def test_reducing_lets_a_position_become_smaller_and_halted_nothing(api: Api) -> None:
    trader = await api.new_client(Role.TRADER)
    account = await account_of(trader)
    assert (await place(trader, symbol="HALTED", quantity=10)).status == 201
    resting = (await place(trader, symbol="HALTED", quantity=10, price="99")).json
    body = {"scope": "account", "id": account, "state": "REDUCING", "reason": "losses"}
    thrown = (await api.risk_manager.post(SWITCH, body)).json
    assert (thrown["halts"][-1]["state"], thrown["halts"][-1]["id"]) == ("REDUCING", account)
    assert (await place(trader, symbol="HALTED", quantity=1)).code == "risk.reducing"
    assert (await place(trader, symbol="HALTED", side="SELL", quantity=4)).status == 201
    body |= {"state": "HALTED"}
    halted = (await api.risk_manager.post(SWITCH, body)).json
    assert halted["halts"][-1]["state"] == "HALTED"
    assert (await trader.get(f"/api/v1/orders/{resting['id']}/")).json["status"] == "CANCELLED"
    assert (await place(trader, symbol="HALTED", side="SELL", quantity=4)).code == "risk.halted"
    lift = f"{SWITCH}?scope=account&id={account}"
    assert (await api.risk_manager.delete(lift)).status == 403
    assert account not in {halt["id"] for halt in (await api.admin.delete(lift)).json["halts"]}
    assert (await api.admin.delete(lift)).status == 404
    assert (await place(trader, symbol="HALTED", side="SELL", quantity=4)).status == 201


# -- events -----------------------------------------------------------------------------------------------------------


async def test_refusals_halts_and_changes_of_limits_are_listed_for_whom_they_concern(api: Api) -> None:
    trader, other = await api.new_client(Role.TRADER), await api.new_client(Role.TRADER)
    account = await account_of(trader)
    assert (await place(trader, quantity=10_001)).status == 422
    await set_limits(api, "account", account, {"max_quantity": "5"})
    mine = (await trader.get(f"{RISK}events/")).json["results"]
    assert [event["code"] for event in mine] == ["risk.limits_set", "risk.max_quantity"]
    refusal = mine[1]
    assert (refusal["severity"], refusal["account"], refusal["limit"], refusal["value"]) == (
        "warning", account, "10000", "10001",
    )  # fmt: skip
    assert (await other.get(f"{RISK}events/", query={"account": account})).json["results"] == []
    query = {"code": "risk.max_quantity", "account": account, "severity": "warning"}
    assert (await api.auditor.get(f"{RISK}events/", query=query)).json["results"] == [refusal]
    assert (await trader.get(f"{RISK}events/", query={"ts__gt": mine[0]["ts"]})).json["results"] == []
    page = (await trader.get(f"{RISK}events/", query={"page_size": 1, "cursor": ""})).json
    assert page["count"] is None
    assert (await trader.get(page["next"])).json["results"] == [refusal]


async def test_the_desk_hears_every_risk_event_and_a_trader_their_own(api: Api) -> None:
    trader, other = await api.new_client(Role.TRADER), await api.new_client(Role.TRADER)
    clients = (api.risk_manager, trader, other)
    sockets = [await WsClient.open(api.port, token=client.token) for client in clients]
    try:
        for socket in sockets:
            await socket.ask({"action": "subscribe", "id": 1, "channels": ["risk"]})
        assert (await place(trader, quantity=10_002)).status == 422
        for socket in sockets[:2]:
            heard = (await socket.receive_until(lambda one: one["type"] == "risk_event"))[-1]
            assert (heard["channel"], heard["code"], heard["value"]) == ("risk", "risk.max_quantity", "10002")
        assert not any(one["type"] == "risk_event" for one in await sockets[2].synchronise())
    finally:
        for socket in sockets:
            await socket.abort()


# -- value at risk ----------------------------------------------------------------------------------------------------


async def store_closes(api: Api, symbol: str, closes: list[float], first: str = "2024-01-01T00:00:00Z") -> None:
    ticker = api.services.reference.ticker(symbol)
    assert ticker is not None
    start = parse_rfc3339(first)
    bars = []
    for day, close in enumerate(closes):
        price = Decimal(str(round(close, 8)))
        bar = Bar(symbol, "1d", start + day * DAY_NS, price, price, price, price, Decimal(1))
        bars.append(MarketRecord(id=uuid.uuid4(), ticker=ticker.id, bar=bar, created_at=0, updated_at=0, version=1))
    await MarketDataRepo(api.database).add_new(bars)


async def test_value_at_risk_of_what_is_held_is_computed_from_stored_daily_bars(api: Api) -> None:
    # 1 % up and down in turn: the deviation is 1 % exactly, so 100 at the bid of 99.98 may lose 1.6449 % of 9,998.
    closes = [100.0]
    for day in range(60):
        closes.append(closes[-1] * (1.01 if day % 2 else 0.99))
    await store_closes(api, "VARA", closes)
    trader = await api.new_client(Role.TRADER)
    assert (await place(trader, symbol="VARA", quantity=100)).status == 201
    query = {"method": "parametric", "horizon_days": 4}
    found = (await trader.get(f"{RISK}var/", query=query)).json
    assert (found["method"], found["confidence"], found["horizon_days"], found["window"]) == (
        "parametric",
        0.95,
        4,
        250,
    )
    assert (found["observations"], found["from"], found["to"]) == (
        60, "2024-01-01T00:00:00.000Z", "2024-03-01T00:00:00.000Z",
    )  # fmt: skip
    assert float(found["value_at_risk"]) == pytest.approx(9998 * 0.01 * 1.6448536 * math.sqrt(4), abs=0.01)
    assert [one["symbol"] for one in found["positions"]] == ["VARA"]
    worst = (await trader.get(f"{RISK}var/")).json  # half of the days lost exactly 1 %
    assert (worst["method"], worst["value_at_risk"], worst["expected_shortfall"]) == ("historical", "99.98", "99.98")
    assert (await api.auditor.get(f"{RISK}var/", query={"account": found["account"]})).json["positions"]


async def test_too_little_history_gives_a_reason_and_no_figure(api: Api) -> None:
    await store_closes(api, "VARB", [100.0 + day % 3 for day in range(20)])
    trader = await api.new_client(Role.TRADER)
    nothing = (await trader.get(f"{RISK}var/")).json
    assert (nothing["value_at_risk"], nothing["reason"]) == ("0.00", None)
    await place(trader, symbol="VARB", quantity=1)
    short = (await trader.get(f"{RISK}var/")).json
    assert (short["value_at_risk"], short["expected_shortfall"], short["observations"]) == (None, None, 19)
    assert short["reason"] == "historical at 0.95 needs 30 daily returns on common days, there are 19"
    await place(trader, symbol="VARC", quantity=1)
    assert (await trader.get(f"{RISK}var/")).json["reason"] == "no daily closes of VARC"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"confidence": "1"}, "confidence"),
        ({"confidence": "nan"}, "confidence"),
        ({"confidence": "0.9_5"}, "confidence"),
        ({"window": "1_000"}, "window"),
        ({"horizon_days": "\uff11\uff12"}, "horizon_days"),
        ({"horizon_days": "0"}, "horizon_days"),
        ({"window": "100000"}, "window"),
        ({"method": "guess"}, "method"),
    ],
)
async def test_a_question_without_an_answer_is_refused(api: Api, query: dict[str, str], field: str) -> None:
    answer = await api.trader.get(f"{RISK}var/", query=query)
    assert (answer.status, list(answer.json["errors"])) == (422, [field])


async def test_real_prices_give_the_figure_that_empyrical_has(api: Api, shared_data: Path) -> None:
    with (shared_data / "reference/risk/empyrical_metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["symbol"] == "IBM"]
    expected = {row["metric"]: row["value"] for row in rows}
    with gzip.open(shared_data / "daily/us_equities_wiki_daily.csv.gz", "rt") as file:
        prices = [float(row["adj_close"]) for row in csv.DictReader(file) if row["symbol"] == "IBM"]
    await store_closes(api, "IBM", prices, first="2000-03-01T00:00:00Z")
    trader = await api.new_client(Role.TRADER)
    await place(trader, quantity=1000)
    found = (await trader.get(f"{RISK}var/", query={"window": 5000})).json
    assert found["observations"] == int(expected["n_returns"])
    value = float(found["positions"][0]["market_value"])
    assert float(found["value_at_risk"]) / value == pytest.approx(-float(expected["value_at_risk_0.05"]), abs=1e-6)


# -- how it did, and how symbols move together ------------------------------------------------------------------------


async def test_value_at_risk_is_judged_over_past_days_when_asked(api: Api) -> None:
    # Losses of 1 % and gains of 1 % in turn for 100 days; then 40 days of which each tenth loses 5 %.
    changes = [0.01 if day % 2 else -0.01 for day in range(100)]
    changes += [-0.05 if day % 10 == 9 else 0.01 if day % 2 else -0.01 for day in range(40)]
    closes = [100.0]
    for change in changes:
        closes.append(closes[-1] * (1 + change))
    await store_closes(api, "VARD", closes)
    trader = await api.new_client(Role.TRADER)
    plain = (await trader.get(f"{RISK}var/")).json
    assert plain["backtest"] is None
    assert (await place(trader, symbol="VARD", quantity=100)).status == 201
    query = {"backtest": "true", "backtest_days": 40, "window": 100, "method": "parametric"}
    found = (await trader.get(f"{RISK}var/", query=query)).json["backtest"]
    assert (found["days"], found["expected"], found["breaches"]) == (40, pytest.approx(2.0), 4)
    assert found["breached"][0]["ts"] == "2024-04-20T00:00:00.000Z"  # 110 days after the first
    assert float(found["breached"][0]["loss"]) == pytest.approx(0.05 * 9_998, abs=0.01)
    assert float(found["breached"][0]["value_at_risk"]) == pytest.approx(0.01 * 1.6448536 * 9_998, abs=0.01)
    # Four in forty at 5 %: 2 ln(0.9^36 0.1^4 / (0.95^36 0.05^4)).
    by_hand = 2 * (36 * math.log(0.9 / 0.95) + 4 * math.log(2))
    assert found["kupiec"]["statistic"] == pytest.approx(by_hand)
    assert (found["verdict"], found["accepted"]) == ("accepted", {"least": 1, "most": 5})  # 3.41 of five, 5.62 of six
    short = (await trader.get(f"{RISK}var/", query={"backtest": "true", "window": 130})).json["backtest"]
    assert (short["reason"], short["kupiec"]) == (
        "160 daily returns on common days are needed, there are 140",
        None,
    )


async def test_correlations_and_betas_of_what_is_held_or_asked_for(api: Api) -> None:
    # The one moves as the index does and half as much again, the other against it.
    index, more, against = [100.0], [100.0], [100.0]
    for day in range(50):
        change = (0.01, -0.02, 0.015)[day % 3]
        for closes, factor in ((index, 1), (more, 1.5), (against, -1)):
            closes.append(closes[-1] * (1 + factor * change))
    for symbol, closes in (("VARE", index), ("VARF", more), ("VARG", against)):
        await store_closes(api, symbol, closes)
    trader = await api.new_client(Role.TRADER)
    asked = {"symbols": "VARF,VARG", "benchmark": "VARE"}
    found = (await trader.get(f"{RISK}correlation/", query=asked)).json
    assert (found["symbols"], found["observations"], found["account"]) == (["VARF", "VARG"], 50, None)
    assert found["correlations"] == [[1.0, pytest.approx(-1.0)], [pytest.approx(-1.0), 1.0]]
    assert found["betas"] == pytest.approx([1.5, -1.0], abs=1e-6)
    assert found["beta_exposure"] is None
    nothing = (await trader.get(f"{RISK}correlation/")).json
    assert (nothing["reason"], nothing["symbols"], nothing["correlations"]) == ("nothing is held", [], [])
    for symbol, quantity in (("VARF", 10), ("VARG", 20)):
        assert (await place(trader, symbol=symbol, quantity=quantity)).status == 201
    held = (await trader.get(f"{RISK}correlation/", query={"benchmark": "VARE"})).json
    assert (held["symbols"], held["account"]) == (["VARF", "VARG"], held["account"])
    # At the bid of 99.98: 999.80 times 1.5, less 1,999.60.
    assert float(held["beta_exposure"]) == pytest.approx(1.5 * 999.8 - 1999.6, abs=0.01)
    assert (await api.auditor.get(f"{RISK}correlation/", query={"account": held["account"]})).json["symbols"]
    assert (await api.trader.get(f"{RISK}correlation/", query={"account": held["account"]})).status == 404


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"symbols": "IBM,NOSUCH"}, "symbols"),
        ({"symbols": ",".join(f"S{number}" for number in range(51))}, "symbols"),
        ({"symbols": "IBM", "account": str(uuid.uuid4())}, "symbols"),
        ({"benchmark": "NOSUCH"}, "benchmark"),
        ({"window": "0"}, "window"),
    ],
)
async def test_correlations_that_cannot_be_are_refused(api: Api, query: dict[str, str], field: str) -> None:
    answer = await api.trader.get(f"{RISK}correlation/", query=query)
    assert (answer.status, list(answer.json["errors"])) == (422, [field])
