"""Many sockets that read as fast as they can: ``python -m benchmarks.stream_clients PORT SOCKETS MESSAGES SYMBOLS``.

Prints messages per second over all sockets, from the first to the last. While the clock runs it counts closing braces,
one a message: the less the readers cost, the more is seen of the server. When it has stopped, every reader looks
through all it got: each channel's numbers must rise by one, from its first message to its last.
"""

import asyncio
import base64
import json
import os
import re
import struct
import sys
import time
from collections import Counter

UPGRADE = (
    "GET /ws/v1/stream HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Authorization: Bearer x\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
)
NUMBERED = re.compile(rb'"channel":"([^"]+)","seq":(\d+)')


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

    def __init__(self, crowd: Crowd, subscribe: bytes) -> None:
        self.crowd = crowd
        self.subscribe = subscribe
        self.data: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(UPGRADE.format(key=base64.b64encode(os.urandom(16)).decode()).encode())
        transport.write(self.subscribe)

    def data_received(self, data: bytes) -> None:
        if not self.data:
            at = data.find(b'"type":"trade"')
            if at < 0:
                return
            data = data[at:]
        self.data.append(data)
        self.crowd.count(data.count(b"}"))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.crowd.done.done():
            self.crowd.done.set_exception(ConnectionError("a socket was closed"))

    def check(self, messages: int) -> None:
        """Find every message and no other, in order within its channel."""
        last: dict[bytes, int] = {}
        count: Counter[bytes] = Counter()
        for channel, number in NUMBERED.findall(b"".join(self.data)):
            seq = int(number)
            assert last.get(channel, seq - 1) == seq - 1, f"{channel!r}: {seq} follows {last[channel]}"
            last[channel] = seq
            count[channel] += 1
        assert count.total() == messages, f"{count.total()} messages of {messages}"


def subscription(symbols: int) -> bytes:
    """Frame the wish for so many channels."""
    channels = [f"trades:B{number}" for number in range(symbols)]
    text = json.dumps({"action": "subscribe", "channels": channels}, separators=(",", ":")).encode()
    length = bytes((0x80 | len(text),)) if len(text) < 126 else b"\xfe" + struct.pack("!H", len(text))
    return b"\x81" + length + bytes(4) + text


async def main(port: int, sockets: int, messages: int, symbols: int) -> None:
    """Connect, subscribe, read until everything arrived."""
    crowd = Crowd(sockets * messages)
    loop, subscribe = asyncio.get_running_loop(), subscription(symbols)
    clients = []
    for _ in range(sockets):
        _, client = await loop.create_connection(lambda: Client(crowd, subscribe), "127.0.0.1", port)
        clients.append(client)
    print("ready", flush=True)
    seconds = await crowd.done
    for client in clients:
        client.check(messages)
    print(sockets * messages / seconds)


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:5])))
