"""The trading sessions of exchanges, from the calendars that `exchange_calendars` keeps.

Its import and a calendar take a second or two, so another process reads them and hands back plain numbers; lookups
are a binary search in memory. Nothing is read while every ticker trades around the clock.

Invariant: a calendar that could not be read, or read far enough, raises LookupError: orders there are refused.
"""

import time
import warnings
from array import array
from asyncio import Lock
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import structlog

from qsuite.domain.errors import Unavailable
from qsuite.domain.reference import ALWAYS_OPEN
from qsuite.domain.times import DAY_NS, NS_PER_S
from qsuite.domain.trading.sessions import Timetable, utc_midnight_after

log = structlog.get_logger(__name__)

FIRST_DAY_NS = 631_152_000 * NS_PER_S  # 1990: older prices are seldom replayed
AHEAD_NS = 1_100 * DAY_NS
RENEWED_AHEAD_NS = 500 * DAY_NS
WARNED_AHEAD_NS = 7 * DAY_NS

AGAIN_NS = 60 * NS_PER_S

Run = Callable[..., Awaitable[Any]]
"""Run a function elsewhere: ``WorkerPool.run`` or ``asyncio.to_thread``."""


class TradingSessions:
    """Look up trading sessions. A supervised loop, which reads calendars further before they end."""

    name = "sessions"
    interval_s = 600.0

    def __init__(self, run: Run, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._run = run
        self._clock = clock
        self._timetables: dict[str, Timetable] = {}
        self._again_at: dict[str, int] = {}
        self._reading = Lock()

    def is_open(self, calendar: str, now: int) -> bool:
        """Say whether the calendar's market is open. LookupError when that is not known."""
        return calendar == ALWAYS_OPEN or self._timetable(calendar).is_open(now)

    def day_end(self, calendar: str, now: int) -> int:
        """Return when DAY orders of now expire. LookupError when that is not known."""
        return utc_midnight_after(now) if calendar == ALWAYS_OPEN else self._timetable(calendar).day_end(now)

    async def load(self, calendar: str) -> None:
        """Read a calendar unless it is known. LookupError for one that is not there, Unavailable if reading failed."""
        if calendar == ALWAYS_OPEN or calendar in self._timetables:
            return
        async with self._reading:
            if calendar not in self._timetables:
                await self._read(calendar)

    async def load_all(self, calendars: Iterable[str]) -> None:
        """Read what is not known of these. What fails is logged, stays unknown, and is tried again a minute later."""
        for calendar in sorted({*calendars} - {ALWAYS_OPEN} - self._timetables.keys()):
            if self._clock() < self._again_at.get(calendar, 0):
                continue
            try:
                await self.load(calendar)
            except (LookupError, Unavailable) as error:
                self._again_at[calendar] = self._clock() + AGAIN_NS
                log.error("sessions.unreadable", calendar=calendar, reason=str(error))

    async def run_once(self, now: int) -> None:
        """Read those further that end within a year and a half."""
        for calendar, timetable in list(self._timetables.items()):
            if timetable.ends[-1] < now + RENEWED_AHEAD_NS:
                async with self._reading:
                    await self._read(calendar)
                if self._timetables[calendar].ends[-1] < now + WARNED_AHEAD_NS:
                    log.warning("sessions.ends_soon", calendar=calendar)

    async def _read(self, calendar: str) -> None:
        self._timetables[calendar] = await self._run(read_timetable, calendar, self._clock() + AHEAD_NS)

    def _timetable(self, calendar: str) -> Timetable:
        timetable = self._timetables.get(calendar)
        if timetable is None:
            raise LookupError(f"the calendar {calendar} is not loaded")
        return timetable


def read_timetable(name: str, until: int) -> Timetable:
    """Read a calendar from 1990, or its beginning, until an instant in ns. LookupError if there is none of the name.

    Slow, and the import takes 120 MB: to be run in another process.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the library is a little behind the newest pandas
        begin, sessions = _schedule(name, until)
    opens, closes, ends = array("q"), array("q"), array("q")
    for row in sessions:
        for start, close in _times(row):
            opens.append(_ns(start))
            closes.append(_ns(close))
        ends.append(_ns(row.close))
    return Timetable(begin, opens, closes, ends)


def _schedule(name: str, until: int) -> tuple[int, list[Any]]:
    """Return the instant from which a calendar is known, and its sessions, as far as the library knows them."""
    import exchange_calendars
    import pandas

    try:
        bounds = exchange_calendars.get_calendar(name)
    except exchange_calendars.errors.InvalidCalendarName:
        raise LookupError(f"there is no calendar {name}") from None
    start, end = pandas.Timestamp(FIRST_DAY_NS), pandas.Timestamp(until).normalize()
    earliest, latest = bounds.bound_min(), bounds.bound_max()
    start = start if earliest is None else max(start, earliest)
    end = end if latest is None else min(end, latest)
    schedule = exchange_calendars.get_calendar(name, start=start, end=end).schedule
    return _ns(start), list(schedule.itertuples(index=False))


def _times(row: Any) -> list[tuple[Any, Any]]:
    """Return the times of trading in a session: one, or two around a break."""
    if row.break_start is None or row.break_start != row.break_start:  # NaT is nothing's equal
        return [(row.open, row.close)]
    return [(row.open, row.break_start), (row.break_end, row.close)]


def _ns(stamp: Any) -> int:
    return int(stamp.as_unit("ns").value)
