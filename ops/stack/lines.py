"""The connections of a proxy: each client gets one of its own to the server, and all of them can be cut."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

CHUNK = 65_536


class Line(NamedTuple):
    """A connection to one of the two that the proxy is between."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Lines:
    """Take connections on a port of its own and open one to the server for each; a subclass is ``between`` them."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._open: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}
        self.port = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = [writer]
        try:
            with suppress(OSError, asyncio.IncompleteReadError):  # either side is gone
                server = Line(*await asyncio.open_connection("127.0.0.1", self._to))
                self._open[task].append(server.writer)
                await self.between(Line(reader, writer), server)
        finally:
            for one in self._open.pop(task):
                one.close()

    async def between(self, client: Line, server: Line) -> None:
        """Be between one client and the server until there is nothing more to pass on."""
        raise NotImplementedError

    def abort_lines(self, concerned: Callable[[asyncio.StreamWriter], bool] = lambda _: True) -> None:
        """Reset every connection of the clients that are concerned."""
        for client, *server in list(self._open.values()):
            if concerned(client):
                for writer in (client, *server):
                    writer.transport.abort()

    @asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator[None]:
        """Listen, on a free port unless one is named; cut every line in the end."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            self.abort_lines()
            await asyncio.gather(*self._open, return_exceptions=True)
            await server.wait_closed()


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
