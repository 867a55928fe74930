"""Prices that jumped, are crossed or stopped are marked until another one says better."""

from decimal import Decimal

import pytest

from qsuite.services.price_marks import Mark, PriceMarks
from tests.support.market import quote, trade

S = 1_000_000_000
FINE, STALE, SUSPECT = Mark(False, False), Mark(True, False), Mark(False, True)


def marks(jump: str | None = "0.10", book: str = "") -> PriceMarks:
    return PriceMarks(
        jump=None if jump is None else Decimal(jump), stale_ns=10 * S, in_book=lambda symbol: symbol == book
    )


def test_a_trade_beyond_the_jump_is_suspect_until_a_second_one_is_near_it() -> None:
    found = marks()
    # 110 is a tenth above 100: at the limit. 121.01 is more than a tenth above 110. 115 is near that again.
    assert [found.see(trade(0, price), 0) for price in ("100", "110", "121.01", "115")] == [False, False, True, False]
    assert (found.suspects, found.suspected) == (0, 1)


def test_a_jump_down_and_back_is_told_of_both_and_shown_meanwhile() -> None:
    found = marks()
    assert [found.see(trade(0, price), 0) for price in ("100", "89", "100")] == [False, True, True]
    assert (found.of("IBM", 0), found.suspects) == (SUSPECT, 1)
    assert not found.see(trade(0, "100"), 0)
    assert found.of("IBM", 0) == FINE


def test_a_crossed_quote_is_suspect_and_a_locked_or_one_sided_one_is_not() -> None:
    found = marks()
    told = [found.see(quote(0, bid, ask), 0) for bid, ask in (("9", "9"), ("9", None), ("9.01", "9"), ("8", "9"))]
    assert told == [False, False, True, False]


def test_where_orders_meet_each_other_or_the_limit_is_off_nothing_is_suspect() -> None:
    for found in (marks(book="IBM"), marks(None)):
        assert not any([found.see(trade(0, "100"), 0), found.see(trade(0, "900"), 0), found.see(quote(0, "9", "8"), 0)])
        assert found.of("IBM", 0) == FINE


@pytest.mark.parametrize(("age_s", "expected"), [(0, FINE), (10, FINE), (11, STALE)])
def test_a_price_is_stale_when_none_arrived_for_longer_than_the_limit(age_s: int, expected: Mark) -> None:
    found = marks()
    found.see(trade(0, "100"), 100 * S)
    assert found.of("IBM", (100 + age_s) * S) == expected
    assert found.old((100 + age_s) * S) == int(expected.stale)


def test_what_no_live_price_came_of_is_stale_and_so_is_everything_while_storage_is_away() -> None:
    found = marks()
    assert found.of("IBM", 0) == STALE
    found.see(trade(0, "100"), 0)
    assert found.of("IBM", 0) == FINE
    found.away = lambda: True
    assert found.of("IBM", 0) == STALE
