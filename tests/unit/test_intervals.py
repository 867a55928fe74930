"""Where bars start and end: calendar facts, checked against dates anybody can look up."""

import pytest

from qsuite.domain.intervals import (
    HOUR_NS,
    STANDARD,
    bar_end,
    bucket_end,
    bucket_start,
    nests,
    parse_interval,
)
from qsuite.domain.times import parse_rfc3339

WEDNESDAY = parse_rfc3339("2024-02-28T14:37:42.123456789Z")


@pytest.mark.parametrize(
    ("interval", "start", "end"),
    [
        ("1s", "2024-02-28T14:37:42Z", "2024-02-28T14:37:43Z"),
        ("5s", "2024-02-28T14:37:40Z", "2024-02-28T14:37:45Z"),
        ("1m", "2024-02-28T14:37:00Z", "2024-02-28T14:38:00Z"),
        ("5m", "2024-02-28T14:35:00Z", "2024-02-28T14:40:00Z"),
        ("30m", "2024-02-28T14:30:00Z", "2024-02-28T15:00:00Z"),
        ("4h", "2024-02-28T12:00:00Z", "2024-02-28T16:00:00Z"),
        ("1d", "2024-02-28T00:00:00Z", "2024-02-29T00:00:00Z"),
        ("1w", "2024-02-26T00:00:00Z", "2024-03-04T00:00:00Z"),
        ("1mo", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"),
    ],
)
def test_a_bucket_starts_and_ends_on_the_clock(interval: str, start: str, end: str) -> None:
    assert bucket_start(WEDNESDAY, interval) == parse_rfc3339(start)
    assert bucket_end(WEDNESDAY, interval) == parse_rfc3339(end)


@pytest.mark.parametrize("interval", STANDARD)
def test_a_bucket_holds_its_start_and_not_its_end(interval: str) -> None:
    start, end = bucket_start(WEDNESDAY, interval), bucket_end(WEDNESDAY, interval)
    assert bucket_start(start, interval) == start
    assert bucket_start(end - 1, interval) == start
    assert bucket_start(end, interval) == end


def test_a_day_cut_at_utc_minus_5_starts_at_five_in_the_morning_utc() -> None:
    early = parse_rfc3339("2014-05-02T04:59:59.999Z")
    assert bucket_start(early, "1d", -5 * HOUR_NS) == parse_rfc3339("2014-05-01T05:00:00Z")
    assert bucket_end(early, "1d", -5 * HOUR_NS) == parse_rfc3339("2014-05-02T05:00:00Z")


def test_instants_before_1970_fall_into_the_bucket_below() -> None:
    instant = parse_rfc3339("1969-12-31T23:59:59.5Z")
    assert bucket_start(instant, "1m") == parse_rfc3339("1969-12-31T23:59:00Z")
    assert bucket_start(instant, "1mo") == parse_rfc3339("1969-12-01T00:00:00Z")
    assert bucket_start(instant, "1w") == parse_rfc3339("1969-12-29T00:00:00Z")


@pytest.mark.parametrize(
    ("text", "name"), [("60s", "1m"), ("120m", "2h"), ("24h", "1d"), ("90m", "90m"), ("20s", "20s"), ("1mo", "1mo")]
)
def test_one_length_has_one_name(text: str, name: str) -> None:
    assert parse_interval(text).name == name


@pytest.mark.parametrize(
    "text", ["", "m", "0m", "7m", "1M", "2d", "2w", "3mo", "25h", "1.5h", "-1m", "１m", "1m\n", "1 m"]
)
def test_lengths_without_a_fixed_start_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"interval|divide|only one"):
        parse_interval(text)


@pytest.mark.parametrize(
    ("start", "interval", "end"),
    [
        ("2014-05-01T05:00:00Z", "1d", "2014-05-02T05:00:00Z"),
        ("2024-02-01T00:00:00Z", "1mo", "2024-03-01T00:00:00Z"),
        # A February cut at UTC-05, and one cut at UTC+09.
        ("2024-02-01T05:00:00Z", "1mo", "2024-03-01T05:00:00Z"),
        ("2024-01-31T15:00:00Z", "1mo", "2024-02-29T15:00:00Z"),
    ],
)
def test_a_bar_ends_one_interval_after_its_own_start(start: str, interval: str, end: str) -> None:
    assert bar_end(parse_rfc3339(start), interval) == parse_rfc3339(end)


@pytest.mark.parametrize(
    ("small", "large", "fits"),
    [
        ("1m", "1h", True),
        ("1h", "1d", True),
        ("1d", "1w", True),
        ("1d", "1mo", True),
        ("1w", "1mo", False),
        ("1h", "1m", False),
        ("30m", "45m", False),
        ("1mo", "1mo", True),
        ("1mo", "1w", False),
    ],
)
def test_only_whole_bars_make_up_a_larger_one(small: str, large: str, fits: bool) -> None:
    assert nests(small, large) is fits
