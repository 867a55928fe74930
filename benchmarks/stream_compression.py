"""What compressing costs the server, and what it saves: the same trades to the same sockets, compressed and plain.

Sockets are stand-ins that take every frame at once, and what is counted is processor time: the readers, the kernel and
the line are left out, so that the figure is the server's own work.
"""

import concurrent.futures
import random
import time
from asyncio import Future
from typing import Any

from benchmarks.harness import Figure, in_pairs
from benchmarks.stream_server import AT_ONCE, Anyone
from qsuite.services.stream import StreamHub, Subscriber
from qsuite.settings import StreamSettings

SOCKETS = 200
BATCHES = 200
CHANNEL = "trades:BENCH"


class Line:
    """A connection that counts bytes."""

    def __init__(self) -> None:
        self.sent = 0
        self._taken: Any = concurrent.futures.Future()  # as asyncio's own, and needs no loop
        self._taken.set_result(None)

    def write(self, frame: bytes) -> "Future[None]":
        self.sent += len(frame)
        return self._taken  # type: ignore[no-any-return]

    def close(self, code: int, reason: str) -> None:
        raise ConnectionError(reason)


def figures() -> list[Figure]:
    """Measure work and bytes."""
    return [
        in_pairs(
            f"stream delivered compressed, {SOCKETS} sockets",
            unit="msg/s of CPU",
            measure=lambda: sent(compressed=True)[0],
            peer="the same, plain",
            measure_peer=lambda: sent(compressed=False)[0],
            first_bar="-",
            aim="-",
        ),
        in_pairs(
            "stream on the line, compressed",
            unit="bytes/msg",
            measure=lambda: sent(compressed=True)[1],
            peer="the same, plain",
            measure_peer=lambda: sent(compressed=False)[1],
            first_bar="-",
            aim="-",
        ),
    ]


def sent(*, compressed: bool) -> tuple[float, float]:
    """Send trades of a walking price; return messages per second of processor time, and bytes a message."""
    hub = StreamHub(settings=StreamSettings(), auth=Anyone())
    lines, sockets = [Line() for _ in range(SOCKETS)], list[Subscriber]()
    for line in lines:
        sockets.append(hub.attach(line, compressed=compressed))
        hub.registry.listen(sockets[-1], frozenset((CHANNEL,)))
        sockets[-1].flush()
        line.sent = 0
    trades = walk(BATCHES * AT_ONCE)
    began = time.process_time()
    for first in range(0, len(trades), AT_ONCE):
        for trade in trades[first : first + AT_ONCE]:
            hub.publish(CHANNEL, trade)
        hub.registry.groups.settle()
        for socket in sockets:
            socket.flush()
    seconds = time.process_time() - began
    return SOCKETS * len(trades) / seconds, sum(line.sent for line in lines) / SOCKETS / len(trades)


def walk(count: int) -> list[dict[str, Any]]:
    """Make trades whose price, size and time move as a market's do."""
    chance, cents = random.Random(1), 15_000
    trades = []
    for _ in range(count):
        cents += chance.randint(-3, 3)
        nanos = f"{chance.randrange(10**9):09d}"
        trade = {"type": "trade", "ts": f"2026-01-02T14:30:00.{nanos}Z", "symbol": "BENCH"}
        trades.append(trade | {"price": f"{cents / 100:.2f}", "size": str(chance.randint(1, 500))})
    return trades
