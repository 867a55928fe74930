"""DataFrames and Tables straight from the database, beside the ticks themselves: on a real MongoDB."""

import math
from contextlib import closing
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from tornado.ioloop import IOLoop

from qsuite.domain.errors import Unavailable
from qsuite.domain.market import Tick, Trade
from qsuite.domain.tick_columns.columns import to_ticks
from qsuite.domain.times import format_rfc3339, parse_rfc3339
from qsuite.repos import tick_blocks, tick_seals, ticks
from qsuite.repos.database import Database
from qsuite.repos.schema import migrate
from qsuite.repos.tick_sealing import TickSealing
from qsuite.repos.ticks import TicksRepo
from qsuite.research import LocalTicks
from tests.support.market import quote, trade

T0 = parse_rfc3339("2013-10-07T13:30:00.123456789Z")
SECOND = 10**9
GIVEN: list[Tick] = [
    quote(T0, "181.50", None),
    trade(T0, "181.5", "1E+2", seq=1),
    trade(T0 + 1, "181.52", "0.00000001", seq=2),
    quote(T0 + SECOND, "181.51", "1234567890123456789012345.123456789", seq=3),
    trade(T0 + 2 * SECOND, "0.30", "3", seq=4),
    quote(T0 + 3 * SECOND, None, "181.6", seq=5),
]


@pytest.fixture
def stored(mongod: str, database: Database, io_loop: IOLoop) -> LocalTicks:
    """The first ticks in blocks, the others in the series."""
    io_loop.run_sync(lambda: migrate(database, (ticks.SPEC, tick_blocks.SPEC, tick_seals.SPEC)))
    io_loop.run_sync(lambda: TicksRepo(database).add(GIVEN))
    assert TickSealing(database, "ticks", block_ticks=2).seal("IBM", T0 + 2 * SECOND) == 2
    return LocalTicks(mongod, database.name)


def floats(name: str, given: list[Tick]) -> list[float]:
    values = [getattr(tick, name, None) for tick in given]
    return [math.nan if value is None else float(value) for value in values]


def test_a_frame_holds_the_nearest_floats_indexed_by_time(stored: LocalTicks) -> None:
    with stored:
        frame = stored.frame("IBM")
    assert frame.index.tolist() == [pd.Timestamp(tick.ts_ns, tz="UTC") for tick in GIVEN]
    assert (str(frame.index.dtype), frame.index.name) == ("datetime64[ns, UTC]", "ts")
    assert frame["kind"].tolist() == ["quote", "trade", "trade", "quote", "trade", "quote"]
    for name in ("price", "size", "bid", "ask", "bid_size", "ask_size"):
        assert repr(frame[name].tolist()) == repr(floats(name, GIVEN))


def test_a_frame_of_one_kind_has_the_figures_of_that_kind(stored: LocalTicks) -> None:
    with stored:
        quotes, trades = stored.frame("IBM", kind="quote"), stored.frame("IBM", kind="trade")
        nothing = stored.frame("MSFT", kind="trade")
    assert list(quotes.columns) == ["bid", "ask", "bid_size", "ask_size"]
    of_trades = [tick for tick in GIVEN if isinstance(tick, Trade)]
    assert trades["price"].tolist() == floats("price", of_trades)
    assert (list(trades.columns), list(nothing.columns), len(nothing)) == (["price", "size"], ["price", "size"], 0)


def test_a_table_holds_exact_decimals(stored: LocalTicks) -> None:
    with stored:
        table, trades = stored.table("IBM"), stored.table("IBM", kind="trade")
        nothing = stored.table("MSFT")
    assert table.schema.field("price").type == pa.decimal128(38, 2)
    assert table.schema.field("bid").type == pa.decimal128(38, 2)
    assert table.schema.field("ask").type == pa.decimal128(38, 9)
    wanted = [
        {"kind": "trade" if isinstance(tick, Trade) else "quote", "seq": tick.seq}
        | {name: getattr(tick, name, None) for name in ("price", "size", "bid", "ask", "bid_size", "ask_size")}
        for tick in GIVEN
    ]
    assert [{name: row[name] for name in wanted[0]} for row in table.to_pylist()] == wanted
    assert table.column("ts").cast(pa.int64()).to_pylist() == [tick.ts_ns for tick in GIVEN]
    assert trades.column_names == ["ts", "price", "size", "seq"]
    assert trades.column("size").to_pylist() == [Decimal(100), Decimal("0.00000001"), Decimal(3)]
    assert (nothing.num_rows, nothing.column_names) == (0, table.column_names)


START_NS = T0 + 1
INSTANTS: list[Any] = [
    START_NS,
    format_rfc3339(START_NS),
    pd.Timestamp(START_NS, tz="UTC"),
    datetime(2013, 10, 7, 15, 30, 0, 123457, tzinfo=timezone(timedelta(hours=2))),
]


@pytest.mark.parametrize(("start", "first"), list(zip(INSTANTS, [2, 2, 2, 3], strict=True)))
def test_a_range_is_bounded_by_nanoseconds_text_or_datetimes(stored: LocalTicks, start: Any, first: int) -> None:
    with stored:
        table = stored.table("IBM", start=start, end=T0 + 3 * SECOND)
        with closing(stored.runs("IBM", start=start, end=T0 + 3 * SECOND)) as runs:
            found = [tick for run in runs for tick in to_ticks(run)]
    assert table.column("seq").to_pylist() == list(range(first, 5))
    assert repr(found) == repr(GIVEN[first:5])


def test_what_is_no_time_kind_or_database_is_said_so(stored: LocalTicks) -> None:
    with stored, pytest.raises(ValueError, match="zone"):
        stored.frame("IBM", start=datetime(2013, 10, 7))  # noqa: DTZ001
    with stored, pytest.raises(ValueError, match="bars"):
        stored.frame("IBM", kind="bars")
    with LocalTicks("mongodb://127.0.0.1:1", timeout_s=0.3) as nowhere, pytest.raises(Unavailable):
        nowhere.frame("IBM")
