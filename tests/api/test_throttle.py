"""Limits as clients meet them: over HTTP and over the stream, at the edges, and with forged addresses."""

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import ANY

from qsuite.cli.replay import Feed
from qsuite.domain.throttling import ThrottleScope, parse_rate
from qsuite.handlers.routes import all_routes
from qsuite.services.throttle import Throttle, Verdict
from qsuite.settings import HttpSettings, Settings, ThrottleSettings
from tests.support.client import Answer, ApiClient, send_raw
from tests.support.running_app import Api
from tests.support.small_api import small_server
from tests.support.stream import ANNA, stream_server

LIMITS = HttpSettings(cors_origins=("https://console.example",))
SECOND = 1_000_000_000


class Clock:
    ns = 0

    def __call__(self) -> int:
        return self.ns


def limited(clock: Clock | None = None, **rates: str) -> Throttle:
    limits = {name: parse_rate(text) for name, text in rates.items()}
    return Throttle(replace(ThrottleSettings(), **limits), clock=clock or Clock())


@asynccontextmanager
async def served(http: HttpSettings = LIMITS, **rates: str) -> AsyncIterator[tuple[ApiClient, Clock]]:
    """Serve the small API with such limits; the client is nobody, the clock stands still unless it is moved."""
    clock = Clock()
    async with small_server(http, throttle=limited(clock, **rates)) as server:
        client = ApiClient(f"http://127.0.0.1:{server.port}")
        yield client, clock
        client.close()


def left(answer: Answer, name: str) -> int:
    found = re.fullmatch(rf'"{name}";r=(\d+);t=\d+', answer.headers["RateLimit"])
    assert found is not None, answer.headers["RateLimit"]
    return int(found[1])


async def test_every_answer_tells_the_truth_whatever_its_status() -> None:
    async with served(user="1000/hour", anonymous="100/hour") as (nobody, _):
        trader, viewer = nobody.as_("trader"), nobody.as_("viewer")
        known = {"If-None-Match": (await trader.get(f"/things/{'0' * 8}-0000-0000-0000-{7:012d}/")).headers["ETag"]}
        thing = "/things/00000000-0000-0000-0000-000000000007/"
        asked: list[tuple[ApiClient, str, str, dict[str, Any], int]] = [
            (trader, "GET", thing, {}, 200), (trader, "GET", thing, {"headers": known}, 304),
            (trader, "HEAD", thing, {}, 200), (trader, "GET", "/things/8/", {}, 404),
            (trader, "POST", "/echo/", {"json": {"name": 1}}, 422), (trader, "POST", "/echo/", {"body": b"{"}, 400),
            (trader, "POST", "/echo/", {"json": {}, "headers": {"Content-Type": "text/plain"}}, 415),
            (trader, "PUT", "/echo/", {"json": {}}, 405), (trader, "GET", "/fail/unexpected/", {}, 500),
            (trader, "GET", "/fail/conflict/", {}, 409), (trader, "GET", "/nowhere/", {}, 404),
            (viewer, "POST", "/echo/", {"json": {}}, 403), (nobody.as_("slow-trader"), "GET", thing, {}, 200),
        ]  # fmt: skip
        for number, (client, method, path, given, status) in enumerate(asked, 2):
            answer = await client.request(method, path, **given)
            assert answer.status == status, answer
            assert answer.headers["RateLimit-Policy"] == '"user";q=1000;w=3600'
            assert left(answer, "user") == 1000 - number
        for number, (token, path, status) in enumerate(
            [(None, thing, 401), ("forged", thing, 401), ("forged", "/things/", 200), (None, "/nowhere/", 404)], 1
        ):
            answer = await nobody.as_(token).get(path)
            assert answer.status == status, answer
            assert answer.headers["RateLimit-Policy"] == '"anonymous";q=100;w=3600'
            assert left(answer, "anonymous") == 100 - number
        preflight = await nobody.request("OPTIONS", "/echo/", headers={"Origin": "https://console.example"})
        assert (preflight.status, left(preflight, "anonymous")) == (204, 96)  # told, not counted
        assert "RateLimit, RateLimit-Policy" in preflight.headers["Access-Control-Expose-Headers"]


