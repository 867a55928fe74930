"""What an account is worth at the market: cash and what it holds, shorts being owed.

Invariant: ``equity = cash + long_value - short_value``, exactly. A position whose market has shown no price counts at
its cost, so that buying something does not look like a loss.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from qsuite.domain.money import ZERO
from qsuite.domain.trading.account import Account, Position


class Valuation(NamedTuple):
    """Both values are above zero: what is held, and what it would cost to buy back what is owed."""

    cash: Decimal
    long_value: Decimal
    short_value: Decimal
    unrealized_pnl: Decimal

    @property
    def equity(self) -> Decimal:
        """Return what would be left if all positions were closed at their prices."""
        return self.cash + self.long_value - self.short_value


def value_account(account: Account, held: Iterable[tuple[Position, Decimal | None]]) -> Valuation:
    """Value an account's positions, each at its price; None where there is none."""
    long_value = short_value = unrealized = ZERO
    for position, price in held:
        value = position.cost if price is None else position.quantity * price
        if position.quantity > ZERO:
            long_value += value
        else:
            short_value -= value
        unrealized += value - position.cost
    return Valuation(account.cash, long_value, short_value, unrealized)
