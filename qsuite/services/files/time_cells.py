"""Cells of time as nanoseconds, many at a time, where they are written one of the usual ways.

    numbers                 counts of s, ms, us or ns since 1970
    timestamps              Arrow's own
    2014-05-01T17:00:00.5   all with seconds; all ending in Z, or all in the zone of the file

Invariant: what comes out is what the clock of ``clocks`` reads; for anything else there is ValueError, and the clock
reads row by row.
"""

from datetime import timezone
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from qsuite.domain.tick_columns.columns import DIGITS, Integers
from qsuite.domain.times import DAY_NS, NS_PER_S
from qsuite.services.files.arrow_numbers import integers
from qsuite.services.files.clocks import ClockSpec, find_zone
from qsuite.services.files.columnar import cells_as_text
from qsuite.services.files.money_cells import plain_digits

_TS_NS_MAX = 2**63 - 1
_SECONDS_FROM = 19
"""The length of 2014-05-01T17:00:00; what is shorter is spelt in too many ways."""


def read_times(cells: Any, spec: ClockSpec) -> Integers:
    """Read an Arrow array of times. ValueError when they are not all written in one way that is known here."""
    if cells.null_count:
        raise ValueError("a time is missing")
    kind = cells.type
    if spec.unit_ns is not None:
        return _counted(integers(cells), spec.unit_ns) if pa.types.is_integer(kind) else _parts(cells, spec.unit_ns)
    if pa.types.is_timestamp(kind):
        return _placed(pc.cast(cells, pa.timestamp("ns", kind.tz)), spec)
    if not pa.types.is_string(kind):
        raise ValueError("not text")
    if pc.min(pc.binary_length(cells)).as_py() < _SECONDS_FROM:
        raise ValueError("without seconds")
    zulu = pc.all(pc.ends_with(cells, "Z")).as_py()
    return _placed(pc.cast(cells, pa.timestamp("ns", "UTC" if zulu else None)), spec)


def _parts(cells: Any, unit_ns: int) -> Integers:
    """Read counts with decimals: 1381152600.123 s."""
    found = plain_digits(cells_as_text(cells))
    parts = 10 ** np.clip(-found.exponents, 0, DIGITS)
    whole, part = np.divmod(found.units, parts)
    rest, finer = np.divmod(part * unit_ns, parts)
    # The product above is exact only so far.
    if not found.ok.all() or finer.any() or (part > _TS_NS_MAX // unit_ns).any():
        raise ValueError("not counts, or finer than a nanosecond")
    return _counted(whole, unit_ns, unit_ns) + rest


def _counted(counts: Integers, unit_ns: int, margin_ns: int = 0) -> Integers:
    bound = (_TS_NS_MAX - margin_ns) // unit_ns
    if len(counts) and not (-bound <= counts.min() and counts.max() <= bound):
        raise ValueError("outside the years 1678 to 2262")
    return counts * unit_ns


def _placed(times: Any, spec: ClockSpec) -> Integers:
    """Put local times into their zone. A time that a clock change skips or repeats is a ValueError."""
    if times.type.tz is None:
        zone = find_zone(spec.zone)
        if isinstance(zone, timezone):
            ahead_ns = round(zone.utcoffset(None).total_seconds()) * NS_PER_S
            return _counted(integers(times), 1, DAY_NS) - ahead_ns
        times = pc.assume_timezone(times, zone.key, ambiguous="raise", nonexistent="raise")
    return integers(times)
