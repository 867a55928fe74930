"""Many sockets that read as fast as they can: ``python -m benchmarks.stream_clients PORT SOCKETS MESSAGES``.

Prints messages per second over all sockets, from the first to the last. It counts closing braces, one a message: the
less the readers cost, the more is seen of the server.
"""

import asyncio
import base64
import os
import sys
import time

UPGRADE = (
    "GET /ws/v1/stream HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Authorization: Bearer x\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
)
SUBSCRIBE = b'{"action":"subscribe","channels":["trades:BENCH"]}'


class Crowd:
    """All sockets together."""

    def __init__(self, expected: int) -> None:
        self.left = expected
        self.began = 0.0
        self.done: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def count(self, messages: int) -> None:
        if not self.began:
            self.began = time.perf_counter()
        self.left -= messages
        if self.left <= 0 and not self.done.done():
            self.done.set_result(time.perf_counter() - self.began)


class Client(asyncio.Protocol):
    """One socket. Everything before the first trade is not counted."""

    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd
        self.counting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(UPGRADE.format(key=base64.b64encode(os.urandom(16)).decode()).encode())
        transport.write(bytes((0x81, 0x80 | len(SUBSCRIBE))) + bytes(4) + SUBSCRIBE)

    def data_received(self, data: bytes) -> None:
        if not self.counting:
            at = data.find(b'"trade"')
            if at < 0:
                return
            self.counting = True
            data = data[at:]
        self.crowd.count(data.count(b"}"))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.crowd.done.done():
            self.crowd.done.set_exception(ConnectionError("a socket was closed"))


async def main(port: int, sockets: int, messages: int) -> None:
    """Connect, subscribe, read until everything arrived."""
    crowd = Crowd(sockets * messages)
    loop = asyncio.get_running_loop()
    for _ in range(sockets):
        await loop.create_connection(lambda: Client(crowd), "127.0.0.1", port)
    print("ready", flush=True)
    print(sockets * messages / await crowd.done)


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:4])))
