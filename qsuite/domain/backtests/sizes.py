"""How large an order is, settled when it meets the market: at the price it meets, with the equity there is by then.

Exactly     a quantity
OfEquity    as many whole lots as a part of the equity pays for, costs included
Closing     the whole position, whichever side closes it
Advised     what a strategy makes of a signal, as when it trades live
"""

from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import Protocol

from qsuite.domain.analytics.signals import Advice
from qsuite.domain.money import MONEY, ZERO
from qsuite.domain.signals import Intent
from qsuite.domain.strategies import Strategy
from qsuite.domain.strategy_orders import NO_ROOM, NOTHING_HELD, TOO_SMALL, Desk, intent_of
from qsuite.domain.trading.order import Side


class Size(Protocol):
    """Say what to order, or the code of why nothing."""

    def intent(self, desk: Desk) -> Intent | str:
        """Return the side and the quantity; ``desk.price`` is what a unit costs at worst, commission included."""


@dataclass(frozen=True, slots=True)
class Exactly:
    """A quantity, whatever it costs."""

    side: Side
    quantity: Decimal

    def intent(self, desk: Desk) -> Intent | str:
        """Return it."""
        return Intent(self.side, self.quantity)


@dataclass(frozen=True, slots=True)
class OfEquity:
    """Whole lots for a part of the equity."""

    side: Side
    fraction: Decimal

    def intent(self, desk: Desk) -> Intent | str:
        """Return as many lots as the part pays for, rounded down."""
        lots = MONEY.divide(MONEY.divide(desk.equity * self.fraction, desk.price), desk.lot_size)
        quantity = lots.to_integral_value(ROUND_FLOOR) * desk.lot_size
        if quantity > ZERO:
            return Intent(self.side, quantity)
        return TOO_SMALL if desk.equity > ZERO else NO_ROOM


@dataclass(frozen=True, slots=True)
class Closing:
    """All that is held."""

    def intent(self, desk: Desk) -> Intent | str:
        """Return the order that makes the position flat."""
        if not desk.held:
            return NOTHING_HELD
        return Intent(Side.SELL if desk.held > ZERO else Side.BUY, abs(desk.held))


@dataclass(frozen=True, slots=True)
class Advised:
    """What a strategy orders on an advice."""

    strategy: Strategy
    advice: Advice

    def intent(self, desk: Desk) -> Intent | str:
        """Return what live trading would ask for."""
        return intent_of(self.strategy, self.advice, desk)
