"""The figures of ``GET /api/v1/system-metrics/``: what an operator looks at first, all measured, none made up.

Counting collections asks the database: at most once in two seconds, whoever asks, and waited for a second at most; the
last count is shown where that did not do. Everything else is read from memory. What was never measured is null.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import structlog

from qsuite.domain.errors import QSuiteError
from qsuite.domain.times import format_rfc3339

log = structlog.get_logger(__name__)

WINDOW_S = 60.0
SAMPLE_S = 1.0
COUNT_EVERY_S = 2.0
COUNT_TIMEOUT_S = 1.0

Count = Callable[[], Awaitable[int]]


class EngineFigures(Protocol):
    """What is read of the engine's counters; latencies in seconds, the newest last."""

    batches: int
    orders: int
    last_batch_size: int
    latencies_s: deque[float]


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
        clock: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take ``counts`` by their name in the answer, and ``stream`` as (clients, messages per second)."""
        self._counts = counts
        self._engine = engine
        self._queued = queued
        self._stream = stream
        self._clock = clock
        self._monotonic = monotonic
        self._counted: dict[str, int | None] = dict.fromkeys(counts)
        self._counted_s: float | None = None
        self._counting: asyncio.Task[None] | None = None
        self._samples: deque[tuple[float, int]] = deque([(monotonic(), engine.orders)])

    async def run_once(self, now: int) -> None:
        """Note the number of orders."""
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
            "performance": {"orders_per_minute": self._orders_per_minute(), **latencies(self._engine.latencies_s)},
            "engine": {
                "batches": self._engine.batches,
                "batch_size": self._engine.last_batch_size,
                "queue": self._queued(),
            },
            "streams": {"clients": clients, "messages_per_second": round(messages_per_second, 1)},
            "timestamp": format_rfc3339(self._clock()),
        }

    def _orders_per_minute(self) -> int:
        """Return how many orders were answered in the last minute."""
        return self._engine.orders - self._samples[0][1]


def latencies(values_s: Sequence[float] | deque[float]) -> dict[str, float | None]:
    """Return mean, median and 99th percentile in milliseconds, by nearest rank."""
    ranked = sorted(values_s)
    if not ranked:
        return {"avg_execution_latency_ms": None, "p50_ms": None, "p99_ms": None}

    def rank(percent: int) -> float:
        return ranked[-(-percent * len(ranked) // 100) - 1]

    figures = {"avg_execution_latency_ms": sum(ranked) / len(ranked), "p50_ms": rank(50), "p99_ms": rank(99)}
    return {name: round(value * 1000, 3) for name, value in figures.items()}
