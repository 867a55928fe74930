"""Times as files write them, and what columns and file names tell."""

import pytest

from qsuite.domain.errors import SetupError
from qsuite.domain.times import NS_PER_S, parse_rfc3339
from qsuite.services.files.clocks import ClockSpec, find_zone, make_clock, spec_from_name, spec_from_sample
from qsuite.services.files.guess import guess_symbol, hinted_interval, infer_interval
from qsuite.services.files.layout import FileKind, read_layout

DAY = 86_400


@pytest.mark.parametrize(
    ("column", "text", "instant"),
    [
        ("ts_utc_ms", "1398920401787", "2014-05-01T05:00:01.787Z"),
        ("recv_ts_ns", "1723161256313000123", "2024-08-08T23:54:16.313000123Z"),
        ("ts_s", "1398920401.5", "2014-05-01T05:00:01.5Z"),
        ("date_utc_minus5", "2014-05-01", "2014-05-01T05:00:00Z"),
        ("ts_utc_plus5_30", "2014-05-01T05:30", "2014-05-01T00:00:00Z"),
        ("ts_new_york", "1998-01-02T09:00", "1998-01-02T14:00:00Z"),
        ("ts_new_york", "1998-07-02T09:00", "1998-07-02T13:00:00Z"),
        ("date", "2014-05-01", "2014-05-01T00:00:00Z"),
        ("ts", "2014-05-01T07:00:00.123456789+02:00", "2014-05-01T05:00:00.123456789Z"),
        ("timestamp", "2014-05-01 05:00:01", "2014-05-01T05:00:01Z"),
        ("timestamp", "20140501 050001", "2014-05-01T05:00:01Z"),
        ("timestamp", "20140501 05:00:01.5", "2014-05-01T05:00:01.5Z"),
        ("date", "20140501", "2014-05-01T00:00:00Z"),
        ("date", "2014/05/01", "2014-05-01T00:00:00Z"),
        ("ts_utc", "2016-12-31T23:59:60", "2017-01-01T00:00:00Z"),
    ],
)
def test_a_column_tells_how_its_times_are_meant(column: str, text: str, instant: str) -> None:
    spec = spec_from_name(column)
    assert spec is not None
    assert make_clock(spec)(text) == parse_rfc3339(instant)


@pytest.mark.parametrize(
    ("text", "unit_ns"),
    [("1398920401", NS_PER_S), ("1398920401787", 10**6), ("1398920401787000", 1000), ("1398920401787000123", 1)],
)
def test_a_bare_count_tells_its_unit_by_its_length(text: str, unit_ns: int) -> None:
    assert spec_from_sample(ClockSpec(), text).unit_ns == unit_ns


@pytest.mark.parametrize("column", ["date_inclusive_until", "price", "ts_mars", "event_no", "suspicious", "timely"])
def test_other_columns_are_no_times(column: str) -> None:
    assert spec_from_name(column) is None


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2014-13-01", "2014-02-30", "01/05/2014", "2014-05-01T25:00", "2014-05-01T05:00:61",
     "2014-05-01T05:00:00+5", "２０１４-05-01", "2014-05-01T05", "0000-01-01", "9999-01-01", "1500-01-01"],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the wording is the calendar's
        make_clock(ClockSpec())(text)


@pytest.mark.parametrize("text", ["", "1_000", "１３９８", "1e400", "nan", "99999999999999999999", "12:00"])
def test_what_is_no_count_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - several readers, each with its words
        make_clock(ClockSpec(10**6))(text)


# New York's clocks went from 02:00 to 03:00 on 2014-03-09 and from 02:00 back to 01:00 on 2014-11-02.
@pytest.mark.parametrize("text", ["2014-03-09T02:30:00", "2014-11-02T01:30:00"])
def test_a_local_time_that_never_was_or_was_twice_is_refused(text: str) -> None:
    clock = make_clock(ClockSpec(zone="America/New_York"))
    with pytest.raises(ValueError, match="skips or repeats"):
        clock(text)
    assert clock(text + "-04:00") == parse_rfc3339(text + "-04:00")


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc/passwd", "", "+99:00", "UTC-5:99"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(ValueError, match=r"no such time zone|at most"):
        find_zone(zone)


