"""Request bodies of bars and ticks: exact when right, explained when wrong, and never a crash."""

import io
import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from qsuite.domain.errors import Invalid, Malformed, TooLarge, UnsupportedMedia
from qsuite.domain.market import Bar, Quote, Trade
from qsuite.domain.times import parse_rfc3339
from qsuite.services.files.bodies import decode_bars, decode_ticks
from qsuite.services.files.rows import BadRow

D = Decimal
JSON, NDJSON, CSV = "application/json", "application/x-ndjson", "text/csv; charset=utf-8"
ARROW = "application/vnd.apache.arrow.stream"
TS = "2026-01-31T14:30:00.123456789Z"
TRADE = {"symbol": "AAPL", "ts": TS, "kind": "trade", "price": "150.25", "size": 100}
BAR = {"symbol": "AAPL", "interval": "1m", "timestamp": TS, "open": 1, "high": 3, "low": 1, "close": 2, "volume": 7}


def arrow(columns: dict[str, Any], **options: Any) -> bytes:
    sink, table = io.BytesIO(), pa.table(columns)
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as stream:
        stream.write_table(table)
    return sink.getvalue()


def reason(row: dict[str, object], decode: Any = decode_ticks) -> str:
    decoded = decode(json.dumps([row]).encode(), JSON)
    assert decoded.rows == []
    (bad,) = decoded.bad
    assert bad.line == 1
    return str(bad.reason)


def test_the_four_encodings_of_one_tick_give_one_trade() -> None:
    expected = [Trade("AAPL", parse_rfc3339(TS), D("150.25"), D(100))]
    text = f"symbol,ts,kind,price,size,bid\nAAPL,{TS},trade,150.25,100,\n"
    columns = {
        "symbol": pa.array(["AAPL"]).dictionary_encode(),
        "ts": pa.array([parse_rfc3339(TS)], pa.timestamp("ns", "America/New_York")),
        "price": pa.array([D("150.25")]),
        "size": pa.array([100]),
    }
    assert decode_ticks(json.dumps([TRADE]).encode(), JSON).rows == expected
    assert decode_ticks(json.dumps(TRADE).encode() + b"\n\n", NDJSON).rows == expected
    assert decode_ticks(text.encode(), CSV).rows == expected
    assert decode_ticks(arrow(columns), ARROW).rows == expected


def test_numbers_keep_every_digit_they_were_written_with() -> None:
    # As a binary float the price would be 1.12345678901234569.
    body = b'[{"symbol":"A","ts":"2026-01-01T00:00:00Z","price":1.123456789012345678,"size":1e2}]'
    (trade,) = decode_ticks(body, JSON).rows
    assert isinstance(trade, Trade)
    assert str(trade.price) == "1.123456789012345678"
    assert trade.size == 100


def test_a_quote_may_be_one_sided_and_crossed_but_not_empty() -> None:
    rows = [
        {"symbol": "A", "ts": TS, "bid": "2", "ask": "1", "bid_size": 0},
        {"symbol": "A", "ts": TS, "kind": "quote", "bid": None, "ask": "1", "ask_size": "5"},
    ]
    crossed, one_sided = decode_ticks(json.dumps(rows).encode(), JSON).rows
    at = parse_rfc3339(TS)
    assert crossed == Quote("A", at, D(2), D(1), D(0), None)
    assert one_sided == Quote("A", at, None, D(1), None, D(5))
    assert reason({"symbol": "A", "ts": TS, "kind": "quote"}) == "bid: neither a bid nor an ask"


