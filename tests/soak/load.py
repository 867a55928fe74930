"""Orders at a chosen rate against a QSuite in a process of its own, and that process's memory."""

import asyncio
import itertools
import os
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.crash.clients import CONNECTION_LOST, Connection, Victim, log_in
from tests.crash.victim import SYMBOL

SHARE = float(os.environ.get("SOAK_SHARE", "1"))
CLIENTS = 16
PATIENCE_S = 5.0
RENEW_S = 1_200.0
MIB = 1024 * 1024


@contextmanager
def serving(uri: str, database: str, **variables: str) -> Iterator[Victim]:
    """Run a QSuite until the end of the block, and see that it then stops in order."""
    victim = Victim(uri, database, variables=variables)
    try:
        assert victim.port is not None
        yield victim
        assert victim.stop() == 0
    finally:
        victim.kill()


def resident_bytes(pid: int) -> int:
    """Return a process's resident memory."""
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) * 1024


class Orders:
    """Send orders over kept connections and note when each was answered."""

    def __init__(self, port: int, token: str) -> None:
        self._port, self._token = port, token
        self._numbers = itertools.count()
        self._free: list[Connection] = []
        self.done: list[float] = []
        self.waits_s: list[float] = []
        self.refused = 0
        self.late = 0

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection; one that failed is not lent again."""
        found = self._free.pop() if self._free else await self._open()
        found.token = self._token
        try:
            yield found
        except BaseException:
            found.writer.close()
            raise
        self._free.append(found)

    async def _open(self) -> Connection:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        return Connection(reader, writer, self._token)

    async def send(self) -> None:
        """Send one order, buys and sells in turn, and count what became of it; late ones are given up."""
        number = next(self._numbers)
        order: dict[str, Any] = {"symbol": SYMBOL, "side": "BUY" if number % 2 == 0 else "SELL", "quantity": 1}
        order |= {"order_type": "MARKET", "client_order_id": f"soak-{number}"}
        begun = time.monotonic()
        try:
            async with self.connection() as connection, asyncio.timeout(PATIENCE_S):
                status, answer = await connection.call("POST", "/api/v1/orders/", order)
        except (TimeoutError, *CONNECTION_LOST):
            self.late += 1
            return
        if status == 503:
            self.refused += 1
            return
        assert status in (201, 422), answer
        self.done.append(time.monotonic())
        self.waits_s.append(self.done[-1] - begun)

    async def flat_out(self, seconds: float) -> float:
        """Keep CLIENTS orders under way; return how many were answered in a second."""
        end = time.monotonic() + seconds

        async def one() -> None:
            while time.monotonic() < end:
                await self.send()

        before = len(self.done)
        await asyncio.gather(*(one() for _ in range(CLIENTS)))
        return (len(self.done) - before) / seconds

    async def at_rate(self, per_s: float, seconds: float) -> float:
        """Begin ``per_s`` orders a second whatever is answered; return how many were answered in time, in a second."""
        before, begun, sent = len(self.done), time.monotonic(), 0
        under_way: set[asyncio.Task[None]] = set()
        while (passed := time.monotonic() - begun) < seconds:
            while sent < passed * per_s:
                task = asyncio.create_task(self.send())
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                sent += 1
            await asyncio.sleep(0.005)
        good = len(self.done) - before
        await asyncio.gather(*under_way)
        return good / seconds

    async def renew(self) -> None:
        """Log in anew from time to time: an hour's load outlives its first token."""
        while True:
            await asyncio.sleep(RENEW_S)
            self._token = await log_in(self._port)

    def close(self) -> None:
        """Close every connection."""
        for one in self._free:
            with suppress(OSError):
                one.writer.close()


@asynccontextmanager
async def orders(port: int) -> AsyncIterator[Orders]:
    """Log in and lend a source of orders."""
    found = Orders(port, await log_in(port))
    renewing = asyncio.create_task(found.renew())
    try:
        yield found
        assert not renewing.done(), renewing
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
        found.close()


def percentile_ms(seconds: list[float], percent: int) -> float:
    """Return a percentile of some times in milliseconds."""
    return statistics.quantiles(seconds, n=100)[percent - 1] * 1000


def slope_mib(samples: list[tuple[float, int]]) -> float:
    """Return the slope of (seconds, bytes) by least squares, in MiB per ten minutes; the first fifth is warming up."""
    steady = samples[len(samples) // 5 :]
    slope, _ = statistics.linear_regression([at for at, _ in steady], [size for _, size in steady])
    return slope * 600 / MIB
