"""An hour at half load, where memory must not creep; twice the load that can be served, where most must be served."""

import asyncio
import time

import pytest
from tornado.ioloop import IOLoop

from qsuite.repos.database import Database
from tests.crash.clients import Victim, check_the_books
from tests.soak.load import MIB, SHARE, orders, percentile_ms, resident_bytes, serving, slope_mib

CAPACITY_S = 10.0
HALF_LOAD_S = 3600 * SHARE
OVERLOAD_S = max(120 * SHARE, 20)
SLOPE_MIB_MAX = 2.0
GOODPUT_MIN = 0.8


def test_an_hour_at_half_load_does_not_let_memory_grow(
    mongod: str, database: Database, io_loop: IOLoop, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(mongod, database.name) as victim:
        told, slope = io_loop.run_sync(lambda: half_load(victim))
    check_the_books(database)
    with capsys.disabled():
        print(f"\n{told}")  # noqa: T201  the figures to quote
    assert SHARE < 1 or slope <= SLOPE_MIB_MAX


async def half_load(victim: Victim) -> tuple[str, float]:
    assert victim.port is not None
    samples: list[tuple[float, int]] = []
    async with orders(victim.port) as load:
        rate = await load.flat_out(CAPACITY_S) / 2
        begun, before = time.monotonic(), len(load.done)
        sampling = asyncio.create_task(sample(victim.process.pid, samples))
        await load.at_rate(rate, HALF_LOAD_S)
        sampling.cancel()
        await asyncio.gather(sampling, return_exceptions=True)
        slope = slope_mib([(at - begun, size) for at, size in samples])
        answered = len(load.done) - before
        waits = load.waits_s[before:]
    return (
        f"{HALF_LOAD_S:.0f} s at half load, {rate:.0f} orders/s: {answered} answered, {load.refused} refused, "
        f"{load.late} late, p50 {percentile_ms(waits, 50):.1f} ms, p99 {percentile_ms(waits, 99):.1f} ms; memory "
        f"{samples[0][1] / MIB:.0f} to {samples[-1][1] / MIB:.0f} MiB, slope {slope:.2f} MiB in ten minutes"
    ), slope


async def sample(pid: int, into: list[tuple[float, int]]) -> None:
    """Note the memory of a process once a second."""
    while True:
        into.append((time.monotonic(), resident_bytes(pid)))
        await asyncio.sleep(1)


def test_twice_the_load_that_can_be_served_is_served_as_far_as_it_can_be(
    mongod: str, database: Database, io_loop: IOLoop, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(mongod, database.name) as victim:
        told, goodput = io_loop.run_sync(lambda: overload(victim))
    check_the_books(database)
    with capsys.disabled():
        print(f"\n{told}")  # noqa: T201  the figures to quote
    assert goodput >= GOODPUT_MIN


async def overload(victim: Victim) -> tuple[str, float]:
    assert victim.port is not None
    async with orders(victim.port) as load:
        capacity = await load.flat_out(CAPACITY_S)
        refused, late = load.refused, load.late
        good = await load.at_rate(2 * capacity, OVERLOAD_S)
        after = await load.flat_out(CAPACITY_S)
        goodput = good / capacity
    return (
        f"{OVERLOAD_S:.0f} s at twice the load of {capacity:.0f} orders/s: {good:.0f} orders/s answered in time, "
        f"goodput {goodput:.0%}, {load.refused - refused} refused, {load.late - late} late; "
        f"{after:.0f} orders/s afterwards"
    ), goodput