@pytest.mark.parametrize(
    ("change", "explained"),
    [
        ({"price": 0}, "price: must be above zero"),
        ({"price": "-1"}, "price: must be above zero"),
        ({"size": 0}, "size: must be above zero"),
        ({"price": True}, "price: not a decimal number"),
        ({"price": "1_000"}, "price: not a decimal number"),
        ({"price": "١٢"}, "price: not a decimal number"),
        ({"price": " 1"}, "price: not a decimal number"),
        ({"price": "NaN"}, "price: not a decimal number"),
        ({"price": [1]}, "price: not a decimal number"),
        ({"price": "1" * 35}, "price: "),
        ({"price": None}, "price: missing"),
        ({"ts": "2026-01-31T14:30:00"}, "ts: not an RFC 3339 time"),
        ({"ts": 1767225600}, "ts: must be a string"),
        ({"ts": "9999-01-01T00:00:00Z"}, "ts: outside the years"),
        ({"ts": None}, "timestamp: missing"),
        ({"timestamp": TS}, "ts: given twice"),
        ({"symbol": "A B"}, "symbol: not a symbol"),
        ({"symbol": "\ud800"}, "symbol: not a symbol"),
        ({"symbol": "A\n"}, None),
        ({"symbol": {"$ne": None}}, "symbol: must be a string"),
        ({"kind": "bar"}, "kind: neither trade nor quote"),
        ({"kind": False}, "kind: neither trade nor quote"),
        ({"bid": "1"}, "bid: a trade has none"),
        ({"seq": -1}, "seq: not a whole number"),
        ({"colour\x00\ud800": "red"}, "unknown field 'colour\\x00\\ud800'"),
    ],
)
def test_a_wrong_tick_is_explained(change: dict[str, object], explained: str | None) -> None:
    row = {**TRADE, **change}
    if explained is None:  # white space round a symbol is taken off
        assert decode_ticks(json.dumps([row]).encode(), JSON).bad == []
    else:
        assert explained in reason(row)


@pytest.mark.parametrize(
    ("change", "explained"),
    [
        ({"high": 2.5}, None),
        ({"high": "1.5"}, "high: the high is below"),
        ({"low": "1.5"}, "low: the low is above"),
        ({"low": 4}, "high: the high is below"),
        ({"volume": -1}, "volume: must not be below zero"),
        ({"volume": None}, None),
        ({"close": None}, "close: missing"),
        ({"interval": "7m"}, "interval: an interval must divide a day"),
        ({"interval": None}, "interval: missing"),
        ({"adjusted_close": 0}, "adjusted_close: must be above zero"),
        ({"ticker": "MSFT"}, "ticker: differs from the symbol"),
        ({"ticker": "AAPL"}, None),
        ({"ticker": "0197e2f1-3c1a-7d3e-9b43-0a4c3a0b7a11"}, None),
        ({"symbol": None}, "symbol: missing"),
    ],
)
def test_a_bar_is_held_to_its_rules(change: dict[str, object], explained: str | None) -> None:
    if explained is None:
        assert decode_bars(json.dumps([{**BAR, **change}]).encode(), JSON).bad == []
    else:
        assert explained in reason({**BAR, **change}, decode_bars)


def test_a_bar_may_name_its_ticker_and_take_the_interval_of_its_request() -> None:
    row = {**BAR, "ticker": "MSFT", "volume": "1.50", "adjusted_close": "1.9"}
    del row["symbol"], row["interval"]
    (bar,) = decode_bars(json.dumps([row]).encode(), JSON, default_interval="1d").rows
    assert bar == Bar("MSFT", "1d", parse_rfc3339(TS), D(1), D(3), D(1), D(2), D("1.50"), adjusted_close=D("1.9"))


def test_one_bad_line_costs_that_line_alone() -> None:
    good = json.dumps(TRADE)
    decoded = decode_ticks(f"{good}\n{{nonsense\n\n{good}\n[1]\nNaN\n".encode() + b"\xff\n", NDJSON)
    assert decoded.lines == [1, 4]
    assert [bad.line for bad in decoded.bad] == [2, 5, 6, 7]
    text = f'symbol,ts,price,size\nAAPL,{TS},1,1\nAAPL,{TS},x,1\nAAPL,{TS},1\n"AAPL,{TS},1,1\n"AAPL",{TS},1,"1"\n'
    csv_decoded = decode_ticks(text.encode(), CSV)
    assert csv_decoded.lines == [2, 6]
    assert sorted(bad.line for bad in csv_decoded.bad) == [3, 4, 5]
    assert BadRow(3, "price: not a decimal number", "price") in csv_decoded.bad


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[NaN]",
        b"[Infinity]",
        b'[{"price": -Infinity}]',
        b"\xff\xfe[\x00]\x00",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'["\x01"]',
        b"[1 2]",
        b"[1,]",
        b"[,1]",
        b"[1",
        b"[1,",
        b"[]]",
        b"[{}] {}",
        b"{} []",
    ],
)
def test_json_that_cannot_be_read_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        decode_ticks(body, JSON)


@pytest.mark.parametrize("body", [b" [ ] ", b"\r\n[\t]\n", b"\xef\xbb\xbf[]"])
def test_an_empty_array_is_no_rows_whatever_the_space_in_it(body: bytes) -> None:
    assert decode_ticks(body, JSON) == ([], [], [])


