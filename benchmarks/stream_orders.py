"""Orders over WebSockets: ``python -m benchmarks.stream_orders PORT SOCKETS ORDERS SYMBOL < token``.

Each socket keeps ``UNDER_WAY`` orders under way, several a frame. Prints answered orders per second. Answers are
counted, not read: the less the client costs, the more is seen of the server.
"""

import asyncio
import base64
import os
import struct
import sys
import time

UNDER_WAY = 128
IN_A_FRAME = 32
UPGRADE = (
    "GET /ws/v1/stream HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Authorization: Bearer {token}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
)


class Crowd:
    """All sockets together: how many orders are left to send, and to be answered."""

    def __init__(self, orders: int, symbol: str) -> None:
        self.to_send = self.unanswered = orders
        self.prefix = f"{time.time_ns():x}"
        self.number = 0
        self.symbol = symbol
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def frame(self) -> tuple[bytes, int]:
        """Make a frame of orders; return it and how many it has."""
        count = min(IN_A_FRAME, self.to_send)
        self.to_send -= count
        orders = []
        for _ in range(count):
            self.number += 1
            orders.append(
                f'{{"action":"order","id":{self.number},"order":{{"symbol":"{self.symbol}","side":"BUY",'
                f'"order_type":"MARKET","quantity":"1","client_order_id":"{self.prefix}-{self.number}"}}}}'
            )
        text = f"[{','.join(orders)}]".encode()
        return b"\x81" + bytes((0x80 | 126,)) + struct.pack("!H", len(text)) + bytes(4) + text, count

    def answered(self, count: int) -> None:
        self.unanswered -= count
        if self.unanswered <= 0 and not self.done.done():
            self.done.set_result(None)


class Client(asyncio.Protocol):
    """One socket."""

    def __init__(self, crowd: Crowd, token: str) -> None:
        self.crowd = crowd
        self.token = token
        self.under_way = 0
        self.tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(UPGRADE.format(token=self.token, key=key).encode())
        self.send()

    def send(self) -> None:
        while self.under_way + IN_A_FRAME <= UNDER_WAY and self.crowd.to_send:
            frame, count = self.crowd.frame()
            self.under_way += count
            self.transport.write(frame)

    def data_received(self, data: bytes) -> None:
        data = self.tail + data
        count = data.count(b'"type":"result"')
        assert b'"type":"error"' not in data, data
        self.tail = data[-14:]  # one byte short of what is counted, so that nothing counts twice
        self.under_way -= count
        self.crowd.answered(count)
        self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.crowd.done.done():
            self.crowd.done.set_exception(ConnectionError("a socket was closed"))


async def main(port: int, sockets: int, orders: int, symbol: str, token: str) -> None:
    """Send all orders and print the rate."""
    crowd = Crowd(orders, symbol)
    began = time.perf_counter()
    for _ in range(sockets):
        await asyncio.get_running_loop().create_connection(lambda: Client(crowd, token), "127.0.0.1", port)
    await crowd.done
    print(orders / (time.perf_counter() - began))


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:4]), sys.argv[4], sys.stdin.read().strip()))
