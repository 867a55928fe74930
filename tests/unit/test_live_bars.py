"""Bars of the live market: announced as they change, once as final, and closed by the clock only where time is live."""

from decimal import Decimal

from qsuite.domain.market import Bar, Trade
from qsuite.domain.times import NS_PER_S, parse_rfc3339
from qsuite.services.live_bars import GRACE_NS, REWIND_NS, WATCHED_MAX, LiveBars

T0 = parse_rfc3339("2026-11-21T14:30:00Z")
MINUTE = 60 * NS_PER_S


def trade(ts_ns: int, price: str, size: str = "10") -> Trade:
    return Trade("IBM", ts_ns, Decimal(price), Decimal(size))


def started() -> tuple[LiveBars, list[Bar]]:
    announced: list[Bar] = []
    return LiveBars(announced.append), announced


def test_a_bar_is_announced_as_it_changes_and_not_when_nothing_happened() -> None:
    bars, announced = started()
    bars.add(trade(T0, "10"), T0)
    bars.add(trade(T0 + 1, "12", "30"), T0 + 1)
    bars.round(T0 + 2)
    bars.round(T0 + 3)
    (bar,) = announced
    # vwap (10 x 10 + 12 x 30) / 40
    assert (bar.open, bar.high, bar.close, bar.volume, bar.vwap) == (10, 12, 12, 40, Decimal("11.5"))
    assert (bar.ts_ns, bar.trades, bar.final) == (T0, 2, False)


def test_the_first_trade_of_the_next_minute_makes_the_bar_final_at_once() -> None:
    bars, announced = started()
    bars.add(trade(T0, "10"), T0)
    bars.add(trade(T0 + MINUTE, "11"), T0 + MINUTE)
    assert [(bar.ts_ns, bar.final) for bar in announced] == [(T0, True)]


def test_a_market_that_falls_silent_is_closed_by_the_clock_once() -> None:
    bars, announced = started()
    bars.add(trade(T0, "10"), T0)
    bars.round(T0 + MINUTE + GRACE_NS - 1)
    assert not announced[-1].final
    bars.round(T0 + MINUTE + GRACE_NS)
    bars.round(T0 + 5 * MINUTE)
    assert [bar.final for bar in announced] == [False, True]


def test_a_recording_from_the_past_is_closed_by_its_own_ticks_alone() -> None:
    bars, announced = started()
    long_ago = parse_rfc3339("2013-10-07T13:30:00Z")
    bars.add(trade(long_ago, "181"), T0)
    bars.round(T0 + 10 * MINUTE)
    bars.add(trade(long_ago + 1, "182"), T0 + 10 * MINUTE)
    bars.add(trade(long_ago + MINUTE, "183"), T0 + 10 * MINUTE)
    assert [(bar.high, bar.final) for bar in announced] == [(181, False), (182, True)]


def test_a_late_trade_changes_no_final_bar() -> None:
    bars, announced = started()
    bars.add(trade(T0, "10"), T0)
    bars.add(trade(T0 + MINUTE, "11"), T0)
    bars.add(trade(T0 + 1, "99"), T0)
    bars.round(T0)
    assert [(bar.ts_ns, bar.high) for bar in announced] == [(T0, 10), (T0 + MINUTE, 11)]


def test_a_recording_that_starts_again_gets_bars_again() -> None:
    bars, announced = started()
    bars.add(trade(T0, "10"), T0)
    bars.add(trade(T0 - REWIND_NS - 1, "7"), T0)
    bars.round(T0)
    assert [(bar.close, bar.final) for bar in announced] == [(7, False)]


def test_other_intervals_are_built_from_when_they_are_asked_for() -> None:
    bars, announced = started()
    bars.add(trade(T0, "10"), T0)
    bars.watch("300s")
    bars.watch("5m")
    bars.add(trade(T0 + 1, "11"), T0 + 1)
    bars.round(T0 + 2)
    assert [(bar.interval, bar.open) for bar in announced] == [("1m", 10), ("5m", 11)]
    assert [bar.open for bar in bars.current("5m", ["IBM", "SPY"])] == [11]


def test_nobody_can_make_it_build_bars_without_bound() -> None:
    bars, announced = started()
    for seconds in range(1, 60):
        if 60 % seconds == 0:
            bars.watch(f"{seconds}s")
    for minutes in (2, 3, 4, 5, 6, 10, 12, 15):
        bars.watch(f"{minutes}m")
    bars.add(trade(T0, "10"), T0)
    bars.round(T0)
    assert len(announced) == WATCHED_MAX


def test_recent_bars_are_those_that_arrived_in_the_last_five_minutes() -> None:
    bars, _ = started()
    long_ago = parse_rfc3339("2013-10-07T13:30:00Z")
    for minute in range(3):
        bars.add(trade(long_ago + minute * MINUTE, "10"), T0 + minute * MINUTE)
    assert [(item.at_ns, item.bar.ts_ns) for item in bars.recent(T0 + 6 * MINUTE)] == [
        (T0 + MINUTE, long_ago),
        (T0 + 2 * MINUTE, long_ago + MINUTE),
        (T0 + 2 * MINUTE, long_ago + 2 * MINUTE),
    ]
    bars.round(T0 + 7 * MINUTE)
    assert [item.bar.final for item in bars.recent(T0 + 7 * MINUTE)] == [True, False]
    assert bars.recent(T0 + 8 * MINUTE) == []
