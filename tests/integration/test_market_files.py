"""Reading files from disk: every container, every kind of line, and what is left out and why."""

import gzip
import pickle
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qsuite.domain.errors import SetupError
from qsuite.domain.market import Bar, Quote, Trade
from qsuite.domain.times import parse_rfc3339
from qsuite.services.files import BadRow, FileKind, FileOptions, MarketRow, open_market_file

D = Decimal
MS = 1_000_000


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def read(path: Path, options: FileOptions | None = None, after_line: int = 0) -> list[MarketRow | BadRow]:
    return list(open_market_file(path, options).rows(after_line))


def test_trades_quotes_and_bars_are_told_apart(tmp_path: Path) -> None:
    assert read(write(tmp_path / "ibm_t.csv", "ts_utc_ms,price,size\n5,181.52,283\n")) == [
        Trade("IBM", 5 * MS, D("181.52"), D(283))
    ]
    assert read(write(tmp_path / "ibm_q.csv", "ts_utc_ms,bid,bid_size,ask,ask_size\n5,,,183.63,100\n")) == [
        Quote("IBM", 5 * MS, None, D("183.63"), None, D(100))
    ]
    bars = "symbol,date,open,high,low,close,volume,adj_close\nX,2020-01-02,1,3,1,2,9,1.5\nX,2020-01-03,1,3,1,2,0,1.5\n"
    assert read(write(tmp_path / "bars.csv", bars))[0] == Bar(
        "X", "1d", parse_rfc3339("2020-01-02T00:00:00Z"), D(1), D(3), D(1), D(2), D(9), adjusted_close=D("1.5")
    )
    mixed = (
        "symbol,ts,kind,price,size,bid,ask\nX,2020-01-02T00:00:00Z,trade,1,2,,\nX,2020-01-02T00:00:00Z,quote,,,1,2\n"
    )
    trade, quote = read(write(tmp_path / "ticks.csv", mixed))
    assert isinstance(trade, Trade)
    assert isinstance(quote, Quote)
    assert (trade.seq, quote.seq) == (0, 1)


def test_a_quote_bar_gives_its_closing_quote_at_its_last_nanosecond_and_the_bar_of_one_side(tmp_path: Path) -> None:
    header = "ts_utc_ms,bid_open,bid_high,bid_low,bid_close,bid_size,ask_open,ask_high,ask_low,ask_close,ask_size\n"
    path = write(tmp_path / "x.csv", header + "60000,1,4,1,2,10,3,6,3,5,20\n120000,1,4,1,2,10,,,,,\n")
    bar, quote, lone_bar, lone_quote = read(path)
    assert bar == Bar("X", "1m", 60000 * MS, D(1), D(4), D(1), D(2), D(0))
    assert quote == Quote("X", 120000 * MS - 1, D(2), D(5), D(10), D(20))
    assert isinstance(lone_bar, Bar)
    assert lone_quote == Quote("X", 180000 * MS - 1, D(2), None, D(10), None)
    assert read(path, FileOptions(quote_bars="quotes")) == [quote, lone_quote]
    (asks,) = read(path, FileOptions(quote_bars="bars", side="ask"))
    assert isinstance(asks, Bar)
    assert (asks.open, asks.high, asks.close) == (D(3), D(6), D(5))


