"""A client of the HTTP API for tests: JSON in, an ``Answer`` out, every answer looked at on its way.

``on_answer`` is called with each answer; the suite's client checks there that it fits its declared schema.
"""

import asyncio
import json as jsonlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tornado.httpclient import HTTPRequest
from tornado.httputil import HTTPHeaders
from tornado.simple_httpclient import SimpleAsyncHTTPClient

TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Answer:
    """What came back."""

    method: str
    path: str
    status: int
    headers: HTTPHeaders
    body: bytes

    @property
    def json(self) -> Any:
        """Return the body, which must be JSON."""
        return jsonlib.loads(self.body)

    @property
    def code(self) -> str:
        """Return the problem's code."""
        assert self.headers["Content-Type"].startswith("application/problem+json"), self
        return str(self.json["code"])

    def __str__(self) -> str:
        return f"{self.method} {self.path} -> {self.status} {self.body[:2000].decode('utf-8', 'replace')}"


class ApiClient:
    """Speak to a server; with a token, as that user. ``as_(token)`` makes another one of the same server."""

    def __init__(
        self, base_url: str, token: str | None = None, *, on_answer: Callable[[Answer], None] | None = None
    ) -> None:
        self.base_url = base_url
        self.token = token
        self.on_answer = on_answer
        self.user: dict[str, Any] = {}
        """What the suite knows of the user: username, password, id, role."""
        self._http = SimpleAsyncHTTPClient(force_instance=True, max_clients=100, max_body_size=1 << 28)

    def as_(self, token: str | None) -> "ApiClient":
        """Return a client with another token, or with none."""
        return ApiClient(self.base_url, token, on_answer=self.on_answer)

    def close(self) -> None:
        """Let go of the client's resources."""
        self._http.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        body: bytes | None = None,
        query: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send a request, with ``json`` or raw bytes as its body, and return whatever the answer is."""
        sent = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        if json is not None:
            body = jsonlib.dumps(json).encode()
        if body is not None:
            sent["Content-Type"] = "application/json"
        sent.update(headers or {})
        url = path if path.startswith("http") else self.base_url + path
        if query:
            url += "?" + urlencode(query)
        request = HTTPRequest(
            url,
            method,
            headers=sent,
            body=body,
            allow_nonstandard_methods=True,
            follow_redirects=False,
            request_timeout=TIMEOUT_S,
            decompress_response=False,
        )
        response = await self._http.fetch(request, raise_error=False)
        assert response.code != 599, f"{method} {path}: no answer ({response.error})"
        answer = Answer(method, url.removeprefix(self.base_url), response.code, response.headers, response.body or b"")
        if self.on_answer is not None:
            self.on_answer(answer)
        return answer

    async def get(self, path: str, **kwargs: Any) -> Answer:
        """GET."""
        return await self.request("GET", path, **kwargs)

    async def post(self, path: str, json: Any = None, **kwargs: Any) -> Answer:
        """POST, with an empty object for want of another body."""
        if json is None and "body" not in kwargs:
            json = {}
        return await self.request("POST", path, json=json, **kwargs)

    async def put(self, path: str, json: Any = None, **kwargs: Any) -> Answer:
        """PUT."""
        return await self.request("PUT", path, json=json, **kwargs)

    async def patch(self, path: str, json: Any = None, **kwargs: Any) -> Answer:
        """PATCH."""
        return await self.request("PATCH", path, json=json, **kwargs)

    async def delete(self, path: str, **kwargs: Any) -> Answer:
        """DELETE."""
        return await self.request("DELETE", path, **kwargs)


async def send_raw(port: int, data: bytes, *, then_close: bool = False) -> bytes:
    """Send bytes as they are and return everything that comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        if then_close:
            writer.write_eof()
        return await asyncio.wait_for(reader.read(), TIMEOUT_S)
    finally:
        writer.close()