async def test_what_cannot_be_read_is_counted_by_address_and_told_so() -> None:
    async with served(replace(LIMITS, max_body_bytes=1_024), anonymous="2/hour") as (nobody, _):
        port = int(nobody.base_url.rpartition(":")[2])
        head = b"POST /echo/ HTTP/1.1\r\nHost: x\r\n"
        unreadable = ((b"nonsense\r\n\r\n", b"400"), (head + b"Content-Length: 9999\r\n\r\n", b"413"))
        for left_after, (request, status) in zip((1, 0), unreadable, strict=True):
            raw = await send_raw(port, request)
            assert raw.startswith(b"HTTP/1.1 " + status)
            assert b'RateLimit-Policy: "anonymous";q=2;w=3600\r\nRateLimit: "anonymous";r=%d;' % left_after in raw
        assert (await nobody.get("/things/")).status == 429


async def test_too_many_are_429_until_the_time_that_is_told_has_passed() -> None:
    async with served(anonymous="2/minute") as (nobody, clock):
        assert [(await nobody.get("/things/")).status for _ in range(2)] == [200, 200]
        clock.ns += 100_000_000
        refused = await nobody.get("/things/")
        assert (refused.status, refused.code) == (429, "throttled")
        assert refused.headers["Retry-After"] == "30"
        assert refused.headers["RateLimit"] == '"anonymous";r=0;t=30'
        assert (refused.json["retry_after_s"], refused.json["limits"]) == (30, ["anonymous"])
        clock.ns += 29 * SECOND
        assert (await nobody.get("/things/")).status == 429
        clock.ns += 1 * SECOND
        assert (await nobody.get("/things/")).status == 200
        assert (await nobody.get("/things/")).status == 429


async def test_of_three_thousand_requests_by_a_hundred_clients_exactly_a_thousand_pass() -> None:
    async with served(user="1000/hour") as (nobody, _):
        # Its token is checked anew each time, so that the requests get in each other's way.
        head = "GET /things/x/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer slow-trader\r\n"
        requests = f"{head}\r\n" * 29 + f"{head}Connection: close\r\n\r\n"
        port = int(nobody.base_url.rpartition(":")[2])
        answers = b"".join(await asyncio.gather(*(send_raw(port, requests.encode()) for _ in range(100))))
        statuses = re.findall(rb"HTTP/1\.1 (\d+) ", answers)
        assert (statuses.count(b"404"), statuses.count(b"429"), len(statuses)) == (1_000, 2_000, 3_000)
        # Each of those that passed was told another number, from the first to the last.
        told = re.findall(rb"HTTP/1\.1 404 .*?\r\nRateLimit: \"\w+\";r=(\d+)", answers, re.DOTALL)
        assert sorted(map(int, told)) == list(range(1_000))


async def test_a_forged_address_is_no_new_one_and_one_told_by_a_proxy_is() -> None:
    async with served(anonymous="1/hour") as (nobody, _):
        forged = [{"X-Forwarded-For": f"198.51.100.{number}", "X-Real-IP": f"10.0.0.{number}"} for number in range(3)]
        assert [(await nobody.get("/things/", headers=each)).status for each in forged] == [200, 429, 429]
    async with served(replace(LIMITS, trusted_proxies=("127.0.0.1",)), anonymous="1/hour") as (nobody, _):
        told = [{"X-Forwarded-For": each} for each in ("198.51.100.1", "198.51.100.2", "203.0.113.9, 198.51.100.1")]
        assert [(await nobody.get("/things/", headers=each)).status for each in told] == [200, 200, 429]
        hosts = [{"X-Forwarded-For": f"2001:db8:0:{net}::{host}"} for net, host in ((1, 1), (1, 2), (2, 1))]
        assert [(await nobody.get("/things/", headers=each)).status for each in hosts] == [200, 429, 200]


async def test_a_flood_of_bad_tokens_is_cut_off_and_keeps_nobody_with_a_good_one_out() -> None:
    async with served(anonymous="3/hour") as (nobody, _):
        bad = [await nobody.as_(f"bad-{number}").get("/things/x/") for number in range(5)]
        assert [answer.status for answer in bad] == [401, 401, 401, 429, 429]
        for good in ("trader", "slow-trader"):
            assert (await nobody.as_(good).get("/things/x/")).status == 404


