"""The latency of orders while a sweep fills every worker, beside the same server's with nothing else to do."""

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.harness import Figure, in_pairs
from benchmarks.orders import load, order_request
from benchmarks.server import SYMBOL, Running, running_qsuite

WORKERS = 2
DAYS = 2_520
SWEEPS = 12
"""As many as last longer than the orders take; what is left is cancelled."""
CLIENTS, ORDERS = 4, 3_000


def figures() -> list[Figure]:
    """Measure the row of orders beside a sweep."""
    with running_qsuite(QSUITE_WORKERS__PROCESSES=str(WORKERS)) as qsuite:
        store_days(qsuite)
        request = order_request(qsuite.trader)
        load(qsuite.port, ORDERS, CLIENTS, request)  # warm up
        with swept(qsuite):
            pass  # its workers are there from now on
        return [
            in_pairs(
                f"p99 of an order, {CLIENTS} clients, while a sweep fills {WORKERS} workers",
                unit="ms",
                measure=lambda: beside_sweeps(qsuite, request),
                peer="the same with idle workers",
                measure_peer=lambda: float(load(qsuite.port, ORDERS, CLIENTS, request)["p99_ms"]),
                first_bar="<= 1.5",
                aim="<= 1.2",
                rounds=7,
            )
        ]


def beside_sweeps(qsuite: Running, request: dict[str, Any]) -> float:
    """Return the p99; the workers were busy before and after."""
    with swept(qsuite):
        p99_ms = float(load(qsuite.port, ORDERS, CLIENTS, request)["p99_ms"])
        assert running(qsuite) == WORKERS, "the sweeps ended too soon"
    return p99_ms


@contextmanager
def swept(qsuite: Running) -> Iterator[None]:
    """Have every worker sweep within the block, and nothing run after it."""
    for _ in range(SWEEPS):
        qsuite.call("POST", "/api/v1/backtests/sweep/", sweep(), qsuite.trader)
    wait_for(lambda: running(qsuite) == WORKERS)
    try:
        yield
    finally:
        for job in jobs(qsuite):
            if job["state"] in ("queued", "running"):
                qsuite.call("DELETE", f"/api/v1/jobs/{job['id']}/", None, qsuite.trader)
        wait_for(lambda: running(qsuite) == 0)


def sweep() -> dict[str, Any]:
    """Describe thousands of crossovers over ten years of days: some seconds of work."""
    lengths = {"fast": list(range(2, 102)), "slow": list(range(110, 300))}
    return {"strategy": "sma_cross", "symbols": [SYMBOL], "interval": "1d", "parameters": lengths}


def store_days(qsuite: Running) -> None:
    """Store days that rise and fall."""
    first_s = 946_857_600  # 2000-01-03
    rows = []
    for day in range(DAYS):
        close = round(100 + 20 * math.sin(day / 40) + 5 * math.sin(day / 7), 2)
        at = time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime(first_s + 86_400 * day))
        prices = {"open": f"{close - 0.5:.2f}", "high": f"{close + 1:.2f}", "low": f"{close - 1:.2f}"}
        rows.append(
            {"symbol": SYMBOL, "interval": "1d", "timestamp": at, **prices, "close": f"{close:.2f}", "volume": "1000"}
        )
    for begin in range(0, DAYS, 1_000):
        answer = qsuite.call("POST", "/api/v1/market-data/bulk_create/", rows[begin : begin + 1_000])
        assert answer["rejected"] == 0, json.dumps(answer)[:500]


def running(qsuite: Running) -> int:
    """Return how many jobs run."""
    return sum(job["state"] == "running" for job in jobs(qsuite))


def jobs(qsuite: Running) -> list[dict[str, Any]]:
    """Return the newest jobs."""
    found: list[dict[str, Any]] = qsuite.call("GET", "/api/v1/jobs/", None, qsuite.trader)["results"]
    return found


def wait_for(condition: Any, within_s: float = 60.0) -> None:
    """Wait until it holds."""
    until_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until_s, "it did not come about"
        time.sleep(0.1)
