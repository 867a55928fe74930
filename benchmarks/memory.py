"""Memory that a thousand idle subscribers cost the server: authenticated, subscribed, nothing published."""

import asyncio
import base64
import gc
import json
import os
from pathlib import Path

from benchmarks.harness import Figure, alone
from benchmarks.server import SYMBOL, Running, running_qsuite

SUBSCRIBERS = 1_000


def figures() -> list[Figure]:
    """Measure the growth of the server's resident memory, each time on a server just started."""

    def grown() -> float:
        with running_qsuite() as qsuite:
            asyncio.run(subscribed(qsuite, 20))  # what the first ones load and cache is no cost of a subscriber
            before = resident_mib(qsuite.pid)
            return asyncio.run(subscribed(qsuite, SUBSCRIBERS)) - before

    return [alone("memory of 1,000 idle subscribers", unit="MiB", measure=grown, first_bar="<= 40", aim="<= 15")]


async def subscribed(qsuite: Running, count: int) -> float:
    """Open sockets, wait until each is subscribed, and return the server's memory then."""
    sockets = [await subscribe(qsuite) for _ in range(count)]
    resident = resident_mib(qsuite.pid)
    for _, writer in sockets:
        writer.close()
    gc.collect()
    return resident


async def subscribe(qsuite: Running) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open one socket and subscribe it to the trades of a symbol."""
    reader, writer = await asyncio.open_connection("127.0.0.1", qsuite.port)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        (
            "GET /ws/v1/stream HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nAuthorization: Bearer {qsuite.trader}\r\n\r\n"
        ).encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    message = json.dumps({"action": "subscribe", "channels": [f"trades:{SYMBOL}"]}).encode()
    # A text frame as clients send it, masked; a mask of zeros leaves the text as it is.
    writer.write(bytes([0x81, 0x80 | len(message)]) + bytes(4) + message)
    seen = b""
    while b'"snapshot"' not in seen:
        seen += await reader.read(4096)
    return reader, writer


def resident_mib(pid: int) -> float:
    """Return a process's resident memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024
