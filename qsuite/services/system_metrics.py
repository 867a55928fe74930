"""The figures of ``GET /api/v1/system-metrics/``: what an operator looks at first, all measured, none made up.

Counting collections asks the database: at most once in two seconds, whoever asks, and waited for a second at most; the
last count is shown where that did not do. Everything else is read from memory. What was never measured is null.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import structlog

from qsuite.domain.errors import QSuiteError
from qsuite.domain.times import format_rfc3339
from qsuite.services.order_latency import OrderLatency

log = structlog.get_logger(__name__)

WINDOW_S = 60.0
SAMPLE_S = 1.0
COUNT_EVERY_S = 2.0
COUNT_TIMEOUT_S = 1.0

Count = Callable[[], Awaitable[int]]


class EngineFigures(Protocol):
    """What is read of the engine's counters."""

    batches: int
    orders: int
    last_batch_size: int


class SystemMetrics:
    """Gather the figures. A supervised loop."""

    name = "system-metrics"
    interval_s = SAMPLE_S

    def __init__(
        self,
        *,
        counts: Mapping[str, Count],
        engine: EngineFigures,
        queued: Callable[[], int],
        stream: Callable[[], tuple[int, float]],
        latency: OrderLatency,
        clock: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take ``counts`` by their name in the answer, and ``stream`` as (clients, messages per second)."""
        self._counts = counts
        self._engine = engine
        self._queued = queued
        self._stream = stream
        self._latency = latency
        self._clock = clock
        self._monotonic = monotonic
        self._counted: dict[str, int | None] = dict.fromkeys(counts)
        self._counted_s: float | None = None
        self._counting: asyncio.Task[None] | None = None
        self._samples: deque[tuple[float, int]] = deque([(monotonic(), engine.orders)])

    async def run_once(self, now: int) -> None:
        """Note the number of orders, and how long they took."""
        self._latency.sample()
        now_s = self._monotonic()
        self._samples.append((now_s, self._engine.orders))
        while self._samples[0][0] < now_s - WINDOW_S:
            self._samples.popleft()

    async def stop(self) -> None:
        """Let go of a count under way."""
        if self._counting is not None:
            self._counting.cancel()
            await asyncio.gather(self._counting, return_exceptions=True)

    async def _count(self) -> None:
        """See to it that the counts are fresh, as far as the database lets us."""
        if self._counting is None:
            if self._counted_s is not None and self._monotonic() - self._counted_s < COUNT_EVERY_S:
                return
            self._counting = asyncio.create_task(self._ask())
        counting = self._counting
        await asyncio.wait({counting}, timeout=COUNT_TIMEOUT_S)
        if counting.done():
            self._counting = None

    async def _ask(self) -> None:
        try:
            counted = await asyncio.gather(*(count() for count in self._counts.values()))
        except QSuiteError as error:
            log.info("counts.unknown", error=str(error))
            return
        self._counted = dict(zip(self._counts, counted, strict=True))
        self._counted_s = self._monotonic()

    async def now(self) -> dict[str, Any]:
        """Return the figures as they are shown."""
        await self._count()
        clients, messages_per_second = self._stream()
        return {
            "database": dict(self._counted),
            "performance": self._performance(),
            "engine": {
                "batches": self._engine.batches,
                "batch_size": self._engine.last_batch_size,
                "queue": self._queued(),
            },
            "streams": {"clients": clients, "messages_per_second": round(messages_per_second, 1)},
            "timestamp": format_rfc3339(self._clock()),
        }

    def _performance(self) -> dict[str, Any]:
        """Return the orders of the last minute and how long callers waited for them.

        A gateway has no engine, and strategies ask the engine without a request: whichever counted more saw them all.
        """
        recent = self._latency.recent()
        decided = self._engine.orders - self._samples[0][1]
        return {
            "orders_per_minute": max(decided, recent.orders),
            "avg_execution_latency_ms": _ms(recent.mean_s),
            "p50_ms": _ms(recent.p50_s),
            "p99_ms": _ms(recent.p99_s),
        }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