def test_a_file_name_gives_symbol_and_interval() -> None:
    assert guess_symbol("eurusd_fxcm_minute_201405.csv.gz") == "EURUSD"
    assert hinted_interval("eurusd_fxcm_minute_201405.csv.gz") == "1m"
    assert hinted_interval("AAPL-5m.parquet") == "5m"
    assert hinted_interval("ticks.csv") is None
    assert guess_symbol("_.csv") is None


def times(*seconds: int) -> list[tuple[str, int]]:
    return [("X", second * NS_PER_S) for second in seconds]


@pytest.mark.parametrize(
    ("seconds", "hint", "interval"),
    [
        ((0, 60, 120, 300), None, "1m"),
        ((0, DAY, 2 * DAY, 5 * DAY), None, "1d"),
        ((0, 31 * DAY, 59 * DAY, 90 * DAY), None, "1mo"),
        ((0, 7 * DAY, 14 * DAY), None, "1w"),
        ((0, 300, 600, 900), "1m", "5m"),  # regular: the data is right, the name is not
        ((0, 120, 300, 660, 840), "1m", "1m"),  # quiet minutes have no bars: the name knows better
        ((0,), "1h", "1h"),
        ((0,), None, None),
        ((0, 7), None, None),
    ],
)
def test_the_interval_is_the_smallest_usual_gap(seconds: tuple[int, ...], hint: str | None, interval: str) -> None:
    assert infer_interval(times(*seconds), hint) == interval


def test_gaps_are_counted_within_a_symbol() -> None:
    interleaved = [(symbol, minute * 60 * NS_PER_S) for minute in range(5) for symbol in ("A", "B")]
    assert infer_interval(interleaved, None) == "1m"


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        ("Date,Open,High,Low,Close,Adj Close,Volume", FileKind.BARS),
        ("<TICKER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>", FileKind.BARS),
        ("ts,price,qty", FileKind.TRADES),
        ("ts,bid,ask", FileKind.QUOTES),
        ("ts,kind,price,size,bid,ask", FileKind.TICKS),
        ("ts,bid_open,bid_high,bid_low,bid_close,ask_open,ask_high,ask_low,ask_close", FileKind.QUOTE_BARS),
    ],
)
def test_columns_tell_the_kind(columns: str, kind: FileKind) -> None:
    assert read_layout(columns.split(","), [], {}, "x.csv").kind is kind


@pytest.mark.parametrize(
    "columns",
    [
        "symbol,date_inclusive_until,price_factor,split_factor",
        "recv_ts_ns,last_update_id,side,price,qty",
        "date,close",
        "open,high,low,close",
        "ts,price",
    ],
)
def test_what_is_no_market_data_is_refused_with_its_columns(columns: str) -> None:
    with pytest.raises(SetupError, match=r"x\.csv is not market data.*its columns are: " + columns.split(",")[0]):
        read_layout(columns.split(","), [], {}, "x.csv")


def test_the_events_own_time_goes_before_the_receivers_and_an_empty_column_last() -> None:
    columns = ["recv_ts_ns", "event_ts_ms", "trade_ts_ms", "price", "qty"]
    assert read_layout(columns, [["1", "2", "3", "1", "1"]], {}, "x").ts_column == "trade_ts_ms"
    assert read_layout(columns, [["1", "2", "", "1", "1"]], {}, "x").ts_column == "event_ts_ms"
    assert read_layout(columns, [["1", "", "", "1", "1"]], {}, "x").ts_column == "recv_ts_ns"


def test_columns_can_be_mapped_by_hand_but_not_to_what_is_not_there() -> None:
    layout = read_layout(["when", "last", "n"], [], {"ts": "when", "price": "last", "size": "n"}, "x")
    assert (layout.kind, layout.ts_column) == (FileKind.TRADES, "when")
    with pytest.raises(SetupError, match="no column 'nope'"):
        read_layout(["when"], [], {"ts": "nope"}, "x")
    with pytest.raises(SetupError, match="no field is called 'colour'"):
        read_layout(["when"], [], {"colour": "when"}, "x")
