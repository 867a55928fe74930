"""Columns read from tick files are the ticks that rows give, whatever the file; reading row by row is the judge."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from qsuite.domain.errors import SetupError
from qsuite.domain.market import Bar
from qsuite.domain.tick_columns.columns import to_ticks
from qsuite.services.files import FileOptions, MarketFile, money_cells, open_market_file, tables, tick_pieces
from qsuite.services.files.tick_chunks import tick_chunks
from qsuite.services.files.tick_columns import ColumnBuilder

T0_MS = 1_381_152_600_000

USUAL = st.integers(1, 30_000).map(lambda cents: f"{Decimal(cents).scaleb(-2)}") | st.sampled_from(
    ["181.5", "181.50", "181.500", "7", "0.00000001", "100", "0012.30", ".5", "5.", "123456789.123456789"]
)
UNUSUAL = st.sampled_from(
    """ 181.5|181.5\t|+1|-1|1e-3|1E+2|nan|inf|1_0|٣|0x10|1,5|"2.5"|123456789012345678|1234567890123456789
    0.1234567890123456789|1e-30|99999999999999999999.5|1.2.3||0|0.00""".replace("\n    ", "|").split("|")
)
PRICE = st.one_of(*[USUAL] * 30, UNUSUAL)
TIME = st.one_of(
    *[st.integers(T0_MS, T0_MS + 5).map(str)] * 20,
    st.sampled_from(["", "never", " 1381152600000", "-5", "0x10", "1381152600000.5", "1e12", "99999999999999999"]),
)
SECONDS = st.integers(T0_MS, T0_MS + 50).map(lambda stamp: f"{stamp // 1000}.{stamp % 1000:03d}".rstrip("0"))
FINER = st.sampled_from(["1381152600.123456789", "1381152600.1234567891", "1381152600", "1e9", "1.5.5", "9.9", ""])
SYMBOL = st.one_of(*[st.sampled_from(["IBM", "SPY", "0xAB"])] * 20, st.sampled_from(["", " IBM", "no symbol", "é"]))
KIND = st.one_of(*[st.sampled_from(["trade", "quote", " Trade"])] * 20, st.just("bar"))
END = st.one_of(*[st.just("\n")] * 40, st.sampled_from(["\r\n", "\n\n", ",9\n", "\r", "\n\r\n"]))
HEADERS = {
    "ts_utc_ms,price,size": (TIME, PRICE, PRICE),
    "symbol,ts_utc_ms,bid,ask,bid_size,ask_size": (SYMBOL, TIME, PRICE, PRICE, PRICE, PRICE),
    "ts_utc_ms,kind,price,size,bid,ask": (TIME, KIND, PRICE, PRICE, PRICE, PRICE),
    "ts_s,ask,symbol": (st.one_of(*[SECONDS] * 20, FINER), PRICE, SYMBOL),
    "venue,ts_utc_ms,ask": (SYMBOL, TIME, PRICE),
}


@st.composite
def texts(draw: st.DrawFn) -> str:
    header = draw(st.sampled_from(list(HEADERS)))
    line = st.tuples(*HEADERS[header]).map(",".join)
    lines = draw(st.lists(st.tuples(line, END).map("".join), min_size=1, max_size=40))
    return f"{header}\n{''.join(lines)}"


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pieces end everywhere."""
    for module, name, size in (
        (tables, "READ_BYTES", 64),
        (tick_pieces, "PIECE_BYTES", 256),
        (tick_pieces, "SMALL_BYTES", 64),
        (tick_pieces, "PIECE_ROWS", 16),
        (tick_pieces, "SMALL_ROWS", 4),
        (money_cells, "FEW", 5),
        (money_cells, "SAMPLED", 8),
    ):
        monkeypatch.setattr(module, name, size)


def opened(path: Path, options: FileOptions) -> MarketFile:
    try:
        return open_market_file(path, options)
    except SetupError:
        assume(False)
        raise


def same(file: MarketFile) -> None:
    expected: dict[str, list[str]] = {}
    for row in (row for chunk in file.chunks() for row in chunk.rows):
        assert not isinstance(row, Bar)
        expected.setdefault(row.symbol, []).append(repr(row))
    found: dict[str, list[str]] = {}
    for part in (part for chunk in tick_chunks(file) for part in chunk.ticks):
        found.setdefault(part.columns.symbol, []).extend(map(repr, to_ticks(part.columns)))
    assert found == expected
    assert refused(tick_chunks(file)) == refused(file.chunks())


def told(file: MarketFile, after_line: int = 0) -> list[tuple[int, str, str]]:
    """Return the line of each tick, and the tick; the refused lines as well."""
    found = []
    for chunk in tick_chunks(file, after_line):
        for part in chunk.ticks:
            ticks = map(repr, to_ticks(part.columns))
            found += [(line, part.columns.symbol, tick) for line, tick in zip(part.lines.tolist(), ticks, strict=True)]
        found += [(bad.line, "", bad.reason) for bad in chunk.bad]
    return sorted(found)


