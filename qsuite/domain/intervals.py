"""The lengths of bars, and where each bar starts and ends.

    1s 5s 15s 30s   1m 5m 15m 30m   1h 4h   1d   1w   1mo      and every other length that divides a day evenly

A bucket holds ``start <= ts < end``. Days begin at 00:00 UTC, weeks on Monday, months on the first. A market whose
day begins elsewhere is cut by a fixed ``utc_offset_ns``: FX days at 00:00 UTC-05 take ``-5 * HOUR_NS``.
Invariant: buckets of one interval and offset cover the time line without gap or overlap.
"""

import re
from datetime import date
from functools import lru_cache
from typing import NamedTuple

from qsuite.domain.times import DAY_NS, NS_PER_S

MINUTE_NS = 60 * NS_PER_S
HOUR_NS = 60 * MINUTE_NS
WEEK_NS = 7 * DAY_NS

STANDARD = ("1s", "5s", "15s", "30s", "1m", "5m", "15m", "30m", "1h", "4h", "1d", "1w", "1mo")

_SPELLING = re.compile(r"([1-9][0-9]{0,4})(s|m|h|d|w|mo)")
_UNIT_NS = {"s": NS_PER_S, "m": MINUTE_NS, "h": HOUR_NS, "d": DAY_NS}
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
# 1970-01-01 was a Thursday: three days after the Monday its week began with.
_MONDAY_SHIFT_NS = 3 * DAY_NS


class Interval(NamedTuple):
    """One bar length: its name, and its width in nanoseconds, which a calendar month does not have."""

    name: str
    width_ns: int | None

    def __str__(self) -> str:
        return self.name


@lru_cache(maxsize=256)
def parse_interval(text: str) -> Interval:
    """Read ``<n><unit>`` (s, m, h, d, w, mo) and name it in its largest unit: ``60s`` is ``1m``.

    ValueError for what does not divide a day evenly (``7m``), and for several days, weeks or months, whose start
    no convention fixes. ``1M`` is refused because it means a minute to some and a month to others.
    """
    match = _SPELLING.fullmatch(text)
    if match is None:
        raise ValueError(f"not an interval such as {', '.join(STANDARD)}")
    count, unit = int(match[1]), match[2]
    if unit in ("w", "mo"):
        if count != 1:
            raise ValueError("only one week or one month makes a bar")
        return Interval(text, WEEK_NS if unit == "w" else None)
    width_ns = count * _UNIT_NS[unit]
    if width_ns > DAY_NS or DAY_NS % width_ns:
        raise ValueError("an interval must divide a day evenly")
    return Interval(_name_of(width_ns), width_ns)


def _name_of(width_ns: int) -> str:
    for unit in ("d", "h", "m"):
        if width_ns % _UNIT_NS[unit] == 0:
            return f"{width_ns // _UNIT_NS[unit]}{unit}"
    return f"{width_ns // NS_PER_S}s"


def bucket_start(ts_ns: int, interval: str | Interval, utc_offset_ns: int = 0) -> int:
    """Return the start of the bucket that holds an instant, in UTC nanoseconds."""
    name, width_ns = parse_interval(interval) if isinstance(interval, str) else interval
    local = ts_ns + utc_offset_ns
    if width_ns is None:
        return _month_start(local, 0) - utc_offset_ns
    if name == "1w":
        return local - (local + _MONDAY_SHIFT_NS) % width_ns - utc_offset_ns
    return local - local % width_ns - utc_offset_ns


def bucket_end(ts_ns: int, interval: str | Interval, utc_offset_ns: int = 0) -> int:
    """Return the first instant after the bucket that holds an instant, in UTC nanoseconds."""
    parsed = parse_interval(interval) if isinstance(interval, str) else interval
    if parsed.width_ns is None:
        return _month_start(ts_ns + utc_offset_ns, 1) - utc_offset_ns
    return bucket_start(ts_ns, parsed, utc_offset_ns) + parsed.width_ns


def bar_end(start_ns: int, interval: str | Interval) -> int:
    """Return the end of a bar from its own start, whatever offset its day was cut with.

    A month bar ends one calendar month later; its start tells the offset.
    """
    parsed = parse_interval(interval) if isinstance(interval, str) else interval
    if parsed.width_ns is not None:
        return start_ns + parsed.width_ns
    # Within half a day of a midnight on the first lies exactly one first of a month.
    offset_ns = _month_start(start_ns + DAY_NS // 2, 0) - start_ns
    return bucket_end(start_ns, parsed, offset_ns if abs(offset_ns) <= DAY_NS // 2 else 0)


def nests(small: str | Interval, large: str | Interval) -> bool:
    """Say whether every bucket of the large interval is made of whole buckets of the small one."""
    inner = parse_interval(small) if isinstance(small, str) else small
    outer = parse_interval(large) if isinstance(large, str) else large
    if inner == outer:
        return True
    if inner.width_ns is None:
        return False
    if outer.width_ns is None:
        return DAY_NS % inner.width_ns == 0
    return outer.width_ns % inner.width_ns == 0


def _month_start(local_ns: int, months_later: int) -> int:
    day = date.fromordinal(_EPOCH_ORDINAL + local_ns // DAY_NS)
    years, month = divmod(day.month - 1 + months_later, 12)
    return (date(day.year + years, month + 1, 1).toordinal() - _EPOCH_ORDINAL) * DAY_NS
