"""A server that sends trades to every socket: QSuite's stream, or the plain loop of ``write_message`` beside it.

``python -m benchmarks.stream_server hub|loop``: prints its port, then for each line ``SOCKETS MESSAGES SYMBOLS`` on
standard input waits for so many sockets and sends so many messages to each of them, of each symbol in turn.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import orjson
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application
from tornado.websocket import WebSocketHandler

from qsuite.domain.roles import Caller, Role
from qsuite.handlers.routes import Route, make_application
from qsuite.handlers.server import ApiServer
from qsuite.handlers.stream import routes
from qsuite.services.container import Services
from qsuite.services.stream import StreamHub
from qsuite.services.throttle import Throttle
from qsuite.settings import load_settings

# The first of the channels; whoever has it is ready.
CHANNEL = "trades:B0"
# What a market publishes in one turn of the loop when it is busy.
AT_ONCE = 50

Send = Callable[[int, int], Awaitable[None]]


def trade() -> dict[str, Any]:
    """Make one message, as the market does."""
    return {
        "type": "trade",
        "ts": "2026-01-02T14:30:00.123456789Z",
        "symbol": "B0",
        "price": "150.25",
        "size": "100",
    }


class Anyone:
    """Know everybody as a viewer."""

    def remembered(self, header: str) -> Caller | None:
        return Caller(UUID(int=1), "viewer", Role.VIEWER)

    async def authenticate(self, header: str) -> Caller:
        return Caller(UUID(int=1), "viewer", Role.VIEWER)

    def on_revoked(self, callback: Callable[[UUID], None]) -> None:
        return


async def serve_hub() -> tuple[int, Callable[[], int], Send]:
    """Serve QSuite's stream."""
    # Readers take a closing brace for a trade: no heartbeat may come between.
    settings = load_settings({"QSUITE_LOG__LEVEL": "warning", "QSUITE_STREAM__HEARTBEAT_S": "3600"}, dotenv=None)
    auth = Anyone()
    hub = StreamHub(settings=settings.stream, auth=auth)
    await hub.start()
    services = SimpleNamespace(settings=settings, auth=auth, stream=hub, throttle=Throttle(settings.throttle))
    server = ApiServer(
        make_application(cast(Services, services), routes=[Route(*route) for route in routes]), limits=settings.http
    )
    server.listen(0, "127.0.0.1")

    async def send(messages: int, symbols: int) -> None:
        names = [f"trades:B{number}" for number in range(symbols)]
        for first in range(0, messages, AT_ONCE):
            for number in range(first, min(first + AT_ONCE, messages)):
                hub.publish(names[number % symbols], trade())
            await asyncio.sleep(0)
            for one in hub.sockets:  # beyond what readers take it would conflate, which is not what is measured
                await one.room()

    return server.port, lambda: sum(CHANNEL in one.names for one in hub.sockets), send


async def serve_loop() -> tuple[int, Callable[[], int], Send]:
    """Serve the plain loop: encode once, ``write_message`` to each."""
    clients: set[WebSocketHandler] = set()

    class Trades(WebSocketHandler):
        def open(self, *args: str, **kwargs: str) -> None:
            self.set_nodelay(True)
            clients.add(self)

        def on_message(self, message: str | bytes) -> None:
            return

        def on_close(self) -> None:
            clients.discard(self)

    server = HTTPServer(Application([("/ws/v1/stream", Trades)]))
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)

    async def send(messages: int, symbols: int) -> None:
        assert symbols == 1, "everybody gets the same"
        for number in range(messages):
            text = orjson.dumps(trade() | {"channel": CHANNEL, "seq": number})
            for client in clients:
                client.write_message(text)
            await asyncio.sleep(0)

    return int(sockets[0].getsockname()[1]), lambda: len(clients), send


async def main(kind: str) -> None:
    """Serve until standard input ends."""
    port, count, send = await (serve_hub() if kind == "hub" else serve_loop())
    print(port, flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(0))
    while line := await reader.readline():
        sockets, messages, symbols = map(int, line.split())
        while count() < sockets:  # noqa: ASYNC110  once, before anything is measured
            await asyncio.sleep(0.001)
        await send(messages, symbols)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
