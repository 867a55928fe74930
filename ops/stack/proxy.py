"""A fault proxy in front of a database: it passes everything on until it is told to fail in one of five ways.

    freeze        nothing passes either way; connections stay open and say nothing
    cut           every connection is reset, once; new ones are taken
    delay         each piece that passes does so later
    drop_replies  requests arrive, answers don't
    refuse        connections are reset, and new ones refused

The first two and ``drop_replies`` may concern one process alone, so that it is cut off while all others go on.
``heal`` ends any of them. All proxies of a stack run on one thread with an event loop of its own, so that a test may
block; every method may be called from any thread.
"""

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from ops.stack.lines import CHUNK, Line, Lines
from ops.stack.owners import ports_of
from ops.stack.process import Process

T = TypeVar("T")


class ProxyThread:
    """The thread that all proxies of a stack run on."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stack-proxies", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do a piece of work on it, and return what came of it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def stop(self) -> None:
        """End it."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()


class FaultProxy(Lines):
    """Stand in front of ``to``, on ``port``."""

    def __init__(self, thread: ProxyThread, to: int, port: int) -> None:
        super().__init__(to)
        self._thread = thread
        self.port = port
        self._flows = asyncio.Event()
        self._flows.set()
        self._delay_s = 0.0
        self._drops = False
        self._since = b""
        self._only = 0
        self._whose: dict[int, bool] = {}
        self._door: AsyncExitStack | None = None

    def start(self) -> None:
        """Listen, and pass everything on."""
        self._thread.run(self._heal())

    def heal(self) -> None:
        """Pass everything on again, what was held back first."""
        self._thread.run(self._heal())

    def freeze(self, only: int = 0) -> None:
        """Pass nothing on, or nothing of the process with this id; say nothing about it."""
        self._thread.run(self._freeze(only))

    def cut(self, only: int = 0) -> None:
        """Reset every connection there is, or those of the process with this id."""
        self._thread.run(self._cut(only))

    def delay(self, seconds: float) -> None:
        """Let each piece wait for so long, each way."""
        self._delay_s = seconds

    def drop_replies(self, only: int = 0, since: bytes = b"") -> None:
        """Pass requests on and throw what is answered away, to all or to the process with this id.

        With ``since`` that begins at the first request that holds these bytes.
        """
        self._thread.run(self._drop(only, since))

    def refuse(self) -> None:
        """Reset every connection and take no new one."""
        self._thread.run(self._close())

    def stop(self) -> None:
        """End it for good."""
        self._thread.run(self._close())

    async def between(self, client: Line, server: Line) -> None:
        ways = [
            asyncio.create_task(self._pass(client, server)),
            asyncio.create_task(self._pass(server, client, replies=True)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pass(self, source: Line, target: Line, *, replies: bool = False) -> None:
        client = (target if replies else source).writer
        while data := await source.reader.read(CHUNK):
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            if not self._flows.is_set() and self._concerns(client):
                await self._flows.wait()
            if replies and self._drops and self._concerns(client):
                continue
            if self._since and not replies and self._since in data and self._concerns(client):
                self._since, self._drops = b"", True
            target.writer.write(data)
            await target.writer.drain()

    def _aim(self, only: int) -> None:
        """Find out which of the lines there are now concern the process; 0 is everybody."""
        self._only = only
        ports = ports_of(only) if only else set()
        lines = [client.get_extra_info("peername")[1] for client, *_ in self._open.values()]
        self._whose = {port: port in ports for port in lines}

    def _concerns(self, client: asyncio.StreamWriter) -> bool:
        if not self._only:
            return True
        port = client.get_extra_info("peername")[1]
        if port not in self._whose:  # it was opened since
            self._whose[port] = port in ports_of(self._only)
        return self._whose[port]

    async def _heal(self) -> None:
        self._delay_s, self._drops, self._since = 0.0, False, b""
        self._flows.set()
        if self._door is None:
            door = AsyncExitStack()
            await door.enter_async_context(self.listening(self.port))
            self._door = door

    async def _freeze(self, only: int) -> None:
        self._aim(only)
        self._flows.clear()

    async def _drop(self, only: int, since: bytes) -> None:
        self._aim(only)
        self._since, self._drops = since, not since

    async def _cut(self, only: int) -> None:
        self._aim(only)
        self.abort_lines(self._concerns)

    async def _close(self) -> None:
        door, self._door = self._door, None
        if door is not None:
            await door.aclose()


class Proxies:
    """The proxies of a stack: ``members`` in the order of its members, and ``redis``. ``of`` finds a process's."""

    def __init__(self) -> None:
        self._thread = ProxyThread()
        self._all: dict[int, FaultProxy] = {}
        self.members: list[FaultProxy] = []
        self.redis: FaultProxy | None = None

    def of(self, process: Process) -> FaultProxy:
        """Return the proxy in front of a process."""
        return self._all[process.port]

    def add(self, to: int, port: int) -> FaultProxy:
        """Put a proxy in front of a port, and start it."""
        made = self._all[to] = FaultProxy(self._thread, to, port)
        made.start()
        return made

    def stop(self) -> None:
        """End all of them."""
        for one in self._all.values():
            one.stop()
        self._thread.stop()
