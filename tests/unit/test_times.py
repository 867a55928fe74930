"""Times: RFC 3339 with any offset in, UTC out, exact to the nanosecond."""

import contextlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsuite.domain.times import (
    FIRST_NS,
    LAST_NS,
    NS_PER_MS,
    NS_PER_S,
    datetime_to_ns,
    floor_ms,
    format_rfc3339,
    ns_to_datetime,
    parse_rfc3339,
)


@pytest.mark.parametrize(
    ("text", "ts_ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("2001-09-09T01:46:40Z", 1_000_000_000 * NS_PER_S),  # the well-known billionth second
        ("2001-09-09T03:46:40+02:00", 1_000_000_000 * NS_PER_S),
        ("2001-09-08T20:16:40-05:30", 1_000_000_000 * NS_PER_S),
        ("2001-09-09t01:46:40z", 1_000_000_000 * NS_PER_S),
        ("2001-09-09 01:46:40Z", 1_000_000_000 * NS_PER_S),
        ("2001-09-09T01:46:40.000000001Z", 1_000_000_000 * NS_PER_S + 1),
        ("2001-09-09T01:46:40.5Z", 1_000_000_000 * NS_PER_S + 500_000_000),
        ("2016-12-31T23:59:60Z", 1_483_228_800 * NS_PER_S),  # a leap second that was
        ("2000-02-29T00:00:00Z", 951_782_400 * NS_PER_S),
        ("2038-01-19T03:14:08Z", 2**31 * NS_PER_S),
    ],
)
def test_known_instants_are_read(text: str, ts_ns: int) -> None:
    assert parse_rfc3339(text) == ts_ns


@pytest.mark.parametrize(
    "text",
    [
        "", "now", "2026-01-31", "2026-01-31T14:30:00", "2026-01-31T14:30Z", "2026-1-31T14:30:00Z", "20260131T143000Z",
        "2026-02-30T00:00:00Z", "2025-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-31T24:00:00Z",
        "2026-01-31T14:60:00Z", "2026-01-31T14:30:61Z", "2026-01-31T14:30:00.Z", "2026-01-31T14:30:00.1234567890Z",
        "2026-01-31T14:30:00+24:00", "2026-01-31T14:30:00+02", "2026-01-31T14:30:00+0200", "2026-01-31T14:30:00 Z",
        "2026-01-31T14:30:00Z\n", " 2026-01-31T14:30:00Z", "٢٠٢٦-01-31T14:30:00Z", "0000-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z", "-2026-01-31T14:30:00Z", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:60Z",
        "9999-12-31T23:59:59-00:01",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_rfc3339(text)


@pytest.mark.parametrize(
    ("ts_ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (1_500 * NS_PER_MS, "1970-01-01T00:00:01.500Z"),
        (1_500_000, "1970-01-01T00:00:00.0015Z"),
        (FIRST_NS, "0001-01-01T00:00:00.000Z"),
        (LAST_NS, "9999-12-31T23:59:59.999999999Z"),
    ],
)
def test_instants_are_written_in_utc_with_at_least_milliseconds(ts_ns: int, text: str) -> None:
    assert format_rfc3339(ts_ns) == text
    assert parse_rfc3339(text) == ts_ns


@given(st.integers(FIRST_NS, LAST_NS))
def test_every_instant_comes_back_to_the_nanosecond(ts_ns: int) -> None:
    assert parse_rfc3339(format_rfc3339(ts_ns)) == ts_ns


@given(st.text(max_size=40))
def test_no_text_whatever_raises_anything_but_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert FIRST_NS <= parse_rfc3339(text) <= LAST_NS


@given(st.datetimes(timezones=st.just(UTC)))
def test_datetimes_keep_their_microseconds(instant: datetime) -> None:
    assert ns_to_datetime(datetime_to_ns(instant)) == instant


def test_a_datetime_of_another_zone_is_the_same_instant() -> None:
    zone = timezone(timedelta(hours=5, minutes=45))
    assert datetime_to_ns(datetime(2026, 1, 1, 5, 45, tzinfo=zone)) == datetime_to_ns(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(("ts_ns", "floored"), [(1_999_999, 1_000_000), (-1, -1_000_000), (2_000_000, 2_000_000)])
def test_milliseconds_are_cut_downwards_also_before_1970(ts_ns: int, floored: int) -> None:
    assert floor_ms(ts_ns) == floored
