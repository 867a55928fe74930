"""Selling in parts of a position whose cost does not divide: what is taken and what is left add up to what was paid."""

from decimal import Decimal

from qsuite.domain.trading.commands import MarkAccounts
from tests.support.trading import ACCOUNT, Desk


def test_cost_taken_and_cost_left_add_up_whatever_the_division_leaves() -> None:
    # Found by the books' property test: 11 bought for 1100.33, one sold; 1100.33 / 11 has no end in decimals.
    desk = Desk()
    desk.quote("100.00", "100.03")
    desk.place("BUY", 11)
    desk.place("SELL", 1)
    position = desk.state.position_or_flat(ACCOUNT, "IBM")
    assert position.cost + (Decimal("100.00") - desk.account.realized_pnl) == Decimal("1100.33")
    desk.place("BUY", 2)
    desk.place("SELL", 5)
    desk.place("SELL", 7)
    position = desk.state.position_or_flat(ACCOUNT, "IBM")
    assert (position.quantity, position.cost) == (0, 0)
    # 13 bought for 1300.39, 13 sold for 1300.00
    assert desk.account.realized_pnl == Decimal("-0.39")


def test_a_share_that_divides_is_not_padded_with_zeros() -> None:
    desk = Desk()
    desk.quote("100.00", "100.03")
    desk.place("BUY", 4)
    desk.place("SELL", 1)
    assert str(desk.state.position_or_flat(ACCOUNT, "IBM").cost) == "300.09"


def test_the_days_profit_counts_from_before_the_days_first_fill() -> None:
    # bought at 100.03, valued at the last trade of 100.00: the day has lost 0.30 and 0.05 of commission
    desk = Desk()
    desk.quote("100.00", "100.03")
    desk.place("BUY", 10)
    desk.send(MarkAccounts())
    assert desk.account.day_open_equity == 100_000
    assert desk.state.exposures.day_pnl(desk.account, desk.account.day) == Decimal("-0.350")
