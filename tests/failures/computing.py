"""Backtests that a trader of a stack asks for, and the Dask workers that compute them, to kill one at its work."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil

from ops.stack import OPERATOR, Stack
from ops.stack.process import Process
from tests.support.client import ApiClient
from tests.support.waiting import eventually

SYMBOL = "GRID"
BARS = 5_000
"""Of a minute each: a backtest of them takes long enough to be interrupted, mostly."""
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


def at_minute(number: int) -> str:
    """Return when a bar begins."""
    return (FIRST + timedelta(minutes=number)).strftime("%Y-%m-%dT%H:%M:%SZ")


def used(worker: Process) -> float:
    """Return the processor's seconds that a process has used."""
    times = psutil.Process(worker.pid).cpu_times()
    return float(times.user + times.system)
