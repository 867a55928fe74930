"""The headers of every answer, whoever made it: a handler, a stream of pieces, a refused upgrade, or none at all."""

import asyncio
import json
import uuid
from dataclasses import replace
from typing import Any

import pytest

from qsuite.settings import Settings, load_settings
from tests.support.running_app import PASSWORD, Api

ALWAYS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=31536000; includeSubDomains",
}
HERE = "https://desk.example"
CACHED = {
    "/api/docs/assets/swagger-ui.css": "public, max-age=86400",
    "/console/main.js": "no-cache",
    "/api/auth/jwks/": "public, max-age=30",
}


@pytest.fixture(scope="session")
def settings() -> Settings:
    """Return those of the suite, with what production adds to each answer."""
    found = load_settings({"QSUITE_PROFILE": "test"}, dotenv=None)
    return replace(found, http=replace(found.http, hsts=True, cors_origins=(HERE,), max_header_bytes=8_192))


async def ask(api: Api, request: bytes) -> tuple[int, dict[str, list[str]]]:
    """Send bytes; return the status and the headers of what comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(request)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    writer.close()
    await writer.wait_closed()
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    headers: dict[str, list[str]] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        headers.setdefault(name.lower(), []).append(value)
    return int(first.split()[1]), headers


def plain(method: str, path: str, *more: str, body: bytes = b"", token: str | None = None) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: qsuite.example", *more]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


UPGRADE = (
    "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + "A" * 22 + "==",
)  # fmt: skip
STREAM = "/ws/v1/stream"


def kinds(api: Api) -> dict[str, tuple[int, bytes]]:
    trader, key = api.trader.token, str(uuid.uuid4())
    order = json.dumps({"symbol": "NONE", "side": "BUY"}).encode()
    wrong = json.dumps({"username": "nobody", "password": PASSWORD}).encode()
    return {
        "page": (200, plain("GET", "/")),
        "script": (200, plain("GET", "/console/main.js")),
        "no such script": (404, plain("GET", "/console/other.js")),
        "docs": (200, plain("GET", "/api/docs/")),
        "redoc": (200, plain("GET", "/api/redoc/")),
        "asset": (200, plain("GET", "/api/docs/assets/swagger-ui.css")),
        "errors": (200, plain("GET", "/api/docs/errors/")),
        "schema": (200, plain("GET", "/api/schema/")),
        "keys": (200, plain("GET", "/api/auth/jwks/")),
        "health": (200, plain("GET", "/health")),
        "live": (200, plain("GET", "/health/live")),
        "metrics": (200, plain("GET", "/metrics")),
        "list": (200, plain("GET", "/api/v1/orders/", token=trader)),
        "rows": (200, plain("GET", "/api/v1/executions/", "Accept: text/csv", token=trader)),
        "events": (200, plain("GET", "/api/v1/stream/?channels=orders", "Accept: text/event-stream", token=trader)),
        "head": (200, plain("HEAD", "/health/live")),
        "preflight": (204, plain("OPTIONS", "/api/v1/orders/", f"Origin: {HERE}")),
        "no token": (401, plain("GET", "/api/v1/orders/")),
        "wrong password": (401, plain("POST", "/api/auth/login/", body=wrong)),
        "wrong role": (403, plain("GET", "/api/v1/users/", token=trader)),
        "no page": (404, plain("GET", "/nowhere")),
        "no object": (404, plain("GET", f"/api/v1/orders/{key}/", token=trader)),
        "no method": (405, plain("DELETE", "/api/auth/me/", token=trader)),
        "odd method": (405, plain("TRACE", "/api/v1/orders/")),
        "bad json": (400, plain("POST", "/api/v1/orders/", body=b"{", token=trader)),
        "bad fields": (422, plain("POST", "/api/v1/orders/", body=order, token=trader)),
        "bad type": (
            415,
            plain("POST", "/api/v1/orders/", "Content-Type: text/xml", "Content-Length: 0", token=trader),
        ),
        "bad address": (400, plain("GET", "/api/v1/orders/%ff/", token=trader)),
        "long body": (413, plain("POST", "/api/v1/orders/", "Content-Length: 999999999", token=trader)),
        "long header": (431, plain("GET", "/health", "X: " + "y" * 9_000)),
        "no HTTP": (400, b"what is this\r\n\r\n"),
        "bad header": (400, plain("GET", "/health", "no colon")),
        "no upgrade": (426, plain("GET", STREAM)),
        "bad upgrade": (400, plain("GET", STREAM, *UPGRADE[:3], "Sec-WebSocket-Key: short")),
        "foreign upgrade": (403, plain("GET", STREAM, *UPGRADE, "Origin: https://evil.example")),
        "unproven upgrade": (401, plain("GET", STREAM, *UPGRADE, token="a.b.c")),
        "upgrade": (101, plain("GET", STREAM, *UPGRADE)),
    }


def check(kind: str, path: str, headers: dict[str, list[str]]) -> None:
    for name, value in ALWAYS.items():
        assert headers.get(name) == [value], (kind, name, headers.get(name))
    assert headers.get("cache-control") == [CACHED.get(path, "no-store")], (kind, headers.get("cache-control"))
    [policy] = headers["content-security-policy"]
    assert "default-src 'none'" in policy, kind
    assert "frame-ancestors 'none'" in policy, kind
    assert "unsafe-eval" not in policy, kind
    assert len(headers["x-request-id"]) == 1, kind
    assert not {"server", "x-powered-by"} & set(headers), kind


async def test_every_answer_has_the_headers_of_every_answer(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await api.services.reference.ensure_ticker("HEAD", {"name": "HEAD"})

    async def fail(*args: Any) -> None:
        raise RuntimeError("a fault of ours")

    asked = kinds(api)
    for kind, (status, request) in asked.items():
        got, headers = await ask(api, request)
        assert got == status, kind
        check(kind, request.split(b" ")[1].decode().partition("?")[0], headers)
    monkeypatch.setattr(api.services.users, "get", fail)
    got, headers = await ask(api, plain("GET", "/api/auth/me/", token=api.viewer.token))
    assert got == 500
    check("fault", "/api/auth/me/", headers)
    monkeypatch.setattr(api.app.server, "has_room", lambda request: False)
    got, headers = await ask(api, plain("GET", "/api/auth/me/"))
    assert got == 503
    check("no room", "/api/auth/me/", headers)


async def test_only_a_configured_origin_may_read_answers_and_only_exactly(api: Api) -> None:
    for origin, allowed in {
        HERE: True,
        "https://desk.example.evil.example": False,
        "https://desk.example:443": False,
        "http://desk.example": False,
        "https://DESK.example": False,
        "null": False,
        "*": False,
    }.items():
        for method, path in (("GET", "/health"), ("OPTIONS", "/api/v1/orders/"), ("GET", "/nowhere")):
            _, headers = await ask(api, plain(method, path, f"Origin: {origin}"))
            assert headers.get("access-control-allow-origin") == ([HERE] if allowed else None), (origin, path)
            assert "Origin" in ",".join(headers["vary"])
            assert "access-control-allow-credentials" not in headers
