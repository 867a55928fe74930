"""Orders over REST beside a bare Tornado echo, and one order's latency beside one majority insert."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pymongo
from pymongo import WriteConcern

from benchmarks.harness import Figure, in_pairs
from benchmarks.server import ROOT, SYMBOL, Running, running_qsuite

CLIENTS = 128
REQUESTS = 6_000
ONE_BY_ONE = 300


def figures() -> list[Figure]:
    """Measure the rows of orders."""
    with running_qsuite() as qsuite, echo() as echo_port:
        order, nothing = order_request(qsuite.trader), order_request(qsuite.trader) | {"path": "/"}
        for port, request in ((qsuite.port, order), (echo_port, nothing)):
            load(port, 2_000, CLIENTS, request)  # warm up
        return [
            in_pairs(
                "durable single-order REST, 128 clients",
                unit="1/s",
                measure=lambda: throughput(qsuite.port, order),
                peer="bare Tornado echo",
                measure_peer=lambda: throughput(echo_port, nothing),
                first_bar=">= 0.40",
                aim=">= 0.70",
            ),
            in_pairs(
                "latency of one order, one client",
                unit="ms",
                measure=lambda: load(qsuite.port, ONE_BY_ONE, 1, order)["p50_ms"],
                peer="one majority insert",
                measure_peer=lambda: insert_ms(qsuite),
                first_bar="<= 4",
                aim="<= 2",
            ),
        ]


def order_request(token: str) -> dict[str, Any]:
    """Describe a market order with a client id."""
    body = {
        "symbol": SYMBOL, "side": "BUY", "order_type": "MARKET", "quantity": "1", "client_order_id": "%ID%",
    }  # fmt: skip
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    return {"method": "POST", "path": "/api/v1/orders/", "headers": headers, "body": json.dumps(body)}


def throughput(port: int, request: dict[str, Any]) -> float:
    """Return requests per second; every one must have succeeded."""
    return float(load(port, REQUESTS, CLIENTS, request)["per_s"])


def load(port: int, requests: int, clients: int, request: dict[str, Any]) -> dict[str, Any]:
    """Run the load generator in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.load", "127.0.0.1", str(port), str(requests), str(clients)]
    done = subprocess.run(command, input=json.dumps(request), text=True, capture_output=True, check=True, cwd=ROOT)
    answer: dict[str, Any] = json.loads(done.stdout)
    assert set(answer["statuses"]) <= {"200", "201"}, answer["statuses"]
    return answer


def insert_ms(qsuite: Running) -> float:
    """Return the median time of one majority, journalled insert of a small document."""
    client: pymongo.MongoClient[Any] = pymongo.MongoClient(qsuite.mongodb_uri)
    durable = client.bench.get_collection("inserts", write_concern=WriteConcern("majority", j=True))
    times = []
    for number in range(ONE_BY_ONE):
        began = time.perf_counter()
        durable.insert_one({"number": number, "text": "as small as an order"})
        times.append(time.perf_counter() - began)
    client.close()
    return sorted(times)[len(times) // 2] * 1e3


@contextmanager
def echo() -> Iterator[int]:
    """Run the echo server; yield its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.echo_server"], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()
