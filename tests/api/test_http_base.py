"""What every answer has and every request meets, on a small API with the real base and server."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from qsuite.handlers.server import ApiServer
from qsuite.settings import HttpSettings
from tests.support.client import Answer, ApiClient, send_raw
from tests.support.small_api import THING, small_server

LIMITS = HttpSettings(
    cors_origins=("https://console.example",),
    trusted_proxies=("10.0.0.0/8",),
    max_body_bytes=10_000,
    max_bulk_bytes=100_000,
    max_header_bytes=4_000,
)
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
}


@pytest.fixture(scope="module")
def server(io_loop: IOLoop) -> Iterator[ApiServer]:
    context = small_server(LIMITS)
    yield io_loop.run_sync(context.__aenter__)
    io_loop.run_sync(lambda: context.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def trader(server: ApiServer) -> Iterator[ApiClient]:
    client = ApiClient(f"http://127.0.0.1:{server.port}", "trader", on_answer=check_every_answer)
    yield client
    client.close()


def check_every_answer(answer: Answer) -> None:
    """Hold for whatever was asked."""
    assert answer.headers["X-Request-ID"]
    assert "Server" not in answer.headers
    for name, value in SECURITY.items():
        assert answer.headers[name] == value
    if answer.status >= 400:
        assert answer.headers["Content-Type"] == "application/problem+json; charset=utf-8"
        if answer.method != "HEAD":
            problem = answer.json
            assert {"type", "title", "status", "detail", "instance", "code", "request_id"} <= problem.keys()
            assert problem["status"] == answer.status
            assert problem["request_id"] == answer.headers["X-Request-ID"]
            assert problem["instance"] == answer.path.partition("?")[0]


def body_of(raw: bytes) -> Any:
    """Read the problem of a raw answer, which must have the headers every answer has."""
    head, _, body = raw.partition(b"\r\n\r\n")
    assert b"X-Request-ID: " in head
    assert b"X-Content-Type-Options: nosniff" in head
    assert b"application/problem+json" in head
    assert b"\nServer:" not in head
    return json.loads(body)


async def test_a_request_id_is_taken_over_when_plain_and_made_when_not(trader: ApiClient) -> None:
    taken = await trader.get("/things/", headers={"X-Request-ID": "my-id:1.2_3"})
    assert taken.headers["X-Request-ID"] == "my-id:1.2_3"
    for bad in ("two words", "x" * 129, "ü", '"quoted"'):
        made = await trader.get("/things/", headers={"X-Request-ID": bad})
        assert made.headers["X-Request-ID"] not in ("", bad)
    ids = {(await trader.get("/things/")).headers["X-Request-ID"] for _ in range(5)}
    assert len(ids) == 5


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing/here/", 404, "not_found"),
        ("POST", "/nothing/", 404, "not_found"),
        ("GET", "/things/unknown/", 404, "not_found"),
        ("DELETE", "/echo/", 405, "method_not_allowed"),
        ("GET", "/echo", 405, "method_not_allowed"),
        ("TRACE", "/echo/", 405, "method_not_allowed"),
        ("HEAD", "/echo/", 405, ""),
        ("GET", "/fail/conflict/", 409, "thing.there"),
        ("GET", "/fail/unknown/", 503, "outcome-unknown"),
        ("GET", "/fail/unexpected/", 500, "internal"),
        ("GET", "/things/%ff/", 400, "malformed"),
        ("GET", "/things/%zz/", 400, "malformed"),
        ("GET", "/things/a%00b/", 400, "malformed"),
        ("GET", "/things/?name=%ff", 400, "malformed"),
        ("GET", "/things/?%ff=1", 400, "malformed"),
        ("GET", "/things/?name=%", 400, "malformed"),
        ("GET", "/things/?nam=x", 422, "validation"),
        ("GET", "/things/?name=x&name=y", 422, "validation"),
        ("GET", "/who/?name=x", 422, "validation"),
    ],
)
async def test_every_refusal_is_a_problem(trader: ApiClient, method: str, path: str, status: int, code: str) -> None:
    answer = await trader.request(method, path, body=b"" if method == "POST" else None)
    assert answer.status == status, answer
    if method != "HEAD":
        assert answer.code == code
    if status == 405:
        assert answer.headers["Allow"] == "OPTIONS, POST"


async def test_an_unexpected_error_tells_nothing_of_itself(
    trader: ApiClient, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = await trader.get("/fail/unexpected/")
    assert b"swordfish" not in answer.body
    assert b"Traceback" not in answer.body
    captured = capfd.readouterr()
    assert "swordfish" in captured.out + captured.err


async def test_facts_stand_beside_the_members_of_a_problem_and_never_replace_them(trader: ApiClient) -> None:
    conflict = (await trader.get("/fail/conflict/")).json
    assert conflict["value"] == "1.50"
    assert next(iter(conflict)) == "type", "what it is comes before the facts, which may be long"
    unknown = await trader.get("/fail/unknown/")
    assert unknown.json["id"] == "o-1"
    assert unknown.json["status"] == 503
    assert int(unknown.headers["Retry-After"]) >= 1


async def test_a_trailing_slash_is_optional(trader: ApiClient) -> None:
    for path in ("/things", "/things/", f"/things/{THING}", f"/things/{THING}/"):
        assert (await trader.get(path)).status == 200


async def test_no_token_is_401_and_the_wrong_role_403(trader: ApiClient) -> None:
    anonymous, viewer, slow = (trader.as_(token) for token in (None, "viewer", "slow-trader"))
    missing = await anonymous.post("/echo/", {"name": "x"})
    assert missing.status == 401
    assert missing.headers["WWW-Authenticate"].startswith("Bearer")
    assert (await trader.as_("forged").post("/echo/", {"name": "x"})).status == 401
    assert (await viewer.post("/echo/", {"name": "x"})).status == 403
    assert (await slow.post("/echo/", {"name": "x"})).status == 200
    # Nobody learns what a route takes before they may use it.
    assert (await viewer.post("/echo/", body=b"not json")).status == 403


async def test_decimals_and_times_come_back_exactly(trader: ApiClient) -> None:
    sent = {"name": "x", "price": "0.100000000000000001", "at": "2026-01-31T15:30:00.123456789+01:00"}
    answer = await trader.post("/echo/", sent)
    assert answer.json == {
        "name": "x",
        "price": "0.100000000000000001",
        "at": "2026-01-31T14:30:00.123456789Z",
    }
    as_number = await trader.post("/echo/", body=b'{"name": "x", "price": 12345678901234567890.123456789012}')
    assert as_number.json["price"] == "12345678901234567890.123456789012"


async def test_head_answers_as_get_without_the_body(trader: ApiClient) -> None:
    got, head = await trader.get(f"/things/{THING}/"), await trader.request("HEAD", f"/things/{THING}/")
    assert head.status == 200
    assert head.body == b""
    assert head.headers["Content-Length"] == str(len(got.body))
    assert head.headers["ETag"] == got.headers["ETag"]


async def test_a_known_version_is_not_sent_again(trader: ApiClient) -> None:
    first = await trader.get(f"/things/{THING}/")
    tag = first.headers["ETag"]
    for known in (tag, f'"other", W/{tag}', "*"):
        again = await trader.get(f"/things/{THING}/", headers={"If-None-Match": known})
        assert again.status == 304
        assert again.body == b""
        assert again.headers["ETag"] == tag
    assert (await trader.get(f"/things/{THING}/", headers={"If-None-Match": '"other"'})).status == 200


async def test_a_change_against_another_version_is_refused(trader: ApiClient) -> None:
    tag = (await trader.get(f"/things/{THING}/")).headers["ETag"]
    changed = await trader.patch(f"/things/{THING}/", {}, headers={"If-Match": f'"x", {tag}'})
    assert changed.status == 200
    assert changed.json["expected"] == 3
    assert (await trader.patch(f"/things/{THING}/", {})).json["expected"] is None
    for stale in (tag.replace(".3", ".2"), f"W/{tag}", '""'):
        assert (await trader.patch(f"/things/{THING}/", {}, headers={"If-Match": stale})).status == 412
    assert (await trader.patch(f"/things/{THING}/", {}, headers={"If-Match": "3"})).status == 400


async def test_pages_link_to_their_neighbours_with_all_other_parameters(trader: ApiClient) -> None:
    base = trader.base_url
    answer = (await trader.get("/things/?name=a%20b&page=2&page_size=100")).json
    assert answer["count"] == 250
    assert answer["next"] == f"{base}/things/?name=a+b&page=3&page_size=100"
    assert answer["previous"] == f"{base}/things/?name=a+b&page=1&page_size=100"
    last = (await trader.get("/things/?page=3")).json
    assert last["next"] is None
    by_cursor = (await trader.get("/things/?cursor=&name=x")).json
    assert by_cursor["count"] is None
    assert by_cursor["next"] == f"{base}/things/?cursor=%2B&name=x"


async def test_only_the_listed_sites_may_read_answers_across_origins(trader: ApiClient) -> None:
    listed = {"Origin": "https://console.example", "Access-Control-Request-Method": "POST"}
    preflight = await trader.as_(None).request("OPTIONS", "/echo/", headers=listed)
    assert preflight.status == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == "https://console.example"
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    refused = await trader.as_(None).post("/echo/", {}, headers=listed)
    assert refused.status == 401
    assert refused.headers["Access-Control-Allow-Origin"] == "https://console.example"
    for other in ("https://console.example.evil", "https://evil.example", "null", "http://console.example"):
        answer = await trader.get("/things/", headers={"Origin": other})
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert answer.headers["Vary"] == "Origin"
    assert "Access-Control-Allow-Credentials" not in preflight.headers


async def test_a_forwarded_address_is_believed_only_of_a_trusted_proxy(trader: ApiClient, server: ApiServer) -> None:
    forwarded = {"X-Forwarded-For": "203.0.113.9, 10.1.2.3", "X-Forwarded-Proto": "https", "X-Real-IP": "203.0.113.1"}
    assert (await trader.get("/who/", headers=forwarded)).json == {"ip": "127.0.0.1", "scheme": "http"}
    server._proxies.append(server._proxies[0].__class__("127.0.0.1/32"))
    try:
        believed = await trader.get("/who/", headers=forwarded)
        assert believed.json == {"ip": "203.0.113.9", "scheme": "https"}
        # What a client puts in front of the proxies' entries is not looked at.
        spoofed = {"X-Forwarded-For": "1.1.1.1, 198.51.100.4, 10.0.0.1"}
        assert (await trader.get("/who/", headers=spoofed)).json["ip"] == "198.51.100.4"
        assert (await trader.get("/who/", headers={"X-Forwarded-For": "nonsense"})).json["ip"] == "127.0.0.1"
        assert (await trader.get("/who/")).json == {"ip": "127.0.0.1", "scheme": "http"}
    finally:
        server._proxies.pop()


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("APPLICATION/JSON; charset=UTF-8", 200),
        ("application/json; charset=latin-1", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("", 415),
    ],
)
async def test_only_the_declared_body_types_are_read(trader: ApiClient, content_type: str, status: int) -> None:
    answer = await trader.post("/echo/", {"name": "x"}, headers={"Content-Type": content_type})
    assert answer.status == status, answer


async def test_a_route_of_several_body_types_gets_the_bytes(trader: ApiClient) -> None:
    answer = await trader.post("/bulk/", body=b"a,b\n1,2\n", headers={"Content-Type": "text/csv"})
    assert answer.json == {"media": "text/csv", "bytes": 8}
    assert (await trader.post("/bulk/", body=b"x", headers={"Content-Type": "text/html"})).status == 415


async def test_a_compressed_body_is_refused(trader: ApiClient) -> None:
    assert (await trader.post("/echo/", {"name": "x"}, headers={"Content-Encoding": "gzip"})).status == 415


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"GET /things/ HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /things/ HTTP/1.1\r\n\r\n",
        b"GET /things/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /things/ HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        b"GET /things/ HTTP/1.1\r\nHost: x\r\nBad name: 1\r\n\r\n",
        b"GET /things/ HTTP/1.1\r\nHost: x\r\nA: 1\r\n folded\r\n\r\n",
        b"GET /things/ HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n",
        b"POST /echo/ HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /echo/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 2\r\n\r\nx",
        b"POST /echo/ HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /echo/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST /echo/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        b"GET /things/?" + b"a&" * 1_500 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
async def test_what_is_not_http_gets_a_problem_too(server: ApiServer, request_bytes: bytes) -> None:
    raw = await send_raw(server.port, request_bytes)
    assert raw.startswith(b"HTTP/1.1 400 "), raw
    problem = body_of(raw)
    assert problem["code"] == "malformed"
    assert raw.count(b"HTTP/1.1 ") == 1


async def test_the_bounds_of_header_and_body_hold_to_the_byte(trader: ApiClient) -> None:
    padding = LIMITS.max_body_bytes - len(b'{"name": ""}')
    fits = b'{"name": "' + b"x" * padding + b'"}'
    assert len(fits) == LIMITS.max_body_bytes
    assert (await trader.post("/echo/", body=fits)).status == 422  # read, and the name found too long
    refused = await trader.post("/echo/", body=fits + b" ")
    assert (refused.status, refused.code) == (413, "too_large")
    bulk = {"Content-Type": "text/csv"}
    assert (await trader.post("/bulk/", body=b"x" * LIMITS.max_bulk_bytes, headers=bulk)).status == 200
    assert (await trader.post("/bulk/", body=b"x" * (LIMITS.max_bulk_bytes + 1), headers=bulk)).status == 413


async def test_a_body_said_to_be_too_large_is_refused_before_it_is_sent(server: ApiServer) -> None:
    for length in (b"10001", b"9" * 30):
        head = b"POST /echo/ HTTP/1.1\r\nHost: x\r\nX-Request-ID: r-7\r\nExpect: 100-continue\r\nContent-Length: "
        raw = await send_raw(server.port, head + length + b"\r\n\r\n", then_close=True)
        assert raw.startswith(b"HTTP/1.1 413 "), raw
        assert body_of(raw)["request_id"] == "r-7"
        assert b"Connection: close" in raw


async def test_a_chunked_body_is_bounded_too(server: ApiServer) -> None:
    head = b"POST /echo/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    raw = await send_raw(server.port, head + b"1000\r\n" + b"x" * 4096 + b"\r\nffff\r\n" + b"x" * 65_535 + b"\r\n")
    assert raw.startswith(b"HTTP/1.1 413 "), raw
    assert body_of(raw)["code"] == "too_large"


async def test_a_whole_large_body_does_not_keep_the_client_from_reading_the_refusal(server: ApiServer) -> None:
    head = b"POST /echo/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n"
    raw = await send_raw(server.port, head + b"x" * 3_000_000)
    assert raw.startswith(b"HTTP/1.1 413 "), raw[:100]


async def test_a_header_that_is_too_large_is_refused(server: ApiServer) -> None:
    raw = await send_raw(server.port, b"GET /things/ HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 5_000 + b"\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 431 "), raw
    assert body_of(raw)["code"] == "header_too_large"
    flood = await send_raw(server.port, b"GET /things/ HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 50_000)
    assert flood == b""


async def test_requests_sent_at_once_are_answered_in_their_order(server: ApiServer) -> None:
    paths = [b"/things/", b"/nothing/", b"/who/", b"/echo/"]
    raw = await send_raw(
        server.port,
        b"".join(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path for path in paths)
        + b"POST /bulk/ HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nContent-Length: 3\r\n\r\nabc"
        + b"GET /who/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    statuses = [int(part[:3]) for part in raw.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [200, 404, 200, 405, 200, 200]


async def test_http_1_0_is_answered_and_closed_unless_kept_alive(server: ApiServer) -> None:
    closed = await send_raw(server.port, b"GET /who/ HTTP/1.0\r\n\r\n")
    assert b"HTTP/1.1 200 " in closed
    kept = await send_raw(
        server.port, b"GET /who/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /who/ HTTP/1.0\r\n\r\n"
    )
    assert kept.count(b"HTTP/1.1 200 ") == 2
    assert b"Connection: keep-alive" in kept
