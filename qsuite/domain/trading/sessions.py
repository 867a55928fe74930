"""Trading sessions: when a market is open, and when its day ends.

    calendar   names a market's hours: ``24/7``, or an exchange's (``XNYS``)
    session    one trading day of a calendar, from its open to its close; a break (lunch) lies inside it
    day end    when DAY orders expire: the close of the session that is on, or else of the next

Invariant: what is not known is not guessed: LookupError for a calendar that could not be read, and for instants beyond
what was read of it. Whoever asks then refuses.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from qsuite.domain.reference import ALWAYS_OPEN
from qsuite.domain.times import DAY_NS


class Sessions(Protocol):
    """Look up sessions in memory; instants are nanoseconds. LookupError where nothing is known."""

    def is_open(self, calendar: str, now: int) -> bool:
        """Say whether the calendar's market is open."""

    def day_end(self, calendar: str, now: int) -> int:
        """Return the end of the session that is on, or of the next."""


def utc_midnight_after(now: int) -> int:
    """Return the end of the UTC day that ``now`` lies in."""
    return (now // DAY_NS + 1) * DAY_NS


class AlwaysOpen:
    """The calendar ``24/7``, and no other: never closed, with days that end at midnight UTC."""

    def is_open(self, calendar: str, now: int) -> bool:
        """Say yes."""
        self._require(calendar)
        return True

    def day_end(self, calendar: str, now: int) -> int:
        """Return the next midnight."""
        self._require(calendar)
        return utc_midnight_after(now)

    @staticmethod
    def _require(calendar: str) -> None:
        if calendar != ALWAYS_OPEN:
            raise LookupError(f"the calendar {calendar} is not loaded")


@dataclass(frozen=True, slots=True)
class Timetable:
    """One calendar's sessions, ascending, in nanoseconds.

    ``opens`` and ``closes`` bound the times of trading, so that a session with a break has two; ``ends`` are the
    sessions' own closes. It answers from ``begin`` until before the last close.
    """

    begin: int
    opens: Sequence[int]
    closes: Sequence[int]
    ends: Sequence[int]

    def is_open(self, now: int) -> bool:
        """Say whether there is trading: from an open until before its close."""
        self._require(now)
        index = bisect_right(self.opens, now) - 1
        return index >= 0 and now < self.closes[index]

    def day_end(self, now: int) -> int:
        """Return the first session end after ``now``."""
        self._require(now)
        return self.ends[bisect_right(self.ends, now)]

    def _require(self, now: int) -> None:
        if not self.ends or not self.begin <= now < self.ends[-1]:
            raise LookupError("the calendar does not reach this instant")
