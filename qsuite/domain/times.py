"""Instants as integer nanoseconds since 1970-01-01 UTC, and their RFC 3339 spelling.

Nanoseconds because ticks carry them and a float or a datetime would lose them. Everything inside QSuite
passes ``ts_ns: int``; text exists only at the edges.
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
DAY_NS = 86_400 * NS_PER_S

_RFC3339 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(?:([Zz])|([+-])([0-9]{2}):([0-9]{2}))"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_NS = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH).days * DAY_NS
LAST_NS = ((datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH).days + 1) * DAY_NS - 1


def parse_rfc3339(text: str) -> int:
    """Read an RFC 3339 time with any offset into nanoseconds. ValueError when malformed or without an offset."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError("not an RFC 3339 time with an offset, such as 2026-01-31T14:30:00Z")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    fraction, _, sign, offset_hours, offset_minutes = match.groups()[6:]
    zone: timezone = UTC
    if sign:
        if int(offset_hours) > 23 or int(offset_minutes) > 59:
            raise ValueError("an offset is at most 23:59")
        offset = timedelta(hours=int(offset_hours), minutes=int(offset_minutes))
        zone = timezone(-offset if sign == "-" else offset)
    # RFC 3339 knows leap seconds, datetime does not: 23:59:60 is the first instant of the next minute.
    leap = second == 60
    instant = datetime(year, month, day, hour, minute, 59 if leap else second, tzinfo=zone)
    ts_ns = datetime_to_ns(instant) + (NS_PER_S if leap else 0) + int((fraction or "").ljust(9, "0") or 0)
    if not FIRST_NS <= ts_ns <= LAST_NS:  # an offset or a leap second can lead out of the years that can be written
        raise ValueError("a time is within the years 1 to 9999, UTC")
    return ts_ns


@lru_cache(maxsize=4096)  # all orders of a batch share their instants, and each shows three
def format_rfc3339(ts_ns: int) -> str:
    """Write nanoseconds as RFC 3339 in UTC: milliseconds always, more digits only where they are not zero."""
    seconds, nanos = divmod(ts_ns, NS_PER_S)
    # Not strftime: it is slow, and writes the year 33 with two digits.
    whole = (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]
    millis, rest = divmod(nanos, NS_PER_MS)
    if rest == 0:
        return f"{whole}.{millis:03d}Z"
    return f"{whole}." + f"{nanos:09d}".rstrip("0") + "Z"


def datetime_to_ns(instant: datetime) -> int:
    """Convert an aware datetime to nanoseconds, exactly (floats would lose microseconds)."""
    delta = instant - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * NS_PER_S + delta.microseconds * 1_000


def ns_to_datetime(ts_ns: int) -> datetime:
    """Convert nanoseconds to an aware UTC datetime, cut to microseconds."""
    return _EPOCH + timedelta(microseconds=ts_ns // 1_000)


def floor_ms(ts_ns: int) -> int:
    """Cut to the millisecond, the precision of a BSON date: what is stored then equals what was answered."""
    return ts_ns - ts_ns % NS_PER_MS
