"""A Dask grid that computes for an engine: a worker dies, then the scheduler. All jobs end, and trading goes on."""

import asyncio
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import pytest
from tornado.ioloop import IOLoop

from ops.stack import OPERATOR, Stack
from ops.stack.process import Process
from tests.failures.figures import Figures
from tests.failures.stacks import stack_or_skip
from tests.support.client import ApiClient
from tests.support.waiting import eventually

SYMBOL = "GRID"
BARS = 5_000
"""Of a minute each: a backtest of them takes long enough to be interrupted, mostly."""
SOME_BARS = 200
FIRST = datetime(2026, 1, 5, tzinfo=UTC)
JOB_S = 60.0
SEEDS = itertools.count(1)


class Computing:
    """The stack, with a trader who asks for backtests."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.trader = ApiClient(stack.engine.url, stack.token())

    async def fill(self) -> None:
        """Store a month of a market that swings."""
        prices = itertools.cycle([*range(100, 120), *range(120, 100, -1)])
        lines = ["symbol,interval,timestamp,open,high,low,close,volume"]
        for number, price in zip(range(BARS), prices, strict=False):
            lines.append(f"{SYMBOL},1m,{at_minute(number)},{price},{price},{price},{price},1000")
        admin = ApiClient(self.stack.engine.url, await asyncio.to_thread(self.stack.token, OPERATOR))
        body = "\n".join(lines).encode()
        answer = await admin.post("/api/v1/market-data/bulk_create/", body=body, headers={"Content-Type": "text/csv"})
        assert answer.json["created"] == BARS, answer
        admin.close()

    async def ask(self, bars: int = BARS) -> str:
        """Ask for a backtest of so many bars; return its job's id."""
        asked = {
            "strategy": "mean_reversion",
            "symbols": [SYMBOL],
            "interval": "1m",
            "parameters": {"length": 20, "quantity": 1},
            "end": at_minute(bars),
            "seed": next(SEEDS),
        }
        answer = await self.trader.post("/api/v1/backtests/", asked)
        assert answer.status == 202, answer
        return str(answer.json["id"])

    async def job(self, name: str) -> dict[str, Any]:
        """Show a job."""
        return dict((await self.trader.get(f"/api/v1/jobs/{name}/")).json)

    async def interrupt(self) -> str:
        """Kill the worker that is some way through a job; return the job's id. One that ended before is asked anew."""
        workers = self.stack.workers
        while True:
            before = {worker.pid: used(worker) for worker in workers}
            job = await self.ask()
            if await eventually(lambda job=job: self._under_way(job), timeout_s=JOB_S, what="a job") == "running":
                break
        busy = max(workers, key=lambda worker: used(worker) - before[worker.pid])
        busy.kill()
        return job

    async def _under_way(self, name: str) -> str | None:
        job = await self.job(name)
        return job["state"] if job["progress"] > 0 else None

    async def ends(self, name: str) -> dict[str, Any]:
        """Return a job once it ended."""

        async def ended() -> dict[str, Any] | None:
            job = await self.job(name)
            return job if job["state"] in ("done", "failed") else None

        return await eventually(ended, timeout_s=JOB_S, what="the end of a job") or {}

    async def health(self) -> tuple[str, str]:
        """Return what /health says of the workers, and of trading."""
        told = (await self.trader.get("/health")).json
        return told["services"]["workers"], told["services"]["engine"]

    async def buy(self) -> str:
        """Place an order; return what became of it."""
        order = {"symbol": SYMBOL, "side": "BUY", "order_type": "MARKET", "quantity": 1}
        return str((await self.trader.post("/api/v1/orders/", order)).json["status"])


@pytest.fixture(scope="module")
def computing(io_loop: IOLoop) -> Iterator[Computing]:
    parts = {"members": 1, "redis": False, "standby": False, "gateways": 0, "workers": 2}
    with stack_or_skip(**parts, settings={"WORKERS__JOB_LEASE_S": "2"}) as stack:
        stack.quote(SYMBOL)
        found = Computing(stack)
        io_loop.run_sync(found.fill)
        yield found
        found.trader.close()


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
    for each in stack.workers:
        each.kill()
    stack.scheduler.launch()
    for each in stack.workers:
        each.launch()
    ended = await computing.ends(job)
    assert ended["state"] == "done"

    async def back() -> bool:
        return await computing.health() == ("up", "up")

    await eventually(back, timeout_s=20, what="the grid's return")
    figures.note(
        "Dask scheduler dies", "jobs wait, orders are taken", "done later", f"{ended['state']}, 1 order filled"
    )


def at_minute(number: int) -> str:
    """Return when a bar begins."""
    return (FIRST + timedelta(minutes=number)).strftime("%Y-%m-%dT%H:%M:%SZ")


def used(worker: Process) -> float:
    """Return the processor's seconds that a process has used."""
    times = psutil.Process(worker.pid).cpu_times()
    return float(times.user + times.system)
