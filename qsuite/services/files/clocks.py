"""Times as files write them, turned into UTC nanoseconds.

A column says how by its name (``ts_utc_ms``, ``date_utc_minus5``, ``ts_new_york``), the user by ``tz``, or the text
itself by an offset. A date alone is a trading date and means 00:00 in its zone, UTC where none is known.
Invariant: nothing is guessed row by row. A local time that a clock change makes happen twice, or never, is refused.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from qsuite.domain.money import MONEY, parse_decimal
from qsuite.domain.times import DAY_NS, NS_PER_MS, NS_PER_S
from qsuite.services.files.rows import check_time

UNITS_NS = {"s": NS_PER_S, "ms": NS_PER_MS, "us": 1_000, "ns": 1}

_CITIES = {
    "new_york": "America/New_York",
    "chicago": "America/Chicago",
    "london": "Europe/London",
    "frankfurt": "Europe/Berlin",
    "zurich": "Europe/Zurich",
    "tokyo": "Asia/Tokyo",
    "hong_kong": "Asia/Hong_Kong",
    "singapore": "Asia/Singapore",
    "sydney": "Australia/Sydney",
}
_TIME_COLUMN = re.compile(r"(?:ts|time|timestamp|datetime|date)(?:_(.+))?|[a-z]+_ts_(.+)")
_EPOCH_SUFFIX = re.compile(r"(?:.*_)?(s|ms|us|ns)")
_OFFSET_SUFFIX = re.compile(r"utc_(minus|plus)([0-9]{1,2})(?:_?([0-9]{2}))?")
_OFFSET_OPTION = re.compile(r"(?:UTC|GMT)?([+-])([0-9]{1,2})(?::?([0-9]{2}))?")
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()

_MINUTE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:[T ]([0-9]{2}):([0-9]{2}))?")
_SECONDS = re.compile(r"(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)? ?(?:([Zz])|([+-])([0-9]{2}):?([0-9]{2}))?")
_COMPACT = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})(?:[T ]?([0-9]{2}):?([0-9]{2})(.*))?")
_COMPACT_SECONDS = re.compile(r"[0-9]{2}(?:[^0-9].*)?")


@dataclass(frozen=True)
class ClockSpec:
    """How a column writes time: a count of ``unit_ns`` since 1970 UTC, or, where None, a wall clock in ``zone``."""

    unit_ns: int | None = None
    zone: str = "UTC"
    zone_known: bool = False


def spec_from_name(column: str) -> ClockSpec | None:
    """Read a time column's name; None where it is not one. A bare ``date`` or ``ts`` leaves the zone open."""
    match = _TIME_COLUMN.fullmatch(column)
    if match is None:
        return None
    suffix = match[1] or match[2]
    if suffix is None or suffix == "time":
        return ClockSpec()
    if epoch := _EPOCH_SUFFIX.fullmatch(suffix):
        return ClockSpec(UNITS_NS[epoch[1]], zone_known=True)
    if offset := _OFFSET_SUFFIX.fullmatch(suffix):
        sign = "-" if offset[1] == "minus" else "+"
        return ClockSpec(zone=f"UTC{sign}{int(offset[2]):02d}:{offset[3] or '00'}", zone_known=True)
    zone = "UTC" if suffix == "utc" else _CITIES.get(suffix)
    return None if zone is None else ClockSpec(zone=zone, zone_known=True)


def spec_from_sample(spec: ClockSpec, text: str) -> ClockSpec:
    """Settle what a bare name leaves open: whole numbers count s, ms, us or ns by their length (8 digits: a date)."""
    if spec.unit_ns is not None or not (text.isascii() and text.isdigit()) or not 9 <= len(text) <= 19:
        return spec
    unit = "s" if len(text) <= 11 else "ms" if len(text) <= 14 else "us" if len(text) <= 17 else "ns"
    return ClockSpec(UNITS_NS[unit], zone_known=True)


def find_zone(text: str) -> timezone | ZoneInfo:
    """Find a zone by IANA name (``America/New_York``) or fixed offset (``UTC-05``). ValueError when unknown."""
    if text.upper() in ("UTC", "GMT", "Z"):
        return UTC
    if match := _OFFSET_OPTION.fullmatch(text):
        hours, minutes = int(match[2]), int(match[3] or 0)
        if hours > 23 or minutes > 59:
            raise ValueError("an offset is at most 23:59")
        offset = timedelta(hours=hours, minutes=minutes)
        return timezone(-offset if match[1] == "-" else offset)
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, OSError, ValueError):
        raise ValueError(f"no such time zone: {text[:60]!r}") from None