def test_the_same_rows_come_from_csv_gzip_parquet_and_arrow(tmp_path: Path) -> None:
    text = "symbol,ts,price,size\n" + "".join(f"A,2020-01-01T00:00:{i:02d}.000000001Z,1.{i:02d},3\n" for i in range(60))
    expected = read(write(tmp_path / "plain.csv", text))
    stamps = [parse_rfc3339(f"2020-01-01T00:00:{i:02d}.000000001Z") for i in range(60)]
    table = pa.table(
        {
            "symbol": pa.array(["A"] * 60).dictionary_encode(),
            "ts": pa.array(stamps, pa.timestamp("ns", "UTC")),
            "price": [D(f"1.{i:02d}") for i in range(60)],
            "size": pa.array([3] * 60, pa.int32()),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=7)
    with pa.ipc.new_file(str(tmp_path / "a.arrow"), table.schema) as file:
        file.write_table(table, max_chunksize=7)
    with pa.ipc.new_stream(str(tmp_path / "a.arrows"), table.schema) as stream:
        stream.write_table(table)
    write(tmp_path / "gz.dat", gzip.compress(text.encode()))
    assert len(expected) == 60
    for name in ("gz.dat", "a.parquet", "a.arrow", "a.arrows"):
        assert read(tmp_path / name) == expected, name


def test_a_binary_float_is_read_as_its_shortest_decimal_and_said(tmp_path: Path) -> None:
    times = pa.array([0, 86_400_000], pa.timestamp("ms"))
    prices = {name: [1.38727, 2.2] for name in ("open", "high", "low", "close")}
    pq.write_table(pa.table({"date": times, **prices, "volume": [float("nan"), 1.0]}), tmp_path / "eurusd.parquet")
    file = open_market_file(tmp_path / "eurusd.parquet")
    first, second = file.rows()
    assert first == Bar("EURUSD", "1d", 0, *[D("1.38727")] * 4, D(0))
    assert isinstance(second, Bar)
    assert second.ts_ns == 86_400_000 * MS
    assert any("binary floats" in note for note in file.notes)


def test_bad_lines_are_reported_with_their_numbers_and_the_rest_is_kept(tmp_path: Path) -> None:
    lines = [
        b"ts_utc_ms,price,size",
        b"1,10,1",
        b"2,ten,1",
        b"",
        b"3,10",
        b"4,10,0",
        b"\xff,10,1",
        b'"5,10,1',
        b'6,"10",1\r',
        b"x,10,1",
        b",10,1",
        b"7,10,1",
    ]
    rows = read(write(tmp_path / "x.csv", b"\n".join(lines)))
    assert [row.ts_ns for row in rows if isinstance(row, Trade)] == [1 * MS, 6 * MS, 7 * MS]
    assert [(row.line, row.field) for row in rows if isinstance(row, BadRow)] == [
        (3, "price"), (5, None), (6, "size"), (7, None), (8, None), (10, "ts"), (11, "ts"),
    ]  # fmt: skip
    assert BadRow(6, "size: must be above zero", "size") in rows
    assert BadRow(11, "ts_utc_ms: missing", "ts") in rows


def test_a_bar_whose_high_is_not_its_highest_is_left_out(tmp_path: Path) -> None:
    rows = read(write(tmp_path / "x.csv", "date,open,high,low,close\n2020-01-02,1,2,1,3\n2020-01-03,1,3,1,3\n"))
    assert [type(row) for row in rows] == [Bar, BadRow]


def test_equal_times_are_numbered_in_file_order_and_late_ticks_by_their_line(tmp_path: Path) -> None:
    rows = read(write(tmp_path / "x.csv", "ts_utc_ms,price,size\n1,1,1\n1,2,1\n2,3,1\n1,4,1\n2,5,1\n"))
    assert [(row.price, row.seq) for row in rows if isinstance(row, Trade)] == [
        (1, 0), (2, 1), (3, 0), (4, 5), (5, 1),
    ]  # fmt: skip


def test_reading_goes_on_behind_any_chunk_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    lines = "".join(f"{1000 + i // 3},1.{i % 100:02d},1\n" for i in range(60_000))
    file = open_market_file(write(tmp_path / "x.csv", "ts_utc_ms,price,size\n" + lines))
    chunks = list(file.chunks())
    assert len(chunks) > 2
    assert chunks[-1].done == 1.0
    assert [chunk.done for chunk in chunks] == sorted(chunk.done for chunk in chunks)
    for index, chunk in enumerate(chunks):
        assert list(file.chunks(after_line=chunk.last_line)) == chunks[index + 1 :]


def test_options_name_symbol_columns_zone_and_interval(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", "when,o,h,l,c\n2020-07-01 09:30,1,2,1,2\n")
    options = FileOptions(symbol="IBM", columns={"ts": "when"}, tz="America/New_York", interval="60s")
    (bar,) = read(path, options)
    assert bar == Bar("IBM", "1m", parse_rfc3339("2020-07-01T13:30:00Z"), D(1), D(2), D(1), D(2), D(0))


def test_date_and_time_in_two_columns_are_one_time(tmp_path: Path) -> None:
    text = "<DATE>;<TIME>;<OPEN>;<HIGH>;<LOW>;<CLOSE>\n20200701;093000;1;2;1;2\n20200701;093100;1;2;1;2\n"
    first, _ = read(write(tmp_path / "gbpusd.csv", text))
    assert isinstance(first, Bar)
    assert (first.symbol, first.interval, first.ts_ns) == ("GBPUSD", "1m", parse_rfc3339("2020-07-01T09:30:00Z"))


def test_a_symbol_picks_its_rows_from_a_file_of_many(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", "symbol,ts_utc_ms,price,size\nA,1,1,1\nB,1,2,1\nA,2,3,1\n")
    assert [row.price for row in read(path, FileOptions(symbol="A")) if isinstance(row, Trade)] == [1, 3]
    assert {row.symbol for row in read(path) if isinstance(row, Trade)} == {"A", "B"}


def test_what_was_guessed_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "eurusd_5_minute.csv", "time,open,high,low,close\n2020-01-01 00:00,1,1,1,1\n")
    notes = " / ".join(open_market_file(path).notes)
    assert "symbol EURUSD taken from the file's name" in notes
    assert "times without a zone are read as UTC" in notes
    assert "bars of 1m" in notes


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.csv", b"", "neither CSV"),
        ("noise.csv", bytes(range(256)), "neither CSV"),
        ("header.csv", b"ts,price,size\n", "no rows"),
        ("factor.csv", b"symbol,date_inclusive_until,price_factor\nA,2020-01-01,1\n", "not market data"),
        ("a.parquet", b"PAR1" + b"\0" * 40, "damaged"),
        ("a.arrow", b"ARROW1\0\0" + b"\0" * 40, "damaged"),
        ("x.gz", gzip.compress(b"ts_utc_ms,price,size\n1,1,1\n" * 9)[:30], "damaged gzip"),
        ("long.csv", b"ts_utc_ms,price,size\n" + b"1" * 700_000, "a line longer"),
        ("one.csv", b"date,open,high,low,close\n2020-01-01,1,1,1,1\n", "give --interval"),
        ("_.csv", b"ts_utc_ms,price,size\n1,1,1\n", "give --symbol"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_one_plain_line(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(SetupError, match=reason) as refused:
        list(open_market_file(path).rows())
    assert "\n" not in refused.value.detail
    assert path.name in refused.value.detail


@pytest.mark.parametrize("options", [{"tz": "Mars"}, {"interval": "7m"}, {"symbol": "A B"}, {"columns": {"ts": "no"}}])
def test_an_option_that_makes_no_sense_is_refused(tmp_path: Path, options: dict[str, object]) -> None:
    path = write(tmp_path / "x.csv", "date,open,high,low,close\n2020-01-01,1,1,1,1\n2020-01-02,1,1,1,1\n")
    with pytest.raises(SetupError):
        open_market_file(path, FileOptions(**options))  # type: ignore[arg-type]


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="No such file"):
        open_market_file(tmp_path / "nowhere.csv")


def test_a_file_is_known_by_its_content_and_how_it_is_read(tmp_path: Path) -> None:
    one = write(tmp_path / "a.csv", "symbol,ts_utc_ms,price,size\nA,1,1,1\n")
    same = write(tmp_path / "b.csv", one.read_bytes())
    other = write(tmp_path / "c.csv", "symbol,ts_utc_ms,price,size\nA,1,1,2\n")
    prints = [open_market_file(path).fingerprint() for path in (one, same, other)]
    assert prints[0] == prints[1]
    assert prints[0] != prints[2]
    assert open_market_file(one, FileOptions(symbol="A")).fingerprint() != prints[0]
    assert open_market_file(one).kind is FileKind.TRADES


def test_an_opened_file_can_be_read_by_another_process(tmp_path: Path) -> None:
    file = open_market_file(write(tmp_path / "x.csv", "ts_utc_ms,price,size\n1,1,1\n"))
    assert list(pickle.loads(pickle.dumps(file)).rows()) == list(file.rows())
