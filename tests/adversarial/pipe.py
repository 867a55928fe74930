"""Kept-alive connections that send any bytes and read answers with next to no work: a request costs the server's time.

Nothing is checked or escaped on the way out. Many requests go side by side, one a connection at a time.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

AT_ONCE = 16
PATIENCE_S = 120.0


class Reply(NamedTuple):
    """What came back; ``body`` is empty where it has no known length, and the connection is dropped then."""

    status: int
    head: bytes
    body: bytes

    @property
    def json(self) -> Any:
        """Return the body, None where it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"{self.status} {self.body[:300]!r}"


class Pipe:
    """One connection, opened when it is needed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, target: str, headers: bytes = b"", body: bytes | None = None) -> Reply:
        """Send one request, header lines as they are, and return its answer."""
        length = b"" if body is None else b"Content-Length: %d\r\n" % len(body)
        first = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n".encode("utf-8", "surrogateescape")
        return await self.send(b"%b%b%b\r\n%b" % (first, headers, length, body or b""), bodiless=method == "HEAD")

    async def send(self, request: bytes, *, bodiless: bool = False) -> Reply:
        """Send bytes and read one answer."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                return await self._exchange(request, bodiless)
            except (ConnectionError, asyncio.IncompleteReadError):
                self.close()
                raise

    async def _exchange(self, request: bytes, bodiless: bool) -> Reply:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=1_048_576)
        reader, writer = self._streams
        writer.write(request)
        if len(request) > 65_536:
            await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        length = _length(head)
        body = b"" if bodiless or not length else await reader.readexactly(length)
        if b"\r\nConnection: close\r\n" in head or (length is None and status not in (204, 304)):
            self.close()
        return Reply(status, head, body)

    def close(self) -> None:
        """Hang up; the next request opens another connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def _length(head: bytes) -> int | None:
    _, found, rest = head.partition(b"\r\nContent-Length: ")
    return int(rest[: rest.index(b"\r")]) if found else None


async def side_by_side(port: int, work: Iterable[T], do: Callable[[Pipe, T], Awaitable[None]]) -> None:
    """Do each piece of work on one of some connections."""
    pieces = iter(work)

    async def one() -> None:
        pipe = Pipe(port)
        try:
            for piece in pieces:
                await do(pipe, piece)
        finally:
            pipe.close()

    await asyncio.gather(*[one() for _ in range(AT_ONCE)])