@pytest.mark.parametrize("media", [JSON, NDJSON, CSV, ARROW])
def test_lines_of_long_bodies_are_counted_as_the_sender_counts_them(media: str) -> None:
    rows = [{"symbol": "AAPL", "ts": TS, "price": str(1 + at), "size": "1"} for at in range(5_000)]
    for at in (0, 999, 1_000, 2_345, 4_999):
        rows[at]["price"] = "x"
    if media == JSON:
        body, first = json.dumps(rows, indent=1).encode(), 1
    elif media == NDJSON:
        body, first = "\n".join(map(json.dumps, rows)).encode(), 1
    elif media == CSV:
        body, first = "\r\n".join(["symbol,ts,price,size", *(",".join(row.values()) for row in rows)]).encode(), 2
    else:
        body, first = arrow({name: [row[name] for row in rows] for name in rows[0]}), 1
    decoded = decode_ticks(body, media)
    assert [bad.line - first for bad in decoded.bad] == [0, 999, 1_000, 2_345, 4_999]
    assert [int(tick.price) - 1 for tick in decoded.rows] == [line - first for line in decoded.lines]  # type: ignore[union-attr]
    assert len(decoded.rows) == 4_995


@pytest.mark.parametrize("number", ["1" * 10_000, "1e400", "1e99999999999999999999", "-0", "1" * 5000 + ".5"])
def test_a_number_beyond_all_bounds_is_one_bad_row(number: str) -> None:
    body = f'[{{"symbol":"A","ts":"{TS}","price":{number},"size":1}}]'.encode()
    assert [bad.field for bad in decode_ticks(body, JSON).bad] == ["price"]


def test_an_unknown_column_is_named_once_for_the_whole_body() -> None:
    with pytest.raises(Invalid) as refused:
        decode_ticks(b"symbol,ts,price,size,colour\n", CSV)
    assert refused.value.errors == {"colour": ["unknown field"]}
    with pytest.raises(Invalid, match="twice"):
        decode_ticks(b"symbol,symbol\n", CSV)


@pytest.mark.parametrize("media", ["", "text/plain", "application/json; charset=latin-1", "application/octet-stream"])
def test_another_media_type_is_refused(media: str) -> None:
    with pytest.raises(UnsupportedMedia):
        decode_ticks(b"[]", media)


def test_more_rows_than_allowed_are_refused() -> None:
    with pytest.raises(TooLarge):
        decode_ticks(json.dumps([TRADE] * 3).encode(), JSON, rows_max=2)


def test_a_compressed_arrow_stream_is_refused_before_it_is_inflated() -> None:
    columns = {"symbol": ["A"] * 1000, "ts": [TS] * 1000, "price": ["1"] * 1000, "size": ["1"] * 1000}
    assert len(decode_ticks(arrow(columns), ARROW).rows) == 1000
    for codec in ("lz4", "zstd"):
        with pytest.raises(Malformed, match="uncompressed"):
            decode_ticks(arrow(columns, compression=codec), ARROW)


def test_an_arrow_time_without_a_zone_is_refused() -> None:
    columns = {"symbol": ["A"], "ts": pa.array([1], pa.timestamp("ns")), "price": ["1"], "size": ["1"]}
    (bad,) = decode_ticks(arrow(columns), ARROW).bad
    assert bad.field == "ts"


def test_an_arrow_column_of_another_type_is_refused() -> None:
    columns = {"symbol": ["A"], "ts": [TS], "price": pa.array([[1]]), "size": ["1"]}
    with pytest.raises(Malformed, match="not read"):
        decode_ticks(arrow(columns), ARROW)


def test_a_long_string_named_a_million_times_is_not_copied_a_million_times() -> None:
    word = "x" * 1_000_000
    symbols = pa.DictionaryArray.from_arrays(pa.array([0] * 100_000, pa.int32()), pa.array([word]))
    decoded = decode_ticks(arrow({"symbol": symbols}), ARROW)
    assert len(decoded.bad) == 100_000


def test_a_truncated_or_damaged_arrow_stream_is_malformed_or_read() -> None:
    whole = arrow({"symbol": ["A"], "ts": [TS], "price": ["1"], "size": ["1"]})
    for cut in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[cut] ^= 0xFF
        for body in (whole[:cut], bytes(damaged)):
            try:
                decode_ticks(body, ARROW)
            except Invalid:
                continue  # Malformed, or a column whose name was hit
