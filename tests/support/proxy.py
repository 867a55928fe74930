"""A TCP proxy that loses replies: it passes a request on, reads the whole answer, and cuts the line to whoever asked.

    client ──request──> proxy ──request──> server
    client <──half, or nothing, and the line is cut── proxy <──the whole answer── server

What was lost is kept, so that a test can hold the answer to a retry against it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from ops.stack.lines import CHUNK, Line, Lines, copying

Whole = Callable[[bytes], bool]


class Proxy(Lines):
    """Pass bytes on; ``lose`` the next answer."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._share: float | None = None
        self._whole: Whole = whole_http
        self._lost: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def lose(self, share: float, whole: "Whole | None" = None) -> "asyncio.Future[bytes]":
        """Cut the next answer after ``share`` of its first bytes, 0 for all of it; return what it will have been.

        ``whole`` says when an answer is complete, by default an HTTP one.
        """
        self._share, self._whole = share, whole or whole_http
        self._lost = asyncio.get_running_loop().create_future()
        return self._lost

    async def between(self, client: Line, server: Line) -> None:
        async with copying(client, server):
            while data := await server.reader.read(CHUNK):
                if self._share is not None:
                    await self._lose(data, client, server)
                    return
                client.writer.write(data)
                await client.writer.drain()

    async def _lose(self, data: bytes, client: Line, server: Line) -> None:
        assert self._share is not None
        share, self._share = self._share, None
        client.writer.write(data[: int(len(data) * share)])
        client.writer.close()  # what the server goes on to say is read all the same
        while not self._whole(data):
            data += await server.reader.read(CHUNK)
        self._lost.set_result(data)


def whole_http(answer: bytes) -> bool:
    """Say whether an HTTP answer is complete."""
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        return False
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return len(body) >= int(length.split(b":")[1])


def whole_frame(answer: bytes) -> bool:
    """Say whether a WebSocket frame from a server is complete."""
    if len(answer) < 2:
        return False
    length, start = answer[1] & 0x7F, 2
    if length >= 126:
        start = 4 if length == 126 else 10
        length = int.from_bytes(answer[2:start], "big")
    return len(answer) >= start + length


@asynccontextmanager
async def proxy_to(port: int) -> AsyncIterator[Proxy]:
    """Listen on a free port and pass everything on to ``port``."""
    proxy = Proxy(port)
    async with proxy.listening():
        yield proxy