def make_clock(spec: ClockSpec) -> Callable[[str], int]:
    """Return the function that reads one cell into nanoseconds; it raises ValueError."""
    if spec.unit_ns is not None:
        return _epoch_clock(spec.unit_ns)
    return _wall_clock(find_zone(spec.zone))


def _epoch_clock(unit_ns: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if text.isdigit() and text.isascii() and len(text) <= 19:
            return check_time(int(text) * unit_ns)
        count = MONEY.multiply(parse_decimal(text.strip()), unit_ns)
        if count != count.to_integral_value():
            raise ValueError("finer than a nanosecond")
        return check_time(int(count))

    return read


def _wall_clock(zone: timezone | ZoneInfo) -> Callable[[str], int]:
    # A day of ticks has 1,440 minutes: the calendar and zone work is done once for each.
    minutes = lru_cache(maxsize=4096)(lambda text: _read_minute(text, zone))

    def read(text: str) -> int:
        if len(text) < 10 or text[4] != "-":
            text = _dashed(text.strip())
        naive_ns, zone_ns = minutes(text[:16])
        match = _SECONDS.fullmatch(text, 16) if len(text) > 16 else None
        if match is None:
            if len(text) > 16:
                raise ValueError("not a date or time such as 2026-01-31T14:30:00")
            return check_time(naive_ns - _known(zone_ns))
        seconds, fraction, zulu, sign, hours, mins = match.groups()
        if seconds and seconds > "60":
            raise ValueError("second must be in 0..60")
        ts_ns = naive_ns + int(seconds or 0) * NS_PER_S
        if fraction:
            ts_ns += int(fraction.ljust(9, "0"))
        if zulu:
            return check_time(ts_ns)
        if sign:
            ahead_ns = (int(hours) * 60 + int(mins)) * 60 * NS_PER_S
            return check_time(ts_ns + ahead_ns if sign == "-" else ts_ns - ahead_ns)
        return check_time(ts_ns - _known(zone_ns))

    return read


def _known(zone_ns: int | None) -> int:
    if zone_ns is None:
        raise ValueError("a local time that a clock change skips or repeats; give it with an offset")
    return zone_ns


def _dashed(text: str) -> str:
    """Spell ``20140501 170000`` and ``2014/05/01 17:00`` the way the clock reads."""
    if match := _COMPACT.fullmatch(text):
        year, month, day, hour, minute, rest = match.groups()
        if hour is None:
            return f"{year}-{month}-{day}"
        return f"{year}-{month}-{day}T{hour}:{minute}{':' if _COMPACT_SECONDS.fullmatch(rest) else ''}{rest}"
    if len(text) >= 10 and text[4] == text[7] and text[4] in "/.":
        return f"{text[:4]}-{text[5:7]}-{text[8:]}"
    return text


def _read_minute(text: str, zone: timezone | ZoneInfo) -> tuple[int, int | None]:
    """Return the naive nanoseconds of a minute and its zone's offset, None where the clocks change."""
    match = _MINUTE.fullmatch(text)
    if match is None:
        raise ValueError("not a date or time such as 2026-01-31T14:30:00")
    year, month, day, hour, minute = (int(part or 0) for part in match.groups())
    wall = datetime(year, month, day, hour, minute, tzinfo=zone)
    days = wall.toordinal() - _EPOCH_ORDINAL
    naive_ns = days * DAY_NS + (hour * 60 + minute) * 60 * NS_PER_S
    offset, second_offset = wall.utcoffset(), wall.replace(fold=1).utcoffset()
    if offset is None or offset != second_offset:
        return naive_ns, None
    return naive_ns, (offset.days * 86_400 + offset.seconds) * NS_PER_S


def is_date(text: str) -> bool:
    """Say whether the text is a day without a time."""
    stripped = text.strip()
    return len(stripped) <= 10 and not stripped.endswith("Z") and _MINUTE.fullmatch(_dashed(stripped)) is not None
