"""Backup and restore of stored orders, and what a backup costs the orders placed beside it.

``BENCH_BACKUP_ORDERS`` sets how many orders there are, 100,000 by default.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymongo
from bson.codec_options import CodecOptions

from benchmarks.harness import Figure, alone, in_pairs
from benchmarks.orders import ONE_BY_ONE, load, order_request
from benchmarks.recovery import working_order
from benchmarks.server import QSUITE, ROOT, Running, running_qsuite
from qsuite.domain.trading.order import Status
from qsuite.repos.database import CODEC
from qsuite.repos.orders import order_document

ORDERS = int(os.environ.get("BENCH_BACKUP_ORDERS", "100000"))
AT_ONCE = 10_000
GENTLE_MB = 5


def figures() -> list[Figure]:
    """Measure a backup beside a server, the latency of orders beside a backup, and a restore."""
    with tempfile.TemporaryDirectory(prefix="qsuite-bench-") as directory:
        where = Path(directory)
        file = where / "bench.tar"
        with running_qsuite(where / "data") as qsuite:
            store_orders(qsuite)
            rows = [
                alone(
                    f"backup of {ORDERS:,} orders",
                    unit="s",
                    measure=lambda: timed(where / "data", "backup", str(fresh(file))),
                    first_bar="-",
                    aim="-",
                ),
                beside(qsuite, where / "data", fresh(where / "beside.tar"), ()),
                beside(qsuite, where / "data", fresh(where / "beside.tar"), ("--rate", str(GENTLE_MB))),
            ]
        name = f"restore of {ORDERS:,} orders"
        empty = where / "empty"
        rows.append(
            alone(
                name,
                unit="s",
                measure=lambda: timed(empty, "restore", str(file), "--replace"),
                first_bar="-",
                aim="-",
            )
        )
        return rows


def store_orders(qsuite: Running) -> None:
    """Store orders that were cancelled: they stay out of the engine's memory."""
    client: pymongo.MongoClient[Any] = pymongo.MongoClient(qsuite.mongodb_uri)
    codec: CodecOptions[Any] = CODEC
    database = client.get_database("qsuite", codec_options=codec)
    account = database.accounts.find_one({"name": "bench-trader"})
    assert account is not None
    for first in range(1, ORDERS + 1, AT_ONCE):
        orders = [working_order(account, arrival) for arrival in range(first, min(first + AT_ONCE, ORDERS + 1))]
        for order in orders:
            order.move(Status.CANCELLED, 0)
        database.orders.insert_many(map(order_document, orders), ordered=False)
    client.close()


def timed(data_dir: Path, *arguments: str) -> float:
    """Run a command, show what it says, return its seconds from start to end."""
    began = time.perf_counter()
    done = subprocess.run(
        [*QSUITE, *arguments], env=environment(data_dir), cwd=ROOT, capture_output=True, text=True, check=False
    )
    # A restore of orders that no record tells of ends with books that disagree; the restore itself is what is timed.
    assert "state hash" in done.stdout, done.stderr
    return time.perf_counter() - began


def beside(qsuite: Running, data_dir: Path, file: Path, options: tuple[str, ...]) -> Figure:
    """Measure the slowest hundredth of orders while backups are made, and while none is."""
    request = order_request(qsuite.trader)

    def p99() -> float:
        return float(load(qsuite.port, ONE_BY_ONE, 1, request)["p99_ms"])

    def while_backing_up() -> float:
        with backing_up(data_dir, file, options):
            return p99()

    p99()  # warm up
    return in_pairs(
        " ".join(("p99 of one client's orders beside a backup", *options)),
        unit="ms",
        measure=while_backing_up,
        peer="without one",
        measure_peer=p99,
        first_bar="-",
        aim="-",
    )


@contextmanager
def backing_up(data_dir: Path, file: Path, options: tuple[str, ...]) -> Iterator[None]:
    """Make a backup for as long as the block takes; it begins when it is reading."""
    process = subprocess.Popen(
        [*QSUITE, "backup", *options, str(fresh(file))],
        env=environment(data_dir), cwd=ROOT, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    partial = file.with_name(f"{file.name}.partial")
    try:
        while process.poll() is None and not (partial.exists() and partial.stat().st_size > AT_ONCE):
            time.sleep(0.01)
        yield
    finally:
        process.kill()
        process.wait()
        partial.unlink(missing_ok=True)


def fresh(file: Path) -> Path:
    """Make room for a file."""
    file.unlink(missing_ok=True)
    return file


def environment(data_dir: Path) -> dict[str, str]:
    """Return the environment of a command on a data directory."""
    return os.environ | {"QSUITE_DATA_DIR": str(data_dir), "QSUITE_LOG__LEVEL": "error"}
