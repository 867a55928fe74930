"""API keys kept to less than their role: what each scope opens, that nothing else is open, and from where."""

import asyncio
from contextlib import nullcontext
from typing import Any

import pytest

from qsuite.domain.errors import Forbidden
from qsuite.domain.roles import Role
from qsuite.domain.scopes import KeyLimits, Scope, parse_network
from tests.support.client import ApiClient
from tests.support.running_app import Api
from tests.support.waiting import eventually
from tests.support.ws import Refused, WsClient

ID = "01920000-0000-7000-8000-000000000001"
# By hand, from what the scopes promise; each line is tried with a key of that scope and with keys of all others.
OPENS = """
market:read       trader GET /api/v1/tickers/
market:read       trader GET /api/v1/market-data/
market:read       trader GET /api/v1/ticks/
market:read       trader GET /api/v1/bars/
market:read       trader GET /api/v1/data-sources/
market:read       trader GET /api/v1/tickers/X/depth/
market:write      admin  POST /api/v1/tickers/
market:write      admin  DELETE /api/v1/market-data/{id}/
market:write      admin  POST /api/v1/ticks/
trading:read      trader GET /api/v1/orders/
trading:read      trader GET /api/v1/executions/
trading:read      trader GET /api/v1/positions/
trading:read      trader GET /api/v1/account/
trading:read      trader GET /api/v1/accounts/
trading:read      trader GET /api/v1/strategies/
trading:read      trader GET /api/v1/risk/limits/
orders:write      trader POST /api/v1/orders/
orders:write      trader POST /api/v1/orders/bulk/
orders:write      trader POST /api/v1/orders/cancel_all/
orders:write      trader DELETE /api/v1/orders/{id}/
orders:write      trader DELETE /api/v1/positions/X/
strategies:write  trader POST /api/v1/strategies/
strategies:write  trader POST /api/v1/strategies/{id}/run/
risk:write        admin  PUT /api/v1/risk/limits/
risk:write        admin  POST /api/v1/risk/kill-switch/
analytics         trader GET /api/v1/signals/
analytics         trader POST /api/v1/backtests/
analytics         trader GET /api/v1/jobs/
analytics         trader POST /api/v1/sentiment/
analytics         trader GET /api/v1/models/
admin             admin  GET /api/v1/users/
admin             admin  PATCH /api/v1/users/{id}/
admin             admin  POST /api/v1/accounts/
system:read       trader GET /api/v1/system-metrics/
"""
LINES = [line.split() for line in OPENS.strip().splitlines()]


async def key_of(client: ApiClient, **asked: Any) -> ApiClient:
    made = await client.post("/api/auth/api-keys/", {"name": "robot", **asked})
    assert made.status == 201, made
    robot = client.as_(made.json["key"])
    robot.user = made.json
    return robot


async def test_each_scope_opens_what_it_names_and_is_refused_by_everything_else(api: Api) -> None:
    owners = {name: await api.new_client(Role(name)) for name in ("trader", "admin")}
    robots = {
        (name, scope): await key_of(owner, scopes=[scope.value]) for name, owner in owners.items() for scope in Scope
    }
    tried = 0
    for named, role, method, path in LINES:
        for scope in Scope:
            body = None if method in ("GET", "DELETE") else {}
            robot = robots[role, scope]
            answer = await robot.request(method, path.replace("{id}", ID), json=body)
            refused = answer.status == 403 and answer.code == "scope"
            assert refused == (scope != named), f"{scope}: {answer}"
            assert refused or answer.status not in (401, 403), answer
            tried += 1
    assert tried == len(LINES) * len(Scope)


async def test_a_key_without_scopes_does_all_of_its_role_and_one_with_two_does_both(api: Api) -> None:
    trader = await api.new_client("trader")
    whole, both = await key_of(trader), await key_of(trader, scopes=["orders:write", "trading:read", "orders:write"])
    assert (whole.user["scopes"], both.user["scopes"]) == (None, ["orders:write", "trading:read"])
    for robot in (whole, both):
        assert (await robot.get("/api/v1/orders/")).status == 200
        assert (await robot.post("/api/v1/orders/cancel_all/", {})).status == 200
    assert (await whole.get("/api/v1/tickers/")).status == 200
    refused = await both.get("/api/v1/tickers/")
    assert (refused.status, refused.code) == (403, "scope")
    assert "market:read" in refused.json["detail"]


