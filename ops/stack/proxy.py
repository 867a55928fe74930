"""A fault proxy in front of a database: it passes everything on until it is told to fail in one of five ways.

    freeze        nothing passes either way; connections stay open and say nothing
    cut           every connection is reset, once; new ones are taken
    delay         each piece that passes does so later
    drop_replies  requests arrive, answers don't
    refuse        connections are reset, and new ones refused

``heal`` ends any of them. All proxies of a stack run on one thread with an event loop of its own, so that a test may
block; every method may be called from any thread.
"""

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from ops.stack.lines import CHUNK, Line, Lines
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
        self._door: AsyncExitStack | None = None

    def start(self) -> None:
        """Listen, and pass everything on."""
        self._thread.run(self._heal())

    def heal(self) -> None:
        """Pass everything on again, what was held back first."""
        self._thread.run(self._heal())

    def freeze(self) -> None:
        """Pass nothing on; say nothing about it."""
        self._thread.run(self._freeze())

    def cut(self) -> None:
        """Reset every connection there is."""
        self._thread.run(self._cut())

    def delay(self, seconds: float) -> None:
        """Let each piece wait for so long, each way."""
        self._delay_s = seconds

    def drop_replies(self) -> None:
        """Pass requests on and throw what is answered away."""
        self._drops = True

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
        while data := await source.reader.read(CHUNK):
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            await self._flows.wait()
            if replies and self._drops:
                continue
            target.writer.write(data)
            await target.writer.drain()

    async def _heal(self) -> None:
        self._delay_s, self._drops = 0.0, False
        self._flows.set()
        if self._door is None:
            door = AsyncExitStack()
            await door.enter_async_context(self.listening(self.port))
            self._door = door

    async def _freeze(self) -> None:
        self._flows.clear()

    async def _cut(self) -> None:
        self.abort_lines()

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
