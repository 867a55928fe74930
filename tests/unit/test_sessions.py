"""When exchanges are open: against a published list of closures, and days that anybody can look up."""

import csv
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from qsuite.domain.times import NS_PER_S, parse_rfc3339
from qsuite.domain.trading.commands import TimePassed
from qsuite.domain.trading.order import Status
from qsuite.domain.trading.sessions import AlwaysOpen, Timetable
from qsuite.services.sessions import AHEAD_NS, TradingSessions, read_timetable
from tests.support.trading import Desk

TODAY = parse_rfc3339("2026-11-21T12:00:00Z")
NEW_YORK = ZoneInfo("America/New_York")


@cache
def timetable(name: str, until: int = TODAY + AHEAD_NS) -> Timetable:
    return read_timetable(name, until)


async def at_once(function: Callable[..., Any], *args: Any) -> Any:
    return timetable(*args) if function is read_timetable else function(*args)


def ns(day: date, clock: str, zone: ZoneInfo = NEW_YORK) -> int:
    return int(datetime.combine(day, time.fromisoformat(clock), zone).astimezone(UTC).timestamp()) * NS_PER_S


# Where the list errs: it has a Sunday for a trading day, and leaves out three early closes that the New York Stock
# Exchange's own table of special closings has (the days after Thanksgiving and before Christmas, and the millennium).
CORRECTED = {
    date(2017, 12, 24): "closed",
    date(1998, 11, 27): "early_close",
    date(1998, 12, 24): "early_close",
    date(1999, 12, 31): "early_close",
}
HOURS = {
    "open": {"09:29:59": False, "09:30": True, "12:00": True, "13:00": True, "15:59:59": True, "16:00": False},
    "early_close": {"09:29:59": False, "09:30": True, "12:59:59": True, "13:00": False, "15:59:59": False},
    "closed": {"09:30": False, "12:00": False, "13:00": False, "15:59:59": False},
}


