"""Ticks read and written beside other stores on one fresh mongod: the same made-up quotes, the same answer.

A DataFrame has an index of nanoseconds and bid, ask, bid_size and ask_size as floats, whoever makes it. Every peer runs
in a process and a virtual environment of its own; pymongo and pymongoarrow read a plain time-series collection that
holds floats, which is less than the exact decimals that QSuite's own series has. Writing is timed until a majority has
it in the journal, for QSuite; ArcticDB asks for what it asks for.
"""

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.book import interpreter
from benchmarks.harness import Figure, in_pairs
from benchmarks.mongod import fresh_mongod
from benchmarks.peer_process import asking
from benchmarks.tick_peers import SIDES, SYMBOL, T0_NS, numbers
from qsuite.domain.tick_columns.columns import OF_TRADES, MoneyColumn, TickColumns, to_columns
from qsuite.domain.tick_columns.runs import cut
from qsuite.repos import tick_blocks, tick_seals, ticks
from qsuite.repos.database import Database, connect
from qsuite.repos.schema import migrate
from qsuite.repos.tick_blocks import BLOCK_TICKS, TickBlocks
from qsuite.research import LocalTicks

PEER = Path(__file__).with_name("tick_peers.py")
COUNT = 2_000_000
COUNT_OF_SLOW = 200_000
"""Reading a time series takes twenty times as long: of fewer ticks, and counted by the second as all."""
HOUR_NS = 3_600 * 1_000_000_000
HISTORIES = (1, 10, 100)
BLOCKS_OF_LEAST = 4
PEERS = {
    "arcticdb": ("6.28.2",),
    "pymongo": ("4.20.0", "pandas==2.3.3"),
    "pymongoarrow": ("1.15.0", "pandas==2.3.3"),
}
"""Each with its version, and what it needs beside it."""


def figures() -> list[Figure]:
    """Measure reading and writing beside each peer that is to be had, and how reading grows with history."""
    with ExitStack() as stack:
        ours = Ours(stack.enter_context(fresh_mongod()))
        return [*beside_peers(ours), *growing(ours)]


class Ours:
    """QSuite's ticks on the mongod that the peers use too."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.runs = runs_of(numbers(COUNT))

    def connected(self, name: str) -> Database:
        """Connect to a database of this name, migrated."""
        database = connect(self.uri, name, timeout_s=60)
        asyncio.run(migrate(database, (ticks.SPEC, tick_blocks.SPEC, tick_seals.SPEC)))
        return database

    def written(self, name: str) -> float:
        """Write all as blocks into an empty database; return ticks a second."""
        database = self.connected(name)
        database.sync[tick_blocks.NAME].delete_many({})
        blocks = TickBlocks(database)
        began = time.perf_counter()
        for run in self.runs:
            blocks.insert_columns(run, in_series=False)
        took = time.perf_counter() - began
        database.close()
        return COUNT / took


def runs_of(given: dict[str, Any]) -> list[TickColumns]:
    """Return the quotes as columns, a block's worth each."""
    count = len(given["ts_ns"])
    money = to_columns(SYMBOL, []).money
    for side in SIDES:
        no, zeros = np.zeros(count, dtype=np.bool_), np.zeros(count, dtype=np.int64)
        money[side] = MoneyColumn(-5 if side in ("bid", "ask") else 0, given[side].astype(np.int64), zeros, no, {})
    assert not any(len(money[name].units) for name in OF_TRADES)
    whole = TickColumns(SYMBOL, given["ts_ns"], np.zeros(count, np.int64), np.zeros(count, np.bool_), money)
    return [cut(whole, start, min(start + BLOCK_TICKS, count)) for start in range(0, count, BLOCK_TICKS)]


def beside_peers(ours: Ours) -> Iterator[Figure]:
    """Measure against each peer that is to be had."""
    name = "reads"
    ours.written(name)
    with ExitStack() as stack:
        local = stack.enter_context(LocalTicks(ours.uri, name))
        for peer, count, ask, row, first_bar, aim in (
            ("pymongo", COUNT_OF_SLOW, "frame", "tick range to DataFrame", ">= 8", ">= 25"),
            ("pymongoarrow", COUNT_OF_SLOW, "table", "tick range to Arrow Table", "-", "-"),
            ("arcticdb", COUNT, "frame", "ticks read to DataFrame", ">= 0.7", ">= 1.2"),
            ("arcticdb", COUNT, "write", "ticks written", ">= 0.7", ">= 1.2"),
        ):
            python = interpreter(peer, *PEERS[peer])
            if python is None:
                continue
            with asking(python, PEER, peer, ours.uri, count) as asked:
                asked("write" if peer == "arcticdb" else ask)  # what is to be read; caches
                reading = local.frame if ask == "frame" else local.table
                measure = (lambda: ours.written("writes")) if ask == "write" else (lambda read=reading: rate(read))  # type: ignore[misc]
                measure()
                yield in_pairs(
                    f"{row}, {COUNT // 1_000_000} M",
                    unit="tick/s",
                    measure=measure,
                    peer=f"{peer} {ask}, {count / 1e6:g} M",
                    measure_peer=lambda asked=asked, ask=ask: asked(ask),  # type: ignore[misc]
                    first_bar=first_bar,
                    aim=aim,
                )


def growing(ours: Ours) -> Iterator[Figure]:
    """Measure reading one hour of longer histories beside that of the shortest: with a ratio of 1 it costs the same."""
    with ExitStack() as stack:
        reads = {}
        for times in HISTORIES:
            history(ours, f"history_{times}", BLOCKS_OF_LEAST * times)
            reads[times] = stack.enter_context(LocalTicks(ours.uri, f"history_{times}")).frame
            an_hour(reads[times])
        least, *more = HISTORIES
        for times in more:
            yield in_pairs(
                f"an hour of ticks read, {BLOCKS_OF_LEAST * times} blocks stored",
                unit="tick/s",
                measure=lambda times=times: an_hour(reads[times]),  # type: ignore[misc]
                peer=f"with {BLOCKS_OF_LEAST} blocks",
                measure_peer=lambda: an_hour(reads[least]),
                first_bar="-",
                aim="-",
            )


def history(ours: Ours, name: str, count: int) -> None:
    """Store so many blocks: the same hours again and again, later each time."""
    database = ours.connected(name)
    of_least = ours.runs[:BLOCKS_OF_LEAST]
    span_ns = int(of_least[-1].ts_ns[-1] - of_least[0].ts_ns[0]) + 1
    for number in range(count):
        again, place = divmod(number, BLOCKS_OF_LEAST)
        run = replace(of_least[place], ts_ns=of_least[place].ts_ns + again * span_ns)
        TickBlocks(database).insert_columns(run, in_series=False)
    database.close()


def an_hour(read: Callable[..., Any]) -> float:
    """Return ticks a second of reading one hour in the first blocks, ten times."""
    start_ns = T0_NS + HOUR_NS
    return statistics.median(rate(read, start=start_ns, end=start_ns + HOUR_NS) for _ in range(10))


def rate(read: Callable[..., Any], **query: Any) -> float:
    """Return ticks a second of one reading."""
    began = time.perf_counter()
    found = read(SYMBOL, kind="quote", **query)
    return len(found) / (time.perf_counter() - began)
