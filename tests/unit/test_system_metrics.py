"""The figures operators look at."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from qsuite.domain.errors import Unavailable
from qsuite.services import system_metrics
from qsuite.services.order_latency import BOUNDS_S, OrderLatency
from qsuite.services.system_metrics import SystemMetrics


@dataclass
class Engine:
    batches: int = 3
    orders: int = 0
    last_batch_size: int = 2


class Watch:
    """A monotonic clock that is told the time."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def figures(
    engine: Engine,
    watch: Watch,
    counted: list[int] | None = None,
    count: Callable[[], Awaitable[int]] | None = None,
    latency: OrderLatency | None = None,
) -> SystemMetrics:
    async def count_42() -> int:
        (counted if counted is not None else []).append(1)
        return 42

    return SystemMetrics(
        counts={"ticks": count or count_42},
        engine=engine,
        queued=lambda: 7,
        stream=lambda: (5, 12.34),
        latency=latency or OrderLatency(monotonic=watch),
        clock=lambda: 0,
        monotonic=watch,
    )


async def test_all_figures_are_shown_under_their_names() -> None:
    system = figures(Engine(), Watch())
    await system.run_once(0)
    assert (await system.now()) == {
        "database": {"ticks": 42},
        "performance": {
            "orders_per_minute": 0,
            "avg_execution_latency_ms": None,
            "p50_ms": None,
            "p99_ms": None,
        },
        "engine": {"batches": 3, "batch_size": 2, "queue": 7},
        "streams": {"clients": 5, "messages_per_second": 12.3},
        "timestamp": "1970-01-01T00:00:00.000Z",
    }


async def test_orders_of_the_last_minute_are_counted_and_older_ones_are_not() -> None:
    engine, watch = Engine(), Watch()
    system = figures(engine, watch)
    for _ in range(300):  # ten a second for five minutes
        watch.now += 1
        engine.orders += 10
        await system.run_once(0)
    assert (await system.now())["performance"]["orders_per_minute"] == 600
    for _ in range(70):
        watch.now += 1
        await system.run_once(0)
    assert (await system.now())["performance"]["orders_per_minute"] == 0


async def test_collections_are_counted_when_asked_for_but_not_more_often_than_every_two_seconds() -> None:
    watch, counted = Watch(), list[int]()
    system = figures(Engine(), watch, counted)
    assert counted == []
    for _ in range(9):  # at 0, 0.5, … 4 seconds: counted at 0, 2 and 4
        assert (await system.now())["database"] == {"ticks": 42}
        watch.now += 0.5
    assert len(counted) == 3


async def test_a_database_that_does_not_count_leaves_the_last_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_metrics, "COUNT_TIMEOUT_S", 0.01)
    watch, answers = Watch(), [_three, _away, _never]

    def next_count() -> Awaitable[int]:
        return answers.pop(0)()

    system = figures(Engine(), watch, count=next_count)
    assert (await system.now())["database"] == {"ticks": 3}
    for _ in range(3):  # away, then frozen: asked once more, and never a third time while that is open
        watch.now += 10
        assert (await system.now())["database"] == {"ticks": 3}
    await system.stop()


async def _three() -> int:
    return 3


async def _away() -> int:
    raise Unavailable("the database is away")


async def _never() -> int:
    await asyncio.Event().wait()
    return 0


async def test_latencies_are_those_of_the_last_minute() -> None:
    # 1 to 200 ms, one of each: mean 100.5, the median 100, the 99th percentile 198; percentiles to within their step.
    engine, watch = Engine(), Watch()
    latency = OrderLatency(monotonic=watch)
    system = figures(engine, watch, latency=latency)
    for number in range(1, 201):
        latency.acknowledged("rest", ("paper",), watch.now - number / 1000)
    shown = (await system.now())["performance"]
    assert shown["orders_per_minute"] == 200
    assert shown["avg_execution_latency_ms"] == pytest.approx(100.5)
    assert shown["p50_ms"] == pytest.approx(100, rel=0.13)
    assert shown["p99_ms"] == pytest.approx(198, rel=0.13)
    for _ in range(62):
        watch.now += 1
        await system.run_once(0)
    assert (await system.now())["performance"] == {
        "orders_per_minute": 0,
        "avg_execution_latency_ms": None,
        "p50_ms": None,
        "p99_ms": None,
    }


def test_orders_of_one_request_have_its_time_each_at_its_venue() -> None:
    watch = Watch()
    latency = OrderLatency(monotonic=watch)
    latency.acknowledged("bulk", ("paper", "book", "paper"), watch.now - 0.1)
    assert latency.spread["bulk", "paper"].count == 2
    assert latency.spread["bulk", "book"].count == 1
    assert latency.recent().orders == 3
    assert latency.recent().mean_s == pytest.approx(0.1)


def test_a_step_of_a_latency_is_never_more_than_a_third_of_a_doubling() -> None:
    steps = [high / low for low, high in itertools.pairwise(BOUNDS_S)]
    assert max(steps) <= 1.28
    assert (BOUNDS_S[0], BOUNDS_S[-1]) == (0.0002, 8.0)