def test_the_published_closures_of_american_shares_hold_row_by_row_and_no_other_day_is_special(
    shared_data: Path,
) -> None:
    found = timetable("XNYS")
    with (shared_data / "reference" / "us_equity_calendar.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 358
    assert {row["close_time_new_york"] for row in rows} == {"", "13:00:00"}
    special = {date.fromisoformat(row["date"]): row["kind"] for row in rows} | CORRECTED
    day = date(1998, 1, 1)
    while day <= date(2028, 12, 25):
        kind = special.get(day, "open" if day.weekday() < 5 else "closed")
        assert {clock: found.is_open(ns(day, clock)) for clock in HOURS[kind]} == HOURS[kind], day
        if kind != "closed":
            assert found.day_end(ns(day, "00:00")) == ns(day, "16:00" if kind == "open" else "13:00"), day
        day += timedelta(days=1)


@pytest.mark.parametrize(
    ("calendar", "instant", "is_open", "day_end"),
    [
        # A Friday in summer and the Monday after: 16:00 in New York is 20:00 UTC.
        ("XNYS", "2024-07-12T13:30:00Z", True, "2024-07-12T20:00:00Z"),
        ("XNYS", "2024-07-12T20:00:00Z", False, "2024-07-15T20:00:00Z"),
        # Clocks went forward on 2024-03-10: the open moved from 14:30 to 13:30 UTC.
        ("XNYS", "2024-03-08T13:30:00Z", False, "2024-03-08T21:00:00Z"),
        ("XNYS", "2024-03-11T13:30:00Z", True, "2024-03-11T20:00:00Z"),
        # The attacks of 2001-09-11 closed the exchange until the 17th.
        ("XNYS", "2001-09-11T15:00:00Z", False, "2001-09-17T20:00:00Z"),
        # The day before Christmas ends at 13:00.
        ("XNYS", "2024-12-24T17:59:59Z", True, "2024-12-24T18:00:00Z"),
        # London: 08:00 to 16:30; on Christmas Eve until 12:30.
        ("XLON", "2024-01-02T08:00:00Z", True, "2024-01-02T16:30:00Z"),
        ("XLON", "2024-12-24T12:30:00Z", False, "2024-12-27T16:30:00Z"),
        # Hong Kong breaks for lunch from 12:00 to 13:00; the session goes on until 16:00.
        ("XHKG", "2024-01-03T03:59:59Z", True, "2024-01-03T08:00:00Z"),
        ("XHKG", "2024-01-03T04:00:00Z", False, "2024-01-03T08:00:00Z"),
        ("XHKG", "2024-01-03T05:00:00Z", True, "2024-01-03T08:00:00Z"),
    ],
)
def test_known_days_are_known(calendar: str, instant: str, is_open: bool, day_end: str) -> None:
    now = parse_rfc3339(instant)
    assert timetable(calendar).is_open(now) is is_open
    assert timetable(calendar).day_end(now) == parse_rfc3339(day_end)


def test_around_the_clock_means_always_and_days_end_at_midnight_utc() -> None:
    for sessions in (AlwaysOpen(), TradingSessions(at_once)):
        now = parse_rfc3339("2024-12-25T23:59:59.999999999Z")
        assert sessions.is_open("24/7", now)
        assert sessions.day_end("24/7", now) == parse_rfc3339("2024-12-26T00:00:00Z")
        assert sessions.day_end("24/7", now + 1) == parse_rfc3339("2024-12-27T00:00:00Z")


def test_what_was_not_read_is_not_guessed() -> None:
    for sessions in (AlwaysOpen(), TradingSessions(at_once)):
        for question in (sessions.is_open, sessions.day_end):
            with pytest.raises(LookupError, match="XNYS is not loaded"):
                question("XNYS", TODAY)
    found = timetable("XNYS")
    for beyond in (parse_rfc3339("1989-12-29T15:00:00Z"), found.ends[-1]):
        with pytest.raises(LookupError, match="does not reach"):
            found.is_open(beyond)
        with pytest.raises(LookupError, match="does not reach"):
            found.day_end(beyond)


async def test_calendars_are_read_once_and_only_those_there_are() -> None:
    asked: list[str] = []

    async def counted(function: Callable[..., Any], name: str, until: int) -> Any:
        asked.append(name)
        return await at_once(function, name, until)

    sessions = TradingSessions(counted, clock=lambda: TODAY)
    await sessions.load_all(["24/7", "XNYS"])
    await sessions.load("XNYS")
    await sessions.load("24/7")
    assert asked == ["XNYS"]
    assert not sessions.is_open("XNYS", TODAY)  # a Saturday
    with pytest.raises(LookupError, match="no calendar MARS"):
        await sessions.load("MARS")
    await sessions.load_all(["MARS"])
    await sessions.load_all(["MARS"])
    assert asked == ["XNYS", "MARS", "MARS"]  # tried again a minute later, not in every round


async def test_a_calendar_is_read_further_long_before_it_ends() -> None:
    now = TODAY
    sessions = TradingSessions(at_once, clock=lambda: now)
    await sessions.load("XNYS")
    last = timetable("XNYS").ends[-1]
    with pytest.raises(LookupError):
        sessions.is_open("XNYS", last)
    now = last - 400 * 86_400 * NS_PER_S
    await sessions.run_once(now)
    assert sessions.day_end("XNYS", last) > last


async def test_day_orders_of_an_exchange_expire_when_it_closes_and_none_is_taken_while_it_is_closed() -> None:
    desk = Desk()
    sessions = TradingSessions(at_once, clock=lambda: TODAY)
    await sessions.load("XNYS")
    desk.state.sessions = sessions
    desk.now = parse_rfc3339("2024-12-24T15:00:00Z")  # the day before Christmas: until 13:00 in New York
    desk.add_ticker("GE", last="100.00", calendar="XNYS")
    order = desk.place("BUY", 1, "90.00", symbol="GE")
    assert (order.status, order.expires_at) == (Status.PENDING, parse_rfc3339("2024-12-24T18:00:00Z"))
    around_the_clock = desk.place("BUY", 1, "90.00")
    desk.now = parse_rfc3339("2024-12-24T18:00:00Z")
    assert [each.id for each in desk.send(TimePassed()).orders] == [order.id]
    assert around_the_clock.status is Status.PENDING
    assert desk.refusal("BUY", 1, "90.00", symbol="GE") == "market.closed"
    desk.add_ticker("FIAT", last="10.00", calendar="XMIL")  # a calendar nobody read
    assert desk.refusal("BUY", 1, "9.00", symbol="FIAT") == "market.closed"
