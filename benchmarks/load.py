"""A load generator light enough to share two cores with what it loads: raw requests over kept-alive connections.

Run as a process of its own: ``python -m benchmarks.load HOST PORT REQUESTS CLIENTS < request.json``; the JSON on
standard input gives method, path, headers and a body in which ``%ID%`` becomes a new id each time. Prints
``{"per_s": ..., "p50_ms": ..., "p99_ms": ..., "statuses": {...}}``.
"""

import asyncio
import itertools
import json
import sys
import time
from collections import Counter
from typing import Any


class Client(asyncio.Protocol):
    """One connection that sends the next request as soon as the last was answered."""

    def __init__(self, load: "Load") -> None:
        self.load = load
        self.buffer = b""
        self.sent_s = 0.0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.send()

    def send(self) -> None:
        assert self.transport is not None
        request = self.load.next_request()
        if request is None:
            self.transport.close()
            return
        self.sent_s = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head_end = self.buffer.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = self.buffer[:head_end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 : at + 27].split(b"\r\n", 1)[0])
        if len(self.buffer) < head_end + 4 + length:
            return
        self.load.answered(int(head[9:12]), time.perf_counter() - self.sent_s)
        self.buffer = b""
        self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        self.load.lost()


class Load:
    """All clients together."""

    def __init__(self, spec: dict[str, Any], requests: int, clients: int) -> None:
        self.body: str = spec["body"]
        headers = "".join(f"{name}: {value}\r\n" for name, value in spec["headers"].items())
        self.head = f"{spec['method']} {spec['path']} HTTP/1.1\r\nHost: bench\r\n{headers}".encode()
        self.left = requests
        self.clients = clients
        self.numbers = itertools.count()
        self.prefix = f"{time.time_ns():x}"
        self.latencies: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.done = asyncio.Event()

    def next_request(self) -> bytes | None:
        if self.left <= 0:
            return None
        self.left -= 1
        body = self.body.replace("%ID%", f"{self.prefix}-{next(self.numbers)}").encode()
        return self.head + b"Content-Length: %d\r\n\r\n" % len(body) + body

    def answered(self, status: int, seconds: float) -> None:
        self.statuses[status] += 1
        self.latencies.append(seconds)

    def lost(self) -> None:
        self.clients -= 1
        if self.clients == 0:
            self.done.set()


async def run(host: str, port: int, requests: int, clients: int, spec: dict[str, Any]) -> dict[str, Any]:
    """Send all requests and summarise."""
    load = Load(spec, requests, clients)
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    for _ in range(clients):
        await loop.create_connection(lambda: Client(load), host, port)
    await load.done.wait()
    took = time.perf_counter() - began
    ordered = sorted(load.latencies)
    return {
        "per_s": len(ordered) / took,
        "p50_ms": ordered[len(ordered) // 2] * 1e3,
        "p99_ms": ordered[int(len(ordered) * 0.99)] * 1e3,
        "statuses": dict(load.statuses),
    }


if __name__ == "__main__":
    host, port, requests, clients = sys.argv[1], *map(int, sys.argv[2:5])
    print(json.dumps(asyncio.run(run(host, port, requests, clients, json.load(sys.stdin)))))
