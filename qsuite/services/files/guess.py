"""What a file does not say outright: its symbol, from its name, and its bars' interval, from their spacing.

Both are told to the user, who can give either by hand.
"""

import re
from collections import Counter
from collections.abc import Iterable
from math import gcd

from qsuite.domain.intervals import parse_interval
from qsuite.domain.times import DAY_NS, NS_PER_S
from qsuite.services.files.rows import read_symbol

_WORDS = {
    "second": "1s",
    "seconds": "1s",
    "minute": "1m",
    "minutes": "1m",
    "hour": "1h",
    "hourly": "1h",
    "day": "1d",
    "daily": "1d",
    "week": "1w",
    "weekly": "1w",
    "month": "1mo",
    "monthly": "1mo",
}
_SPLIT = re.compile(r"[_.\-\s]+")


def guess_symbol(file_name: str) -> str | None:
    """Take the first part of a file's name: ``eurusd_fxcm_minute.csv.gz`` is EURUSD."""
    first = _SPLIT.split(file_name)[0].upper()
    try:
        return read_symbol(first)
    except ValueError:
        return None


def hinted_interval(file_name: str) -> str | None:
    """Read an interval from the words of a file's name: ``minute``, ``daily``, ``5m``."""
    for word in _SPLIT.split(file_name.lower()):
        if word in _WORDS:
            return _WORDS[word]
        try:
            return parse_interval(word).name
        except ValueError:
            continue
    return None


def infer_interval(times: Iterable[tuple[str, int]], hint: str | None) -> str | None:
    """Infer the interval of bars from ``(symbol, ts_ns)`` in file order; None where nothing tells it.

    Bars cannot overlap, so it is the smallest gap that is not a rarity (one in a hundred). Where quiet intervals have
    no bars that may be too long: the file name's hint wins if it divides every gap and the gaps are uneven.
    """
    gaps = _gaps(times)
    if not gaps:
        return hint
    total = gaps.total()
    smallest = min(gap for gap, count in gaps.items() if count * 100 >= total)
    hinted_ns = parse_interval(hint).width_ns if hint else None
    if hinted_ns and hinted_ns < smallest and gaps[smallest] * 2 < total and gcd(*gaps) % hinted_ns == 0:
        return hint
    return _as_interval(smallest) or _as_interval(gcd(*gaps)) or hint


def _gaps(times: Iterable[tuple[str, int]]) -> Counter[int]:
    last: dict[str, int] = {}
    gaps: Counter[int] = Counter()
    for symbol, ts_ns in times:
        before = last.get(symbol)
        if before is not None and ts_ns > before:
            gaps[ts_ns - before] += 1
        last[symbol] = ts_ns
    return gaps


def _as_interval(gap_ns: int) -> str | None:
    if 28 * DAY_NS <= gap_ns <= 31 * DAY_NS:
        return "1mo"
    if gap_ns == 7 * DAY_NS:
        return "1w"
    try:
        return parse_interval(f"{gap_ns // NS_PER_S}s").name if gap_ns % NS_PER_S == 0 else None
    except ValueError:
        return None