def test_every_route_is_counted_but_those_that_watch_over_the_server_and_pages_that_never_change() -> None:
    free, scopes = set(), {}
    for route in all_routes():
        for method, declared in route.handler.operations.items():  # type: ignore[attr-defined]
            scopes[method, route.template] = declared.scope
            if declared.scope is ThrottleScope.FREE:
                free.add(route.template)
    assert free == {
        "/", "/console/{name}", "/health/", "/health/live/", "/health/ready/", "/metrics/", "/api/schema/",
        "/api/docs/", "/api/docs/errors/", "/api/docs/assets/{name}", "/api/redoc/", "/api/redoc/{name}",
    }  # fmt: skip
    assert scopes["POST", "/api/v1/orders/"] is scopes["POST", "/api/v1/orders/bulk/"] is ThrottleScope.ORDERS
    assert scopes["POST", "/api/v1/ticks/"] is ThrottleScope.MARKET_DATA
    assert scopes["POST", "/api/auth/login/"] is ThrottleScope.AUTH
    assert scopes["POST", "/api/v1/backtests/"] is ThrottleScope.ANALYTICS
    # Whatever ends risk never waits behind what makes it.
    for route in ("orders/{id}/cancel/", "orders/cancel_all/", "risk/kill-switch/"):
        assert scopes["POST", f"/api/v1/{route}"] is ThrottleScope.CANCELS


async def test_a_replay_waits_as_long_as_the_server_says() -> None:
    clock = itertools.count(0, 600_000_000)  # what is refused at first passes when it comes again
    throttle = Throttle(replace(ThrottleSettings(), user=parse_rate("1/second")), clock=lambda: next(clock))

    async def token() -> str:
        return "trader"

    async with small_server(LIMITS, throttle=throttle) as server:
        feed = Feed(f"http://127.0.0.1:{server.port}", token)
        assert [await feed._send("GET", "/things/x/") for _ in range(2)] == [(404, ANY)] * 2
        feed.close()
    assert throttle.refused["user"] == 1


# -- over the stream ----------------------------------------------------------------------------------------------


def order(number: int) -> dict[str, Any]:
    asked = {"symbol": "AAPL", "side": "BUY", "order_type": "MARKET", "quantity": "10"}
    return {"action": "order", "id": number, "order": asked}


def tokens_left(throttle: Throttle, who: Any, scope: ThrottleScope = ThrottleScope.DEFAULT) -> int:
    told = throttle.take(scope, who, 0)
    assert isinstance(told, Verdict)
    found = re.search(r";r=(\d+)", told.fields)
    assert found is not None
    return int(found[1])


async def test_orders_over_a_socket_take_of_the_bucket_that_orders_over_http_do(settings: Settings) -> None:
    throttle = limited(orders="3/hour")
    async with stream_server(settings, throttle=throttle, max_bad_messages=3) as server:
        server.trading.go.set()
        throttle.take(ThrottleScope.ORDERS, ANNA)  # one over HTTP
        async with await server.client("anna") as client, await server.client("anna") as other:
            assert (await client.ask(order(1)))["type"] == "result"
            assert (await other.ask(order(2)))["type"] == "result"
            for number in range(10):  # told, and not counted against the socket as bad messages are
                refused = await client.ask(order(number))
                assert (refused["type"], refused["code"], refused["id"]) == ("error", "throttled", number)
                assert (refused["retry_after_s"], refused["limits"]) == (1200, ["orders"])
            assert (await client.ask({"action": "cancel", "id": 3, "order_id": "nonsense"}))["code"] != "throttled"
            assert len(server.trading.asked) == 2
            wrong = await client.ask({"action": "order", "id": 4, "order": {"symbol": 1}})
            assert wrong["code"] == "throttled"