async def test_a_scope_never_gives_what_the_role_does_not(api: Api) -> None:
    robot = await key_of(await api.new_client("trader"), role="viewer", scopes=["orders:write", "admin", "market:read"])
    assert (await robot.post("/api/v1/orders/", {})).code == "forbidden"
    assert (await robot.get("/api/v1/users/")).code == "forbidden"
    assert (await robot.get("/api/v1/tickers/")).status == 200


async def test_any_key_may_ask_who_it_is_and_none_may_do_what_takes_a_login(api: Api) -> None:
    robot = await key_of(await api.new_client("trader"), scopes=["reports:read"])
    assert (await robot.get("/api/auth/me/")).json["role"] == "trader"
    for method, path in (
        ("GET", "/api/auth/api-keys/"),
        ("POST", "/api/auth/logout/"),
        ("POST", "/api/auth/password/"),
    ):
        answer = await robot.request(method, path, json=None if method == "GET" else {})
        assert (answer.status, answer.code) == (403, "scope"), answer
    assert (await robot.request("HEAD", "/api/v1/tickers/")).status == 403


async def test_over_the_websocket_scopes_hold_for_every_action_and_channel(api: Api) -> None:
    trader = await api.new_client("trader")
    reader = await key_of(trader, scopes=["trading:read"])
    await api.services.reference.ensure_ticker("SCOPED", {"name": "Scoped"})
    order = {"symbol": "SCOPED", "side": "BUY", "order_type": "LIMIT", "price": "1", "quantity": "1"}
    async with await WsClient.open(api.port, token=reader.token) as client:
        await client.receive_type("authenticated")
        for message in (
            {"action": "order", "order": order},
            {"action": "cancel", "order_id": ID},
            {"action": "replace", "order_id": ID, "changes": {}},
            {"action": "cancel_on_disconnect"},
        ):
            answer = await client.ask({**message, "id": 1})
            assert (answer["type"], answer["code"]) == ("error", "scope"), answer
        await client.send({"action": "subscribe", "channels": ["orders", "trades:SCOPED", "signals:SCOPED", "jobs"]})
        told = [await client.receive() for _ in range(5)]
        assert {each["channel"] for each in told if each["type"] == "error" and each["code"] == "scope"} == {
            "trades:SCOPED",
            "signals:SCOPED",
            "jobs",
        }
        assert [each["channels"] for each in told if each["type"] == "subscribed"] == [["orders"]]
        # Another key of the same user does not widen what this socket may do.
        answer = await client.ask({"action": "auth", "token": trader.token, "id": 2})
        assert (answer["type"], answer["code"]) == ("error", "forbidden")
    ticks = await key_of(await api.new_client("admin"), scopes=["market:read"])
    async with await WsClient.open(api.port, token=ticks.token) as client:
        await client.receive_type("authenticated")
        answer = await client.ask({"action": "ticks", "ticks": [], "id": 1})
        assert (answer["type"], answer["code"]) == ("error", "scope")


async def test_server_sent_events_are_kept_to_the_scopes_as_well(api: Api) -> None:
    robot = await key_of(await api.new_client("trader"), scopes=["admin"])

    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(
        b"GET /api/v1/stream/?channels=orders HTTP/1.1\r\nHost: x\r\n"
        b"Authorization: Bearer %b\r\n\r\n" % str(robot.token).encode()
    )
    seen = await asyncio.wait_for(reader.readuntil(b'"code":"scope"'), 10)
    assert b" 200 " in seen.splitlines()[0]
    writer.close()


