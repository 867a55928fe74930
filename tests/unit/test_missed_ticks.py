"""Ticks that came while nobody had the engine: the newest are kept, and given once."""

import pytest

from qsuite.services import missed_ticks
from qsuite.services.missed_ticks import MissedTicks
from tests.support.market import trade

FIRST, SECOND, THIRD = ([trade(ts_ns)] for ts_ns in (1, 2, 3))


def test_what_arrived_since_a_moment_is_given_in_order_and_once() -> None:
    missed = MissedTicks()
    for now_s, ticks in ((10.0, FIRST), (11.0, SECOND), (12.0, THIRD)):
        missed.add(ticks, now_s)
    assert missed.take(11.0) == [tuple(SECOND), tuple(THIRD)]
    assert missed.take(0.0) == []


def test_what_is_older_than_a_minute_is_forgotten() -> None:
    missed = MissedTicks()
    missed.add(FIRST, 100.0)
    missed.add(SECOND, 160.0)
    missed.add(THIRD, 160.5)
    assert missed.take(0.0) == [tuple(SECOND), tuple(THIRD)]


def test_no_more_than_so_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missed_ticks, "KEPT_TICKS", 3)
    missed = MissedTicks()
    missed.add(FIRST * 2, 1.0)
    missed.add(SECOND * 2, 2.0)
    assert missed.take(0.0) == [tuple(SECOND * 2)]
    missed.add(THIRD * 4, 3.0)
    assert missed.take(0.0) == []