def refused(chunks: Iterator[Any]) -> list[Any]:
    return [bad for chunk in chunks for bad in chunk.bad]


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts(), st.sampled_from([None, "IBM", "SPY"]), st.integers(1, 45))
@example("ts_utc_ms,price,size\n5,1.50,1\n5,1.5,1\n4,1,1\n5,1,1\n6,1,1", "IBM", 3)
def test_text_gives_the_same_ticks_by_columns_as_by_rows(text: str, symbol: str | None, line: int) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "xyz.csv"
        path.write_bytes(text.encode())
        file = opened(path, FileOptions(symbol=symbol))
        same(file)
        assert told(file, line) == [each for each in told(file) if each[0] > line]


NUMBERS = st.none() | st.integers(1, 99_999)
TYPES = (
    pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string()), pa.decimal128(9, 2), pa.decimal128(38, 20),
    pa.float64(), pa.float32(), pa.int64(), pa.uint16(),
)  # fmt: skip
TIMES = (
    (pa.int64(), "ts_ms", None), (pa.int32(), "ts_s", None), (pa.float64(), "ts_s", None), (pa.string(), "ts_ms", None),
    (pa.timestamp("ns"), "ts", "America/New_York"), (pa.timestamp("us", "Europe/London"), "ts", None),
    (pa.timestamp("ms"), "ts", None), (pa.string(), "ts", "UTC-05"), (pa.date32(), "ts", None),
)  # fmt: skip


def column(values: list[int | None], kind: Any) -> Any:
    """Make a column of hundredths, or whole where the type holds no other."""
    if pa.types.is_integer(kind):
        return pa.array(values, kind)
    found = pa.array([None if value is None else Decimal(value).scaleb(-2) for value in values], pa.decimal128(9, 2))
    return found.cast(pa.string()).cast(kind) if not pa.types.is_decimal(kind) else found.cast(kind)


def times(stamps: list[int], kind: Any) -> Any:
    if pa.types.is_integer(kind):
        return pa.array([stamp % 1_000_000_000 for stamp in stamps], kind)
    if pa.types.is_floating(kind):
        return pa.array([stamp / 1_000 for stamp in stamps])
    texts = [datetime.fromtimestamp(stamp / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") for stamp in stamps]
    return pa.array(texts).cast(pa.timestamp("ns")).cast(kind, safe=False) if kind != pa.string() else pa.array(texts)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(T0_MS, T0_MS + 4), NUMBERS, NUMBERS), min_size=1, max_size=50),
    st.sampled_from(TYPES),
    st.sampled_from(TIMES),
    st.sampled_from(["parquet", "file", "stream"]),
)
def test_parquet_and_arrow_give_the_same_ticks_by_columns_as_by_rows(
    rows: list[tuple[int, int | None, int | None]], money: Any, time: tuple[Any, str, str | None], container: str
) -> None:
    stamps, bids, asks = map(list, zip(*rows, strict=True))
    kind, name, zone = time
    assume(not (kind == pa.string() and name == "ts_ms"))
    table = pa.table(
        {
            "venue": ["N"] * len(rows),
            name: times(stamps, kind),
            "bid": column([value and value % 60_000 for value in bids], money),
            "ask": column(asks if money != pa.uint16() else [value and value % 60_000 for value in asks], money),
        }
    )
    with TemporaryDirectory() as folder:
        path = Path(folder) / "xyz.data"
        if container == "parquet":
            pq.write_table(table, path, row_group_size=7)
        else:
            make = pa.ipc.new_file if container == "file" else pa.ipc.new_stream
            with pa.OSFile(str(path), "wb") as sink, make(sink, table.schema) as writer:
                writer.write_table(table, max_chunksize=9)
        same(opened(path, FileOptions(symbol="XYZ", tz=zone)))


def test_an_ordinary_file_is_never_read_row_by_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "".join(f"{T0_MS + row // 3},{100 + row % 700}.{row % 100:02d},{1 + row % 9}\n" for row in range(5_000))
    (path := tmp_path / "xyz.csv").write_text("ts_utc_ms,price,size\n" + lines)
    built: list[int] = []
    real = ColumnBuilder.build

    def build(self: ColumnBuilder, cells: Any, numbers: Any) -> Any:
        found = real(self, cells, numbers)
        built.append(len(numbers))
        return found

    monkeypatch.setattr(ColumnBuilder, "build", build)
    same(open_market_file(path))
    assert sum(built) == 2 * 5_000  # the ticks, and what is refused, are read one after the other


def test_a_damaged_arrow_file_is_named(tmp_path: Path) -> None:
    prices = pa.array(["181.5"] * 100)
    *_, data = prices.buffers()
    places = [1 << 30 if place == 250 else place for place in range(0, 505, 5)]
    beyond = pa.py_buffer(b"".join(place.to_bytes(4, "little") for place in places))
    broken = pa.Array.from_buffers(pa.string(), 100, [None, beyond, data])
    stamps = pa.array(range(T0_MS, T0_MS + 100))
    path = tmp_path / "xyz.arrow"
    schema = pa.schema([("ts_ms", pa.int64()), ("price", pa.string()), ("size", pa.int64())])
    for name, column in (("good", prices), ("bad", broken)):
        with pa.OSFile(str(tmp_path / name), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
            writer.write_batch(pa.record_batch([stamps, column, stamps], schema=schema))
    file = open_market_file(tmp_path / "good", FileOptions(symbol="XYZ"))
    assert sum(chunk.rows for chunk in tick_chunks(file)) == 100
    path.write_bytes((tmp_path / "bad").read_bytes())
    with pytest.raises(SetupError, match="damaged"):
        list(tick_chunks(replace(file, path=path)))
