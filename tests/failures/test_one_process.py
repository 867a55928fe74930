"""One QSuite, of which parts fail while it runs: its loop is held, its engine's loop ends, its clock jumps.

Clients dawdle, and the workers and the scheduler that compute for it die. The faults reach the real process from
outside (``inject``). The order of tests does not matter.
"""

import asyncio
import json
import shutil
import signal
import statistics
import struct
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tornado.ioloop import IOLoop

from ops.stack import Stack
from tests.crash.clients import Connection
from tests.failures.computing import SYMBOL, Computing
from tests.failures.figures import Figures
from tests.failures.inject.sitecustomize import HELD_S
from tests.failures.stacks import stack_or_skip
from tests.support.client import ApiClient
from tests.support.waiting import eventually

INJECT = Path(__file__).with_name("inject")
CHECKOUT = INJECT.parents[2]
HOUR_S = 3600
SOME_BARS = 200
DAWDLERS = 20
ASKED = 200


class Clock:
    """The wall clock of the stack's QSuites."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set_ahead(0)

    def set_ahead(self, seconds: int) -> None:
        """Let it be so far ahead of this machine's from now on."""
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("q", seconds))


class Alone:
    """The one process, and a trader there."""

    def __init__(self, stack: Stack, clock: Clock | None) -> None:
        self.stack = stack
        self.engine = stack.engine
        self.clock = clock
        self.client = ApiClient(stack.engine.url)

    async def log_in(self) -> None:
        """Log the trader in, as by the clock that the process has now."""
        self.client.close()
        self.client = ApiClient(self.engine.url, await asyncio.to_thread(self.stack.token))

    async def place(self, name: str) -> Any:
        """Buy one at the market, asking again while that is answered 503; return the stored order."""
        order = {"symbol": SYMBOL, "side": "BUY", "order_type": "MARKET", "quantity": 1, "client_order_id": name}

        async def answered() -> Any:
            answer = await self.client.post("/api/v1/orders/", order)
            return answer.json if answer.status != 503 else None

        return await eventually(answered, timeout_s=30, what="an answer")

    async def figure(self, name: str) -> float:
        """Return a figure that the process shows to Prometheus."""
        text = (await self.client.get("/metrics")).body.decode()
        return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"{name} "))

    async def ready(self) -> bool:
        """Say whether it takes orders."""
        return (await self.client.get("/health/ready")).status == 200

    async def service(self, name: str) -> str:
        """Return how it says one of its services is."""
        return str((await self.client.get("/health")).json["services"][name])


