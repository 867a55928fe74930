"""Profit and round trips of a series of fills, by hand."""

from decimal import Decimal

from qsuite.domain.round_trips import Fill, Tally, tally
from qsuite.domain.trading.order import Side

D = Decimal


def told(*fills: str) -> Tally:
    """Add up fills written as ``BUY 10 100 0.05``: side, quantity, price, commission."""
    read = (fill.split() for fill in fills)
    return tally(Fill("IBM", Side(side), *map(D, figures)) for side, *figures in read)


def test_a_round_trip_is_won_when_money_is_left_after_commission() -> None:
    found = told("BUY 10 100 1", "SELL 10 100.30 1", "BUY 10 100 1", "SELL 10 100.10 1")
    # 3.00 less 2 is won, 1.00 less 2 is lost.
    assert (found.round_trips, found.won, found.success_rate) == (2, 1, 0.5)
    assert found.holdings["IBM"].realized_pnl == D("4.00")
    assert found.holdings["IBM"].commission == 4


def test_parts_in_and_out_are_one_round_trip() -> None:
    found = told("BUY 10 100 0", "BUY 10 110 0", "SELL 5 120 0", "SELL 15 120 0")
    # 600 + 1800 - 2100
    assert (found.round_trips, found.won, found.holdings["IBM"].realized_pnl) == (1, 1, 300)
    assert (found.fills, found.volume) == (4, 1000 + 1100 + 600 + 1800)


def test_an_open_position_counts_as_no_round_trip() -> None:
    found = told("BUY 10 100 0", "SELL 4 90 0")
    holding = found.holdings["IBM"]
    assert (found.round_trips, found.success_rate) == (0, None)
    assert (holding.quantity, holding.cost, holding.realized_pnl) == (6, 600, -40)


def test_a_short_position_makes_money_when_the_price_falls() -> None:
    found = told("SELL 10 100 0", "BUY 10 90 0")
    assert (found.won, found.holdings["IBM"].realized_pnl) == (1, 100)


def test_a_fill_that_turns_the_position_over_ends_one_trip_and_begins_the_next() -> None:
    found = told("BUY 10 100 0", "SELL 25 110 0")
    holding = found.holdings["IBM"]
    assert (found.round_trips, found.won) == (1, 1)
    assert (holding.quantity, holding.cost, holding.realized_pnl) == (-15, -1650, 100)
    found = told("BUY 10 100 0", "SELL 25 110 0", "BUY 15 120 0")
    assert (found.round_trips, found.won, found.holdings["IBM"].realized_pnl) == (2, 1, 100 - 150)


def test_what_moved_adds_up_whatever_the_division() -> None:
    found = told("BUY 3 100 0", "SELL 1 101 0", "SELL 1 102 0", "SELL 1 103 0")
    assert (found.holdings["IBM"].cost, found.holdings["IBM"].realized_pnl) == (0, 6)
