"""A crowd of clients that goes on through every failure: each asks again, under the same id, until it is answered."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeVar

from tests.crash.clients import CONNECTION_LOST, Connection, Ledger, acknowledge, log_in, new_order
from tests.support.waiting import eventually

T = TypeVar("T")
CLIENTS = 12
IMPATIENT = 3
"""So many of them go on to another order when one was not answered well."""
AGAIN_S = 0.1
CANCELLED = 0.9
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
        """Place an order; cancel most of those that rest, since only so many may."""
        self.ledger.unknown[str(order["client_order_id"])] = order
        stored = await self._insist(lambda: self._place(order), patient=patient)
        if stored is not None and stored["status"] == "PENDING" and self.chance.random() < CANCELLED:
            await self._insist(lambda: self._cancel(stored["id"]), patient=patient)

    async def _insist(self, ask: Callable[[], Awaitable[T | None]], *, patient: bool) -> T | None:
        """Ask until there is an answer that says what became of it; the impatient ask once."""
        while True:
            answer = await ask()
            if answer is not None or not patient:
                return answer
            await asyncio.sleep(AGAIN_S)

    async def _place(self, order: dict[str, object]) -> dict[str, Any] | None:
        sent = time.monotonic()
        status, answer = await self._call("POST", "/api/v1/orders/", order)
        if status not in (201, 422):
            return None
        stored = acknowledge(self.ledger, order, status, answer)
        self.times.append(time.monotonic())
        self.sent[stored["id"]] = sent
        return stored

    async def _cancel(self, order_id: str) -> str | None:
        status, _ = await self._call("POST", f"/api/v1/orders/{order_id}/cancel/")
        if status != 200:
            return None
        self.ledger.cancelled.add(order_id)
        return order_id

    async def _call(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
        """Ask over a connection of its own; status 503 also stands for a connection that was lost."""
        sent = time.monotonic()
        try:
            async with Connection.open(self.port, self.token) as connection:
                status, answer = await connection.call(method, path, body)
        except CONNECTION_LOST:
            return 503, {}
        if status == 503:
            now = time.monotonic()
            self.refused.append((now, now - sent))
        assert status in (200, 201, 422, 503), answer
        return status, answer

    async def quiet(self) -> None:
        """Let every client finish its order and stop."""
        self.go.clear()
        await eventually(lambda: self.busy == 0, timeout_s=30, what="the end of the load")

    async def more(self, count: int = ACKNOWLEDGED) -> None:
        """Wait until so many more orders were acknowledged."""
        wanted = len(self.times) + count
        await eventually(lambda: len(self.times) >= wanted, timeout_s=40, what="acknowledgements")

    def made_after(self, moment: str) -> list[str]:
        """Return the acknowledged orders made after a time; one that was asked for again was made when it first was."""
        return [name for name, one in self.ledger.acknowledged.items() if one["created_at"] > moment]

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
