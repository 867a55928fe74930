"""Commands sent to gateways: carried out by the engine's process once, and answered as there."""

import asyncio
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from qsuite.domain.roles import Role
from qsuite.domain.times import format_rfc3339
from qsuite.repos.database import connect
from qsuite.services.forwarding.proof import HEADER, Forwarded, Subject
from qsuite.settings import Settings
from tests.support.client import ApiClient, send_raw
from tests.support.fleet import Fleet, running_fleet
from tests.support.waiting import eventually
from tests.support.ws import WsClient

SYMBOL = "ALFA"
ORDERS = "/api/v1/orders/"
RESTS = {"symbol": SYMBOL, "side": "BUY", "order_type": "LIMIT", "quantity": 1, "price": "90.00"} | {
    "time_in_force": "GTC"
}
FILLS = {"symbol": SYMBOL, "side": "BUY", "order_type": "MARKET", "quantity": 2}


@pytest.fixture(scope="module")
def fleet(
    mongod: str, io_loop: IOLoop, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    database = connect(mongod, f"test_fleet_{uuid.uuid4().hex[:12]}", pool_size=16)
    context = running_fleet(settings, database, tmp_path_factory.mktemp("fleet"))
    try:
        made = io_loop.run_sync(context.__aenter__)
        io_loop.run_sync(lambda: begin(made))
        yield made
        io_loop.run_sync(lambda: context.__aexit__(None, None, None))
        database.sync_client.drop_database(database.name)
    finally:
        database.close()


async def begin(fleet: Fleet) -> None:
    """Make a ticker and its price, through a gateway."""
    admin = fleet.at(0, fleet.api.admin)
    made = await admin.post("/api/v1/tickers/", {"symbol": SYMBOL, "name": "Alfa"})
    assert made.status == 201, made
    assert (await tick(admin, "100.00")).status == 200
    await eventually(lambda: all(app.services.reference.ticker(SYMBOL) is not None for app in fleet.gateways))


async def tick(client: ApiClient, price: str) -> Any:
    low = f"{float(price) - 0.01:.2f}"
    now = format_rfc3339(time.time_ns())
    quote = {"symbol": SYMBOL, "ts": now, "kind": "quote", "bid": low, "ask": price}
    trade = {"symbol": SYMBOL, "ts": now, "kind": "trade", "price": price, "size": "50"}
    return await client.post("/api/v1/ticks/", [quote | {"bid_size": "100000", "ask_size": "100000"}, trade])


async def test_an_order_at_one_gateway_is_answered_as_at_the_engine_and_seen_at_the_other(fleet: Fleet) -> None:
    one, other = (fleet.at(number, fleet.api.trader) for number in (0, 1))
    placed = await one.post(ORDERS, FILLS, headers={"X-Request-ID": "mine-1"})
    direct = await fleet.api.trader.post(ORDERS, FILLS, headers={"X-Request-ID": "mine-2"})
    assert (placed.status, direct.status) == (201, 201)
    assert placed.json.keys() == direct.json.keys()
    assert placed.json["status"] == "FILLED"
    assert placed.headers["X-Request-ID"] == "mine-1"
    assert set(placed.headers) == set(direct.headers)
    assert placed.headers["Location"] == f"{ORDERS}{placed.json['id']}/"
    for gateway in (one, other):
        seen = await gateway.get(placed.headers["Location"])
        assert (seen.json, seen.headers["ETag"]) == (placed.json, placed.headers["ETag"])


async def test_every_kind_of_command_is_carried_out_through_a_gateway(fleet: Fleet) -> None:
    trader = await fleet.api.new_client(Role.TRADER)
    here, risk = fleet.at(1, trader), fleet.at(0, fleet.api.risk_manager)
    resting = (await here.post(ORDERS, RESTS)).json
    replaced = await here.patch(
        f"{ORDERS}{resting['id']}/", {"price": "91.00"}, headers={"If-Match": f'"{resting["id"]}.{resting["version"]}"'}
    )
    assert (replaced.status, replaced.json["price"]) == (200, "91.00")
    stale = await here.patch(f"{ORDERS}{resting['id']}/", {"price": "92.00"}, headers={"If-Match": '"x.1"'})
    assert stale.status == 412
    assert (await here.delete(f"{ORDERS}{resting['id']}/")).json["status"] == "CANCELLED"
    held = (await here.post(ORDERS, FILLS | {"hold": True})).json
    assert (await here.post(f"{ORDERS}{held['id']}/execute/")).json["status"] == "FILLED"
    bulk = await here.post(f"{ORDERS}bulk/", {"orders": [RESTS, {"symbol": SYMBOL}, RESTS]})
    assert [one["status"] for one in bulk.json["results"]] == [201, 422, 201]
    assert (await here.post("/api/v1/risk/check/", FILLS)).json["verdict"] == "accepted"
    assert (await here.post(f"{ORDERS}cancel_all/", {})).json["count"] == 2
    assert (await here.get("/api/v1/risk/exposure/")).json["accounts"][0]["gross"] != "0"
    closed = await here.delete(f"/api/v1/positions/{SYMBOL}/")
    assert (closed.status, closed.json["side"]) == (201, "SELL")
    account = (await here.get("/api/v1/account/")).json["id"]
    scope = {"scope": "account", "id": account}
    halted = await risk.post("/api/v1/risk/kill-switch/", scope | {"reason": "a test"})
    assert halted.status in (200, 201), halted
    refused = await here.post(ORDERS, FILLS)
    assert (refused.status, refused.code) == (422, "risk.halted")
    lifted = await fleet.at(1, fleet.api.admin).delete("/api/v1/risk/kill-switch/", query=scope)
    assert lifted.status in (200, 204), lifted
    limited = await risk.put("/api/v1/risk/limits/", scope | {"limits": {"max_quantity": "5"}, "reason": "a test"})
    assert limited.status == 200, limited
    assert (await here.post(ORDERS, FILLS | {"quantity": 6})).code == "risk.max_quantity"
    reset = await risk.post(f"/api/v1/accounts/{account}/reset/", {"cash": "1000"})
    assert reset.status == 200, reset
    strategy = {"name": "s", "risk_limit": "1000", "algorithm": "sma_cross", "symbols": [SYMBOL], "interval": "1m"}
    made = await here.post("/api/v1/strategies/", strategy)
    assert made.status == 201, made
    for step in ("start", "stop"):
        assert (await here.post(f"/api/v1/strategies/{made.json['id']}/{step}/")).status == 200


async def test_a_price_sent_to_a_gateway_is_the_market_for_the_next_order_at_another(fleet: Fleet) -> None:
    admin, trader = fleet.at(0, fleet.api.admin), fleet.at(1, fleet.api.trader)
    for price in ("101.00", "102.00", "100.00"):
        assert (await tick(admin, price)).status == 200
        filled = (await trader.post(ORDERS, FILLS)).json
        assert filled["avg_fill_price"] == price


async def test_the_same_order_fifty_times_over_two_gateways_is_one_order(fleet: Fleet) -> None:
    gateways = [fleet.at(number, fleet.api.trader) for number in (0, 1)]
    order = RESTS | {"client_order_id": "storm"}
    answers = await asyncio.gather(*(gateways[number % 2].post(ORDERS, order) for number in range(50)))
    assert {one.status for one in answers} == {201}
    assert len({one.body for one in answers}) == 1
    assert fleet.api.database.sync.orders.count_documents({"client_order_id": "storm"}) == 1


async def test_the_same_key_over_two_gateways_gets_the_same_answer(fleet: Fleet) -> None:
    headers = {"Idempotency-Key": "key-1"}
    gateways = [fleet.at(number, fleet.api.trader) for number in (0, 1)]
    answers = await asyncio.gather(*(gateways[number % 2].post(ORDERS, RESTS, headers=headers) for number in range(20)))
    assert {one.status for one in answers} == {201}
    assert len({one.body for one in answers}) == 1
    assert [one.headers.get("Idempotency-Replayed") for one in answers].count("true") == 19


async def test_strangers_are_refused_at_the_gateway_and_others_with_the_engines_words(fleet: Fleet) -> None:
    forward = fleet.gateways[0].application.forward
    assert forward is not None
    before = dict(forward.counts)
    nobody, viewer = fleet.at(0, fleet.api.anonymous), fleet.at(0, fleet.api.viewer)
    assert (await nobody.post(ORDERS, FILLS)).status == 401
    assert (await nobody.as_("forged").post(ORDERS, FILLS)).status == 401
    assert (await viewer.post(ORDERS, FILLS)).status == 403
    assert forward.counts == before
    trader = fleet.at(0, fleet.api.trader)
    wrong = await trader.post(ORDERS, {"symbol": SYMBOL})
    assert (wrong.status, wrong.code) == (422, "validation")
    assert wrong.json["instance"] == ORDERS
    assert forward.counts["answered"] == before["answered"] + 1


def asked(client: ApiClient, *lines: str, path: str = ORDERS) -> bytes:
    body = b'{"symbol": "ALFA", "side": "BUY", "order_type": "MARKET", "quantity": 1}'
    head = [
        f"POST {path} HTTP/1.1",
        "Host: t",
        "Connection: close",
        f"Authorization: Bearer {client.token}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *lines,
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


async def test_a_marker_made_outside_has_no_effect(fleet: Fleet) -> None:
    trader, proof = fleet.api.trader, fleet.gateways[0].application.forward.proof  # type: ignore[union-attr]
    said = Forwarded("203.0.113.9", "https", uuid.uuid4())
    subject = Subject("POST", ORDERS, f"Bearer {trader.token}")
    real = proof.make(said, subject)
    others = proof.make(said, subject._replace(authorization="Bearer of-somebody-else"))
    for forged in ("1;a;b", real[:-4] + "AAA=", others, real.replace("203.0.113.9", "203.0.113.8"), "1;" * 7):
        answer = await send_raw(fleet.ports[0], asked(trader, f"{HEADER}: {forged}"))
        assert b" 201 " in answer.partition(b"\r\n")[0], answer
        order = uuid.UUID(answer.rpartition(b'"id":"')[2][:36].decode())
        assert order != said.order_id
    # The real thing, which no client can make, is not sent on again: the gateway has no engine.
    answer = await send_raw(fleet.ports[0], asked(trader, f"{HEADER}: {real}"))
    assert b" 503 " in answer.partition(b"\r\n")[0]
    assert b"engine.standby" in answer


async def test_a_key_for_some_addresses_is_held_to_the_clients_own_and_not_to_what_it_says(fleet: Fleet) -> None:
    trader = fleet.at(0, fleet.api.trader)
    made = []
    for network in ("127.0.0.0/8", "203.0.113.0/24"):
        wanted = {"name": f"k{network[:3]}", "networks": [network]}
        answer = await trader.post("/api/auth/api-keys/", wanted)
        assert answer.status == 201, answer
        made.append(answer.json)
    secrets = [next(value for name, value in one.items() if name in ("key", "secret", "token")) for one in made]
    local, far = (trader.as_(secret) for secret in secrets)
    lie = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9", "X-Real-IP": "203.0.113.9"}
    assert (await local.post(ORDERS, RESTS, headers=lie)).status == 201
    assert (await far.post(ORDERS, RESTS, headers=lie)).status == 403


async def test_a_slow_sender_and_a_huge_body_hold_up_nobody(fleet: Fleet) -> None:
    trader = fleet.at(0, fleet.api.trader)
    most = fleet.gateways[0].services.settings.forward.connections
    opened = [await asyncio.open_connection("127.0.0.1", fleet.ports[0]) for _ in range(most + 10)]
    try:
        head = (
            f"POST {ORDERS} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {trader.token}\r\nContent-Length: 900\r\n\r\n"
        )
        for _, writer in opened:
            writer.write(head.encode() + b"Content-Length: 900\r\n\r\n{")
        huge = b'{"orders": [' + b" " * (1 << 20) + b"]}"
        too_long = await trader.request("POST", ORDERS, body=huge * 2)
        assert too_long.status == 413
        placed = await asyncio.gather(*(trader.post(ORDERS, RESTS) for _ in range(20)))
        assert {one.status for one in placed} == {201}
    finally:
        for _, writer in opened:
            writer.close()


# -- WebSocket --------------------------------------------------------------------------------------------------------


async def socket(fleet: Fleet, gateway: int, client: ApiClient) -> WsClient:
    found = await WsClient.open(fleet.ports[gateway], token=client.token)
    assert [one["type"] for one in await found.receive_some(2)] == ["welcome", "authenticated"]
    return found


async def results(reader: WsClient, count: int) -> dict[Any, dict[str, Any]]:
    """Return the next answers by id."""
    found: dict[Any, dict[str, Any]] = {}
    while len(found) < count:
        message = await reader.receive()
        if "id" in message:
            found[message["id"]] = message
    return found


async def test_a_sockets_commands_are_answered_under_its_ids_and_done_in_their_order(fleet: Fleet) -> None:
    trader = await fleet.api.new_client(Role.TRADER)
    async with await socket(fleet, 0, trader) as reader:
        prices = [f"9{number // 10}.{number % 10}0" for number in range(40)]
        for number, price in enumerate(prices):
            await reader.send({"action": "order", "id": f"o{number}", "order": RESTS | {"price": price}})
        placed = await results(reader, 40)
        ids = [placed[f"o{number}"]["order"]["id"] for number in range(40)]
        assert [placed[f"o{number}"]["order"]["price"] for number in range(40)] == prices
        assert sorted(ids) == ids  # the engine's process gives them out in the order of its commands
        await reader.send({"action": "replace", "id": 1, "order_id": ids[0], "changes": {"price": "80.00"}})
        await reader.send({"action": "cancel", "id": 2, "order_id": ids[1]})
        await reader.send({"action": "order", "id": 3, "order": {"symbol": SYMBOL}})
        await reader.send({"action": "order", "id": 4, "order": RESTS | {"quantity": 10**9}})
        told = await results(reader, 4)
        assert told[1]["order"]["price"] == "80.00"
        assert told[2]["order"]["status"] == "CANCELLED"
        assert [told[number]["code"] for number in (3, 4)] == ["validation", "risk.max_quantity"]


async def test_ticks_on_a_socket_of_a_gateway_come_before_the_orders_behind_them(fleet: Fleet) -> None:
    now = format_rfc3339(time.time_ns())
    ticks = [{"symbol": SYMBOL, "ts": now, "kind": "quote", "bid": 103.98, "ask": 103.99, "bid_size": 9, "ask_size": 9}]
    async with await socket(fleet, 0, fleet.api.admin) as feed:
        await feed.send({"action": "ticks", "id": 1, "ticks": ticks})
        assert (await results(feed, 1))[1]["accepted"] == 1
    assert (await fleet.at(1, fleet.api.trader).post(ORDERS, FILLS)).json["avg_fill_price"] == "103.99"
    await tick(fleet.at(0, fleet.api.admin), "100.00")


async def test_what_a_socket_of_a_gateway_leaves_behind_is_cancelled_where_it_asked_for_that(fleet: Fleet) -> None:
    trader = await fleet.api.new_client(Role.TRADER)
    outside = (await trader.post(ORDERS, RESTS)).json["id"]
    adopted = (await trader.post(ORDERS, RESTS)).json["id"]
    async with await socket(fleet, 1, trader) as reader:
        await reader.send({"action": "order", "id": 0, "order": RESTS})
        before = (await results(reader, 1))[0]["order"]["id"]
        await reader.send({"action": "cancel_on_disconnect", "enabled": True, "orders": [adopted]})
        assert (await reader.receive()) == {"type": "cancel_on_disconnect", "enabled": True}
        await reader.send({"action": "order", "id": 1, "order": RESTS})
        own = (await results(reader, 1))[1]["order"]["id"]

    async def statuses() -> list[str]:
        return [(await trader.get(f"{ORDERS}{one}/")).json["status"] for one in (outside, before, adopted, own)]

    async def gone() -> bool:
        return await statuses() == ["PENDING", "PENDING", "CANCELLED", "CANCELLED"]

    await eventually(gone, what="the cancels")
    forward = fleet.gateways[1].application.forward
    assert forward is not None
    await eventually(lambda: not forward.channels, what="the end of its way to the engine")


async def test_a_socket_without_the_right_to_trade_is_refused_at_the_gateway(fleet: Fleet) -> None:
    forward = fleet.gateways[0].application.forward
    assert forward is not None
    before = dict(forward.counts)
    async with await socket(fleet, 0, fleet.api.viewer) as reader:
        await reader.send({"action": "order", "id": 1, "order": RESTS})
        assert (await results(reader, 1))[1]["code"] == "forbidden"
    assert forward.counts == before
