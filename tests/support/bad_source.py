"""A source of ticks that misbehaves: a real server on this machine, whose every fault is drawn from a seed.

It numbers the messages of each symbol from 1, keeps all of them in ``log``, streams each once to whoever is connected,
and gives them again over HTTP. In between it drops lines, goes silent, sends rubbish instead of a message, swaps,
doubles and swallows messages, refuses and delays handshakes, and answers requests with errors, rubbish or a part.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from tests.support.waiting import eventually

RUBBISH: tuple[str | bytes, ...] = (
    "not json",
    "",
    "[" * 5_000,
    '{"type": "trade"',
    "NaN",
    "17",
    b"\xff\xfe\x00",
    json.dumps({"type": "trade", "channel": "A", "seq": True, "symbol": "A", "ts": "now", "price": "1", "size": "1"}),
    json.dumps({"type": "trade", "channel": ["A"], "seq": 3, "symbol": {}, "ts": 0, "price": [], "size": None}),
    json.dumps({"type": "trade", "channel": "A", "seq": -5, "symbol": "A", "price": "1e999999999", "size": "1"}),
    json.dumps({"type": "quote", "channel": "A", "seq": 1.5, "symbol": "A", "bid": "none", "ask": ""}),
)
HARMLESS = json.dumps({"type": "heartbeat"})


class BadSource:
    """``faults`` maps a fault's name to how often it happens, of one."""

    def __init__(self, faults: Mapping[str, float], seed: int) -> None:
        self.log: dict[str, list[dict[str, Any]]] = {}
        self.faults = dict(faults)
        self.happened: Counter[str] = Counter()
        self.requests: list[tuple[str, int, int]] = []
        self.sockets: set[Socket] = set()
        self.subscribed: list[str] = []
        self.authorization: set[str | None] = set()
        self.url = ""
        self._seed = seed
        self._dice = random.Random(seed)
        self._chances: dict[str, random.Random] = {}
        self._overtaken: list[str] = []

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["BadSource"]:
        """Serve on a free port."""
        arguments = {"source": self}
        server = HTTPServer(Application([(r"/stream", Socket, arguments), (r"/history", History, arguments)]))
        (bound,) = bind_sockets(0, "127.0.0.1")
        server.add_sockets([bound])
        self.url = f"127.0.0.1:{bound.getsockname()[1]}"
        try:
            yield self
        finally:
            server.stop()
            for socket in list(self.sockets):
                socket.cut()
            await server.close_all_connections()

    def happens(self, fault: str) -> bool:
        """Draw whether a fault happens now; each has chances of its own, so that none depends on who asked first."""
        if fault not in self._chances:
            self._chances[fault] = random.Random(f"{self._seed}:{fault}")
        if self._chances[fault].random() >= self.faults.get(fault, 0.0):
            return False
        self.happened[fault] += 1
        return True

    async def connected(self) -> None:
        """Wait until somebody listens."""
        await eventually(lambda: self.sockets, what="a connection")

    async def say(self, symbol: str, message: Mapping[str, Any], *, sure: bool = False) -> None:
        """Put a message on the log, and stream it the way this source does; ``sure``: without a fault."""
        log = self.log.setdefault(symbol, [])
        numbered = {"channel": symbol, "seq": len(log) + 1, "symbol": symbol, **message}
        log.append(numbered)
        text = json.dumps(numbered)
        if sure or not self._spoilt(text):
            await self._send(text)
        if self._overtaken and self._dice.random() < 0.5:
            await self._send(self._overtaken.pop(0))

    async def repeat_newest(self) -> None:
        """Send the newest message of each symbol again."""
        for log in self.log.values():
            await self._send(json.dumps(log[-1]))

    def _spoilt(self, text: str) -> bool:
        """Do something wrong instead of sending a message, perhaps."""
        if self.happens("swallow"):
            return True
        if self.happens("overtake"):
            self._overtaken.append(text)
            return True
        if self.happens("drop"):
            for socket in list(self.sockets):
                socket.cut()
            return True
        if self.happens("stall"):
            for socket in self.sockets:
                socket.stalled = True
            return True
        return False

    async def _send(self, text: str) -> None:
        for socket in list(self.sockets):
            if socket.stalled:
                continue
            await socket.say(text)
            if self.happens("double"):
                await socket.say(text)
            if self.happens("rubbish"):
                await socket.say(self._dice.choice(RUBBISH))
                await socket.say(HARMLESS)


class Socket(WebSocketHandler):
    """One listener."""

    def initialize(self, source: BadSource) -> None:
        self.source = source
        self.stalled = False
        self.gone = asyncio.Event()

    async def get(self, *args: Any, **kwargs: Any) -> None:
        self.source.authorization.add(self.request.headers.get("Authorization"))
        if self.source.happens("refuse"):
            self.set_status(503)
            return
        if self.source.happens("slow_handshake"):
            await self.gone.wait()
            return
        await super().get(*args, **kwargs)

    def open(self, *args: str, **kwargs: str) -> None:
        self.source.sockets.add(self)

    def on_message(self, message: str | bytes) -> None:
        assert isinstance(message, str)
        self.source.subscribed.append(message)

    def on_close(self) -> None:
        self.source.sockets.discard(self)

    def on_connection_close(self) -> None:
        self.gone.set()
        super().on_connection_close()

    def cut(self) -> None:
        """End the line without a word."""
        self.source.sockets.discard(self)
        assert self.ws_connection is not None
        self.ws_connection.stream.close()

    async def say(self, text: str | bytes) -> None:
        try:
            await self.write_message(text, binary=isinstance(text, bytes))
        except WebSocketClosedError:
            self.source.sockets.discard(self)


class History(RequestHandler):
    """Messages once more, by their numbers."""

    def initialize(self, source: BadSource) -> None:
        self.source = source
        self.gone = asyncio.Event()

    async def get(self) -> None:
        key, first, last = (self.get_query_argument(name) for name in ("key", "first", "last"))
        self.source.requests.append((key, int(first), int(last)))
        if self.source.happens("no_history"):
            self.set_status(503)
            return
        if self.source.happens("slow_history"):
            await self.gone.wait()
            return
        if self.source.happens("rubbish_history"):
            self.finish("<html>")
            return
        found = [m for m in self.source.log.get(key, []) if int(first) <= m["seq"] <= int(last)]
        if self.source.happens("part_of_history"):
            found = found[: len(found) // 2]
        self.finish({"data": found})

    def on_connection_close(self) -> None:
        self.gone.set()