async def test_tokens_tried_and_subscriptions_made_on_sockets_count_as_requests(settings: Settings) -> None:
    throttle = limited(anonymous="4/hour", user="3/hour")
    async with stream_server(settings, throttle=throttle) as server, await server.client() as client:
        assert tokens_left(throttle, "127.0.0.1") == 3  # the handshake
        for code in ("unauthenticated",) * 3 + ("throttled",) * 2:
            assert (await client.ask({"action": "auth", "id": 1, "token": "forged"}))["code"] == code
        assert (await client.ask({"action": "auth", "id": 2, "token": "anna"}))["type"] == "authenticated"
        assert tokens_left(throttle, ANNA) == 2
        for number, expected in enumerate(("subscribed", "subscribed", "error")):
            asked = {"action": "subscribe", "id": number, "channels": [f"trades:{number}"]}
            await client.send(asked)
            answers = await client.receive_until(lambda answer: answer["type"] in ("subscribed", "error"))
            assert answers[-1]["type"] == expected
        assert answers[-1]["code"] == "throttled"
        assert (await client.ask({"action": "ping", "id": 9}))["type"] == "pong"


async def test_opening_sockets_counts_too(settings: Settings) -> None:
    throttle = limited(anonymous="1/hour", user="1/hour")
    request = b"GET /ws/v1/stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    async with stream_server(settings, throttle=throttle) as server, await server.client():
        async with await server.client("anna"):
            raw = await send_raw(server.port, request)
        assert raw.startswith(b"HTTP/1.1 429 ")
        assert b'RateLimit: "anonymous";r=0;t=3600\r\n' in raw


# -- the whole application ------------------------------------------------------------------------------------------


@contextmanager
def limits_of(api: Api, throttle: Throttle) -> Iterator[None]:
    """Put other limits in the place of those out of reach."""
    usual, api.services.throttle = api.services.throttle, throttle
    try:
        yield
    finally:
        api.services.throttle = usual


def place(number: int, symbol: str = "NONE") -> dict[str, Any]:
    return {"symbol": symbol, "side": "BUY", "order_type": "MARKET", "quantity": "1", "client_order_id": f"t-{number}"}


async def test_each_order_of_a_bulk_is_counted_before_one_is_placed(api: Api) -> None:
    trader = await api.new_client("trader")
    with limits_of(api, limited(orders="5/hour", user="9/hour")):
        bulk = "/api/v1/orders/bulk/"
        first = await trader.post(bulk, {"orders": [place(number) for number in range(3)]})
        assert (first.status, left(first, "orders")) == (200, 2)
        refused = await trader.post(bulk, {"orders": [place(number) for number in range(3, 6)]})
        assert (refused.status, refused.code, left(refused, "orders")) == (429, "throttled", 2)
        assert refused.headers["Retry-After"] == "720"
        never = await trader.post(bulk, {"orders": [place(number) for number in range(3, 9)]})
        assert (never.status, never.code, left(never, "orders")) == (422, "throttle.too_many_at_once", 2)
        # What one order takes is the same, and cancels and readings go on.
        assert [(await trader.post("/api/v1/orders/", place(7))).status for _ in range(3)] == [422, 422, 429]
        assert (await trader.post(bulk, {"orders": [place(8)]})).status == 429
        listed = await trader.get("/api/v1/orders/")
        assert (listed.status, left(listed, "user")) == (200, 8)
        assert (await trader.post("/api/v1/orders/cancel_all/", {})).status == 200


async def test_a_key_tells_both_of_its_limits_and_passwords_are_tried_by_address(api: Api) -> None:
    trader = await api.new_client("trader")
    made = await trader.post("/api/auth/api-keys/", {"name": "bot"})
    with limits_of(api, limited(user="9/hour", key="2/hour", auth="2/hour")):
        bot = trader.as_(made.json["key"])
        told = await bot.get("/api/v1/orders/")
        assert told.headers["RateLimit-Policy"] == '"user";q=9;w=3600, "key";q=2;w=3600'
        assert told.headers["RateLimit"] == '"user";r=8;t=400, "key";r=1;t=1800'
        assert [(await bot.get("/api/v1/orders/")).status for _ in range(2)] == [200, 429]
        assert (await trader.get("/api/v1/orders/")).status == 200
        tries = [await trader.post("/api/auth/login/", {"username": "x", "password": str(n)}) for n in range(3)]
        assert [answer.status for answer in tries] == [401, 401, 429]
        assert (await api.anonymous.get("/health/live")).headers.get("RateLimit") is None


async def test_figures_say_whom_the_limits_kept_out(api: Api) -> None:
    shown = (await api.anonymous.get("/metrics")).body.decode()
    assert 'qsuite_throttle_refused{limit="user"} 0.0' in shown
    assert "qsuite_throttle_buckets " in shown
