"""What a series of fills amounts to: position, profit and round trips of each symbol.

    round trip    from flat over any number of fills back to flat; a fill that turns a position over ends one round
                  trip and begins the next

Cost is a total, as in the account's own books: a partial exit takes its share of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from qsuite.domain.money import ZERO, share_of
from qsuite.domain.trading.order import Side


class Fill(NamedTuple):
    """One execution, as far as profit goes."""

    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    commission: Decimal


@dataclass(slots=True)
class Holding:
    """One symbol; ``quantity`` and ``cost`` are negative when short. ``trip`` is what the open round trip made so far,
    commission taken off."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    realized_pnl: Decimal = ZERO
    commission: Decimal = ZERO
    trip: Decimal = ZERO


@dataclass(slots=True)
class Tally:
    """What all the fills amount to. ``volume`` is the money that changed hands."""

    holdings: dict[str, Holding]
    fills: int = 0
    volume: Decimal = ZERO
    round_trips: int = 0
    won: int = 0

    @property
    def success_rate(self) -> float | None:
        """Return the share of closed round trips that made money after commission; None before the first."""
        return self.won / self.round_trips if self.round_trips else None

    def add(self, fill: Fill) -> None:
        """Count the next fill."""
        holding = self.holdings.setdefault(fill.symbol, Holding())
        signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
        closing = ZERO
        if holding.quantity * signed < ZERO:
            closing = min(abs(signed), abs(holding.quantity)).copy_sign(signed)
            commission = share_of(fill.commission, abs(closing), fill.quantity)
            self._close(holding, closing, fill.price, commission)
        opening = signed - closing
        if opening:
            holding.quantity += opening
            holding.cost += opening * fill.price
            holding.trip -= share_of(fill.commission, abs(opening), fill.quantity)
        holding.commission += fill.commission
        self.fills += 1
        self.volume += fill.quantity * fill.price

    def _close(self, holding: Holding, closing: Decimal, price: Decimal, commission: Decimal) -> None:
        cost = share_of(holding.cost, abs(closing), abs(holding.quantity))
        realized = -closing * price - cost
        holding.quantity += closing
        holding.cost -= cost
        holding.realized_pnl += realized
        holding.trip += realized - commission
        if holding.quantity == ZERO:
            self.round_trips += 1
            self.won += holding.trip > ZERO
            holding.trip = ZERO


def tally(fills: Iterable[Fill]) -> Tally:
    """Add up fills, oldest first."""
    found = Tally({})
    for fill in fills:
        found.add(fill)
    return found
