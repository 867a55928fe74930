"""Orders sent to gateways beside orders sent to the engine's process itself."""

import os
import secrets
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from benchmarks.harness import Figure, in_pairs
from benchmarks.orders import load, order_request
from benchmarks.server import QSUITE, ROOT, Running, free_port, running_qsuite, until_ready

ONE_BY_ONE = 400
CLIENTS, REQUESTS = 64, 3_000


def figures() -> list[Figure]:
    """Measure the rows of gateways."""
    with tempfile.TemporaryDirectory(prefix="qsuite-bench-") as directory:
        secret = {"QSUITE_SECRET_KEY": secrets.token_hex(32)}
        with running_qsuite(**secret) as qsuite, gateways(qsuite, directory, secret) as ports:
            request = order_request(qsuite.trader)
            for port in (qsuite.port, *ports):
                load(port, 1_000, CLIENTS, request)  # warm up
            return [*latencies(qsuite.port, ports[0], request), throughput(qsuite.port, ports, request)]


def latencies(engine: int, gateway: int, request: dict[str, Any]) -> list[Figure]:
    """Measure one client's orders, one after the other."""
    return [
        in_pairs(
            f"{name} of an order through a gateway, one client",
            unit="ms",
            measure=lambda name=name: float(load(gateway, ONE_BY_ONE, 1, request)[name]),  # type: ignore[misc]
            peer="at the engine's process",
            measure_peer=lambda name=name: float(load(engine, ONE_BY_ONE, 1, request)[name]),  # type: ignore[misc]
            first_bar="<= 2.0",
            aim="<= 1.5",
            rounds=7,
        )
        for name in ("p50_ms", "p99_ms")
    ]


def throughput(engine: int, ports: list[int], request: dict[str, Any]) -> Figure:
    """Measure many clients, at two gateways at once or all at the engine's process."""
    return in_pairs(
        f"orders through two gateways, {CLIENTS} clients at each",
        unit="1/s",
        measure=lambda: at_once(ports, request),
        peer="at the engine's process",
        measure_peer=lambda: at_once([engine, engine], request),
        first_bar=">= 0.4",
        aim=">= 0.8",
        rounds=7,
    )


def at_once(ports: list[int], request: dict[str, Any]) -> float:
    """Return the orders a second of a load generator at each port, all together."""
    with ThreadPoolExecutor(len(ports)) as pool:
        found = pool.map(lambda port: load(port, REQUESTS, CLIENTS, request)["per_s"], ports)
        return float(sum(found))


@contextmanager
def gateways(qsuite: Running, directory: str, secret: dict[str, str]) -> Iterator[list[int]]:
    """Run two gateways on the same database; yield their ports."""
    ports = [free_port() for _ in range(2)]
    env = os.environ | secret | {"QSUITE_MONGODB_URI": qsuite.mongodb_uri, "QSUITE_ROLE": "gateway"}
    env |= {"QSUITE_DATA_DIR": directory, "QSUITE_LOG__LEVEL": "warning"}
    running = [
        subprocess.Popen([*QSUITE, "serve", "--port", str(port)], env=env, stdout=subprocess.DEVNULL, cwd=ROOT)
        for port in ports
    ]
    try:
        for port, process in zip(ports, running, strict=True):
            until_ready(port, process)
        yield ports
    finally:
        for process in running:
            process.send_signal(signal.SIGTERM)
        for process in running:
            process.wait(30)
