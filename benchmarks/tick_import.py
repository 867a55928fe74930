"""Files of ticks into storage, beside the same ticks inserted as documents into a time series of the same mongod."""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pymongo
from bson import Decimal128, Int64

from benchmarks.harness import Figure, in_pairs
from benchmarks.mongod import fresh_mongod
from qsuite.composition.importing import make_importer
from qsuite.repos.collections import collections_of
from qsuite.repos.database import connect
from qsuite.repos.schema import migrate
from qsuite.services.files import open_market_file

TICKS = 2_000_000
DOCUMENTS = 200_000
AT_ONCE = 20_000
SYMBOL = "DEMO"
T0_NS = 1_381_152_600_000_000_000


def figures() -> list[Figure]:
    """Measure an import of each kind of file."""
    with fresh_mongod() as uri, tempfile.TemporaryDirectory(prefix="qsuite-bench-") as folder:
        table = made_trades(TICKS)
        documents = as_documents(table.slice(0, DOCUMENTS))
        peer = {
            "peer": f"insert_many of {DOCUMENTS:,} of the same ticks into a time series, {AT_ONCE:,} at a time",
            "measure_peer": lambda: inserted(uri, documents),
        }
        return [
            in_pairs(
                f"ticks imported from {kind}",
                unit="1/s",
                measure=lambda path=path: imported(uri, path),  # type: ignore[misc]
                **peer,
                first_bar=">= 15",
                aim=aim,
            )
            for kind, path, aim in files(table, Path(folder))
        ]


def made_trades(count: int) -> Any:
    """Make trades of a random walk in cents, as an Arrow table: nanoseconds, exact prices, whole sizes."""
    chance = np.random.default_rng(20261121)
    ts_ns = T0_NS + np.cumsum(chance.integers(0, 40_000_000, count))
    cents = 18_000 + np.cumsum(chance.integers(-2, 3, count))
    sizes = 100 * chance.integers(1, 30, count)
    units = pa.array(np.abs(cents) + 1).cast(pa.decimal128(20, 0))
    price = pa.Array.from_buffers(pa.decimal128(12, 2), count, units.buffers())
    return pa.table({"ts_ns": ts_ns, "price": price, "size": sizes})


def files(table: Any, folder: Path) -> Iterator[tuple[str, Path, str]]:
    """Write the files, and say what each is to reach."""
    pq.write_table(table, folder / "demo.parquet")
    yield "Parquet", folder / "demo.parquet", ">= 40"
    with pa.OSFile(str(folder / "demo.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    yield "Arrow", folder / "demo.arrow", ">= 40"
    pa.csv.write_csv(table, folder / "demo.csv", pa.csv.WriteOptions(quoting_style="none", quoting_header="none"))
    yield "CSV", folder / "demo.csv", ">= 15"


def imported(uri: str, path: Path) -> float:
    """Import a file into an empty database; return ticks a second."""
    return asyncio.run(_imported(uri, path))


async def _imported(uri: str, path: Path) -> float:
    database = connect(uri, f"import_{uuid4().hex[:8]}", timeout_s=60.0)
    try:
        await migrate(database, collections_of(database))
        importer = await make_importer(database, uuid4)
        file = open_market_file(path)
        began_s = time.perf_counter()
        report = await importer.run(file)
        took_s = time.perf_counter() - began_s
        assert report.created == TICKS, report
        return TICKS / took_s
    finally:
        await database.in_thread(database.sync_client.drop_database, database.name)
        database.close()


def as_documents(table: Any) -> list[dict[str, Any]]:
    """Write ticks as the documents that a shell would like to see."""
    return [
        {
            "ts": datetime.fromtimestamp(ts_ns // 1_000_000 / 1_000, UTC),
            "symbol": SYMBOL,
            "kind": "trade",
            "ts_ns": Int64(ts_ns),
            "seq": Int64(0),
            "price": Decimal128(price),
            "size": Decimal128(str(size)),
        }
        for ts_ns, price, size in zip(*(column.to_pylist() for column in table.columns), strict=True)
    ]


def inserted(uri: str, documents: list[dict[str, Any]]) -> float:
    """Insert documents into an empty time series; return ticks a second."""
    client: pymongo.MongoClient[Any] = pymongo.MongoClient(uri)
    name = f"series_{uuid4().hex[:8]}"
    try:
        series = client[name].create_collection(
            "ticks", timeseries={"timeField": "ts", "metaField": "symbol", "granularity": "seconds"}
        )
        # Copies: the driver writes an _id into each, and would find it there the next time.
        fresh = [dict(each) for each in documents]
        began_s = time.perf_counter()
        for start in range(0, len(fresh), AT_ONCE):
            series.insert_many(fresh[start : start + AT_ONCE], ordered=False)
        return len(documents) / (time.perf_counter() - began_s)
    finally:
        client.drop_database(name)
        client.close()