def shim(folder: Path) -> dict[str, str]:
    """Compile what makes a clock jump; return the variables for it, none where there is no compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return {}
    library = folder / "clock.so"
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, INJECT / "clock.c"], check=True)
    return {"LD_PRELOAD": str(library), "CLOCK_FILE": str(folder / "clock")}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alone]:
    folder = tmp_path_factory.mktemp("alone")
    clock, variables = Clock(folder / "clock"), shim(folder)
    variables["PYTHONPATH"] = f"{INJECT}:{CHECKOUT}"
    parts = {"members": 1, "redis": False, "standby": False, "gateways": 0, "workers": 2}
    settings = {"WORKERS__JOB_LEASE_S": "2"}
    with stack_or_skip(**parts, variables=variables, settings=settings) as stack:
        stack.quote(SYMBOL)
        found = Alone(stack, clock if "CLOCK_FILE" in variables else None)
        yield found
        found.client.close()


@pytest.fixture(scope="module")
def computing(alone: Alone, io_loop: IOLoop) -> Iterator[Computing]:
    found = Computing(alone.stack)
    io_loop.run_sync(found.fill)
    yield found
    found.trader.close()


class Slow(NamedTuple):
    """Clients that dawdle, and how long others waited for answers before those came and beside them."""

    alone_ms: list[float]
    beside_ms: list[float]
    clients: list[asyncio.Task[float]]


@pytest.fixture(scope="module", autouse=True)
def slow(alone: Alone, io_loop: IOLoop) -> Iterator[Slow]:
    """Begun first, since it takes them long to be closed: the other tests go on meanwhile."""

    async def begin() -> Slow:
        await alone.log_in()
        before = await answers_ms(alone)
        clients = [asyncio.create_task(dawdle(alone.engine.port)) for _ in range(DAWDLERS)]
        return Slow(before, await answers_ms(alone), clients)

    async def end() -> None:
        for one in found.clients:
            one.cancel()
        await asyncio.gather(*found.clients, return_exceptions=True)

    found = io_loop.run_sync(begin)
    yield found
    io_loop.run_sync(end)


@asynccontextmanager
async def until_left(work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Do something again and again meanwhile."""

    async def go_on() -> None:
        while True:
            await work()

    task = asyncio.create_task(go_on())
    try:
        yield
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_held_event_loop_is_counted_and_its_stack_logged(alone: Alone, figures: Figures) -> None:
    await alone.log_in()
    before = await alone.figure("qsuite_event_loop_blocks_total")
    alone.engine.signal(signal.SIGUSR1)
    started = time.monotonic()
    assert (await alone.client.get("/health/live")).status == 200
    answered_s = time.monotonic() - started

    async def counted() -> bool:
        return await alone.figure("qsuite_event_loop_blocks_total") == before + 1

    await eventually(counted, what="the block in the figures")
    lines = [json.loads(line) for line in alone.engine.logged.splitlines() if '"loop.blocked"' in line]
    assert "in hold" in lines[-1]["stack"]
    assert (await alone.place("after-the-block"))["status"] == "FILLED"
    assert await alone.ready()
    figures.note(
        "event loop blocked",
        "a gauge, and a stack in the log",
        "at > 100 ms",
        f"held {HELD_S:g} s, told at {lines[-1]['held_ms']} ms, next answer after {answered_s:.2f} s",
    )


async def test_an_engine_whose_loop_ends_is_not_ready_and_is_rebuilt_with_every_order_once(
    alone: Alone, figures: Figures
) -> None:
    await alone.log_in()
    placed: list[str] = []
    unready: list[float] = []
    ready: list[float] = []

    async def trade() -> None:
        name = f"death-{len(placed)}"
        placed.append(name)
        assert (await alone.place(name))["client_order_id"] == name

    async def look() -> None:
        (ready if await alone.ready() else unready).append(time.monotonic())
        await asyncio.sleep(0.002)

    deaths = await alone.figure("qsuite_engine_deaths_total")
    async with until_left(trade), until_left(look):
        await eventually(lambda: len(placed) > 5)
        died = time.monotonic()
        alone.engine.signal(signal.SIGUSR2)
        await eventually(lambda: unready, what="not ready")
        await eventually(lambda: ready[-1] > unready[-1], what="ready again")
        known = len(placed)
        await eventually(lambda: len(placed) > known + 5)
    assert await alone.figure("qsuite_engine_deaths_total") == deaths + 1
    for name in placed[:-1]:
        shown = (await alone.client.get("/api/v1/orders/", query={"client_order_id": name})).json["results"]
        assert [one["status"] for one in shown] == ["FILLED"], name
    figures.at_most("engine task dies", "not ready after", 2, [unready[0] - died])
    figures.note("engine task dies", "rebuilt, each order once", "yes", f"after {ready[-1] - died:.2f} s")


async def test_a_killed_worker_costs_a_job_one_attempt(computing: Computing, figures: Figures) -> None:
    ended = await computing.ends(await computing.interrupt())
    assert (ended["state"], ended["attempts"]) == ("done", 2)
    assert await computing.health() == ("up", "up")
    figures.note("Dask worker dies", "one retry", "done, 2 attempts", f"{ended['state']}, {ended['attempts']} attempts")


