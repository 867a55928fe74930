"""A proxy before mongod that cuts the line at a commit: before mongod hears of it, or after it did it and answered.

driver ──commitTransaction──> proxy ──or not──> mongod
driver <──the line is cut──── proxy <──answer── mongod        so that the driver cannot know
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from ops.stack.lines import Line, Lines, copying

HEADER = 4  # a message begins with its length, little-endian
COMMIT = b"\x10commitTransaction\x00"  # the command's name as the first field of its document


class MongoProxy(Lines):
    """Pass messages on; cut the line at commits when told to.

    ``done`` and ``undone`` count the cut commits that mongod did and did not hear of.
    """

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.done = 0
        self.undone = 0
        self._left = 0
        self._heard: Callable[[], bool] = bool

    @property
    def cut(self) -> int:
        """Return how many commits were cut."""
        return self.done + self.undone

    def cut_commits(self, count: int, heard: Callable[[], bool]) -> None:
        """Cut the line at each of the next ``count`` commits; ``heard`` says of each whether mongod is to do it."""
        self._left, self._heard = count, heard

    async def between(self, client: Line, server: Line) -> None:
        async with copying(server, client):
            while True:
                asked = await message(client.reader)
                if COMMIT in asked and self._left > 0:
                    self._left -= 1
                    break
                server.writer.write(asked)
                await server.writer.drain()
        await self._cut(asked, server)

    async def _cut(self, asked: bytes, server: Line) -> None:
        if not self._heard():
            self.undone += 1
            return
        server.writer.write(asked)
        await message(server.reader)
        self.done += 1


async def message(reader: asyncio.StreamReader) -> bytes:
    """Read one message of MongoDB's wire protocol. IncompleteReadError at the end."""
    head = await reader.readexactly(HEADER)
    return head + await reader.readexactly(int.from_bytes(head, "little") - HEADER)


@asynccontextmanager
async def mongo_proxy_to(port: int) -> AsyncIterator[MongoProxy]:
    """Listen on a free port, for a driver told ``directConnection=true``, since mongod names its own port to it."""
    proxy = MongoProxy(port)
    async with proxy.listening():
        yield proxy
