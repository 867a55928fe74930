"""A TCP proxy that loses replies: it passes a request on, reads the whole answer, and cuts the line to whoever asked.

    client ──request──> proxy ──request──> server
    client <──half, or nothing, and the line is cut── proxy <──the whole answer── server

What was lost is kept, so that a test can hold the answer to a retry against it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

CHUNK = 65_536
Whole = Callable[[bytes], bool]


class Line(NamedTuple):
    """A connection to one of the two that the proxy is between."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Lines:
    """The connections of a proxy: each client gets one of its own to the server, and all of them can be cut."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._open: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}
        self.port = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = [writer]
        try:
            server = Line(*await asyncio.open_connection("127.0.0.1", self._to))
            self._open[task].append(server.writer)
            with suppress(OSError, asyncio.IncompleteReadError):  # either side is gone
                await self.between(Line(reader, writer), server)
        finally:
            for one in self._open.pop(task):
                one.close()

    async def between(self, client: Line, server: Line) -> None:
        """Be between one client and the server until there is nothing more to pass on."""
        raise NotImplementedError

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen on a free port; cut every line in the end."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for writers in self._open.values():
                for writer in writers:
                    writer.transport.abort()
            await asyncio.gather(*self._open, return_exceptions=True)
            await server.wait_closed()


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


@asynccontextmanager
async def copying(source: Line, target: Line) -> AsyncIterator[None]:
    """Pass on what comes from the one to the other meanwhile, and that nothing more will."""

    async def copy() -> None:
        while data := await source.reader.read(CHUNK):
            target.writer.write(data)
            await target.writer.drain()
        target.writer.write_eof()

    task = asyncio.create_task(copy())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


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
