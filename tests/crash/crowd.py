"""A crowd of clients that goes on through every failure: each asks again, under the same id, until it is answered."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise

from tests.crash.clients import CONNECTION_LOST, Connection, Ledger, acknowledge, log_in, new_order
from tests.support.waiting import eventually

CLIENTS = 12
IMPATIENT = 3
"""So many of them go on to another order when one was not answered well."""
AGAIN_S = 0.1
ACKNOWLEDGED = 60
"""Orders to be acknowledged before each fault, and after it."""


@dataclass
class Crowd:
    """Clients at work, and when they were answered."""

    port: int
    token: str
    ledger: Ledger = field(default_factory=Ledger)
    chance: random.Random = field(default_factory=lambda: random.Random(20261121))
    go: asyncio.Event = field(default_factory=asyncio.Event)
    busy: int = 0
    times: list[float] = field(default_factory=list)
    sent: dict[str, float] = field(default_factory=dict)
    refused: list[tuple[float, float]] = field(default_factory=list)
    """When a 503 came, and how long its client had waited for it."""

    async def client(self, *, patient: bool) -> None:
        """Send one order after the other while ``go`` is set."""
        while True:
            await self.go.wait()
            self.busy += 1
            try:
                await self._settle(new_order(self.chance), patient=patient)
            finally:
                self.busy -= 1

    async def _settle(self, order: dict[str, object], *, patient: bool) -> None:
        self.ledger.unknown[str(order["client_order_id"])] = order
        while True:
            if await self._try(order) or not patient:
                return
            await asyncio.sleep(AGAIN_S)

    async def _try(self, order: dict[str, object]) -> bool:
        """Send an order; True once it is known what became of it."""
        sent = time.monotonic()
        try:
            async with Connection.open(self.port, self.token) as connection:
                status, answer = await connection.call("POST", "/api/v1/orders/", order)
        except CONNECTION_LOST:
            return False
        now = time.monotonic()
        if status == 503:
            self.refused.append((now, now - sent))
            return False
        assert status in (201, 422), answer
        stored = acknowledge(self.ledger, order, status, answer)
        self.times.append(now)
        self.sent[stored["id"]] = sent
        return True

    async def quiet(self) -> None:
        """Let every client finish its order and stop."""
        self.go.clear()
        await eventually(lambda: self.busy == 0, timeout_s=30, what="the end of the load")

    async def more(self, count: int = ACKNOWLEDGED) -> None:
        """Wait until so many more orders were acknowledged."""
        wanted = len(self.times) + count
        await eventually(lambda: len(self.times) >= wanted, timeout_s=40, what="acknowledgements")

    def gap_s(self, since: float) -> float:
        """Return the longest time without an acknowledgement, from the last one before ``since`` on."""
        first = max((index for index, at in enumerate(self.times) if at <= since), default=0)
        counted = self.times[first:]
        return max(after - before for before, after in pairwise(counted))


@asynccontextmanager
async def crowd(port: int) -> AsyncIterator[Crowd]:
    """Log in and let the clients begin; they end with the block."""
    found = Crowd(port, await log_in(port))
    found.go.set()
    tasks = [asyncio.create_task(found.client(patient=number >= IMPATIENT)) for number in range(CLIENTS)]
    try:
        yield found
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