async def test_a_killed_scheduler_leaves_jobs_waiting_and_trading_alone(computing: Computing, figures: Figures) -> None:
    stack = computing.stack
    stack.scheduler.kill()

    async def away() -> bool:
        return await computing.health() == ("away", "up")

    await eventually(away, timeout_s=20, what="the truth about the grid")
    job = await computing.ask(SOME_BARS)
    assert await computing.buy() == "FILLED"
    assert (await computing.job(job))["state"] == "queued"
    for each in stack.workers:  # without a scheduler they end by themselves, by and by
        each.kill()
    stack.scheduler.launch()
    stack.workers[0].launch()
    ended = await computing.ends(job)
    assert ended["state"] == "done"

    async def back() -> bool:
        return await computing.health() == ("up", "up")

    await eventually(back, timeout_s=20, what="the grid's return")
    figures.note(
        "Dask scheduler dies", "jobs wait, orders are taken", "done later", f"{ended['state']}, 1 order filled"
    )


async def test_a_clock_that_jumps_is_told_and_neither_loses_nor_reorders_anything(
    alone: Alone, figures: Figures
) -> None:
    if alone.clock is None:
        pytest.skip("no C compiler to make a clock that jumps")
    await alone.log_in()
    orders = [await alone.place("before-the-jump")]
    told: dict[int, float] = {}
    try:
        for ahead in (HOUR_S, -HOUR_S):
            alone.clock.set_ahead(ahead)
            jumped = time.monotonic()
            # Tokens are times: one of an hour has ended an hour later. Whoever logs in anew goes on.
            await alone.log_in()
            orders.append(await alone.place(f"at{ahead}"))

            async def drifted(ahead: int = ahead) -> bool:
                drift = await alone.figure("qsuite_clock_drift_seconds")
                return abs(drift - ahead) < 5 and await alone.service("clock") == "wrong"

            await eventually(drifted, timeout_s=15, what="an alarm")
            told[ahead] = time.monotonic() - jumped
            assert await alone.ready()
            assert (await alone.client.get("/health")).json["status"] == "degraded"
    finally:
        alone.clock.set_ahead(0)
    await alone.log_in()
    orders.append(await alone.place("after-the-jump"))

    async def right() -> bool:
        return await alone.service("clock") == "up"

    await eventually(right, timeout_s=15, what="the end of the alarm")
    assert await alone.figure("qsuite_clock_jump_seconds") > HOUR_S - 5
    assert '"clock.jumped"' in alone.engine.logged
    assert '"clock.drifted"' in alone.engine.logged
    fills = [one["filled_quantity"] for one in orders]
    assert fills == ["1"] * len(orders)
    assert [one["id"] for one in orders] == sorted(one["id"] for one in orders)
    assert [one["created_at"] for one in orders] == sorted(one["created_at"] for one in orders)
    shown = ", ".join(f"{ahead:+d} s told after {took:.1f} s" for ahead, took in told.items())
    figures.note("clock jumps", "drift > 1 s alarms", "an alarm", shown)
    figures.note("clock jumps", "orders in sequence, once", "all", f"{len(orders)} of {len(orders)}")


async def test_slow_http_clients_are_closed_and_others_served_beside_them(
    alone: Alone, slow: Slow, figures: Figures
) -> None:
    closed_s = await asyncio.gather(*slow.clients)
    await alone.log_in()
    assert await alone.ready()
    figures.at_most("slow HTTP client", "closed after", 15, closed_s)
    ratio = statistics.quantiles(slow.beside_ms, n=100)[98] / statistics.quantiles(slow.alone_ms, n=100)[98]
    figures.at_most("slow HTTP client", f"p99 of others beside {DAWDLERS}", 2, [ratio], "x")


async def answers_ms(alone: Alone) -> list[float]:
    """Ask one question after the other; return how long each took."""
    assert alone.client.token is not None
    times = []
    async with Connection.open(alone.engine.port, alone.client.token) as connection:
        for _ in range(ASKED):
            started = time.perf_counter()
            status, _ = await connection.call("GET", "/api/v1/account/")
            assert status == 200
            times.append((time.perf_counter() - started) * 1000)
    return times


async def dawdle(port: int) -> float:
    """Send a header a byte a second; return after how many seconds the line was closed."""
    started = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    reading = asyncio.create_task(reader.read())
    try:
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\nX: ")
        while not reading.done():
            writer.write(b"a")
            await asyncio.wait({reading}, timeout=0.5)
        assert (await reading).startswith(b"HTTP/1.1 408 ")
    finally:
        reading.cancel()
        writer.close()
    return time.monotonic() - started