async def test_a_key_is_let_in_from_its_networks_alone(api: Api) -> None:
    trader = await api.new_client("trader")
    here = await key_of(trader, networks=["198.51.100.0/24", "127.0.0.0/8"])
    away = await key_of(trader, networks=["198.51.100.0/24", "2001:db8::/32"])
    assert here.user["networks"] == ["198.51.100.0/24", "127.0.0.0/8"]
    for _ in range(2):  # the second time from memory
        assert (await here.get("/api/v1/orders/")).status == 200
        answer = await away.get("/api/v1/orders/")
        assert (answer.status, answer.code) == (403, "address")
    assert (await away.get("/api/v1/orders/", headers={"X-Forwarded-For": "198.51.100.1"})).status == 403
    with pytest.raises(Refused) as refused:
        await WsClient.open(api.port, token=away.token)
    assert refused.value.problem["code"] == "address"
    async with await WsClient.open(api.port) as client:
        answer = await client.ask({"action": "auth", "token": away.token, "id": 1})
        assert answer["code"] == "address"


@pytest.mark.parametrize(
    ("network", "address", "inside"),
    [
        ("203.0.113.7", "203.0.113.7", True),
        ("203.0.113.7", "203.0.113.8", False),
        ("203.0.113.0/24", "203.0.113.255", True),
        ("203.0.113.0/24", "::ffff:203.0.113.9", True),
        ("203.0.113.0/24", "::1", False),
        ("2001:db8::/32", "2001:db8:1::1", True),
        ("fe80::/10", "fe80::1%eth0", True),
        ("0.0.0.0/0", "", False),
        ("0.0.0.0/0", "somewhere", False),
    ],
)
def test_an_address_is_inside_a_network_or_not(network: str, address: str, inside: bool) -> None:
    limits = KeyLimits(networks=(parse_network(network),))
    with nullcontext() if inside else pytest.raises(Forbidden):
        limits.require_address(address)


@pytest.mark.parametrize(
    "asked",
    [
        {"scopes": []},
        {"scopes": ["everything"]},
        {"scopes": ["*"]},
        {"scopes": "market:read"},
        {"scopes": [{"$ne": None}]},
        {"networks": ["203.0.113.7/24"]},
        {"networks": ["nowhere"]},
        {"networks": ["١٢٧.0.0.1"]},
        {"networks": [2130706433]},
        {"networks": None},
        {"networks": ["203.0.113.7"] * 33},
    ],
)
async def test_scopes_and_networks_that_make_no_sense_are_422(api: Api, asked: dict[str, Any]) -> None:
    answer = await api.trader.post("/api/auth/api-keys/", {"name": "robot", **asked})
    assert (answer.status, answer.code) == (422, "validation"), answer


async def test_a_list_of_keys_tells_their_limits_and_when_each_was_last_used(api: Api) -> None:
    trader = await api.new_client("trader")
    used, unused = await key_of(trader, name="used", scopes=["analytics"]), await key_of(trader, name="unused")
    assert used.user["last_used_at"] is None
    assert (await used.get("/api/v1/jobs/")).status == 200

    async def shown() -> dict[str, Any]:
        listed = (await trader.get("/api/auth/api-keys/")).json["results"]
        return {each["name"]: each for each in listed}

    async def noted() -> bool:
        return (await shown())["used"]["last_used_at"] is not None

    await eventually(noted)
    found = await shown()
    assert found["unused"] == {name: value for name, value in unused.user.items() if name != "key"}
    assert (found["used"]["scopes"], found["used"]["networks"]) == (["analytics"], [])
    assert found["used"]["last_used_at"] >= found["used"]["created_at"]


async def test_a_refusal_by_scope_closes_no_socket_and_a_revoked_key_does(api: Api) -> None:
    trader = await api.new_client("trader")
    robot = await key_of(trader, scopes=["market:read"])
    async with await WsClient.open(api.port, token=robot.token) as client:
        await client.receive_type("authenticated")
        assert (await client.ask({"action": "cancel", "order_id": ID, "id": 1}))["code"] == "scope"
        assert (await client.ask({"action": "ping", "id": 2}))["type"] == "pong"
        assert (await trader.delete(f"/api/auth/api-keys/{robot.user['id']}/")).status == 204
        assert (await client.closed()).code == 1008
