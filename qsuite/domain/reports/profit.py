"""Profit over a range, by group: what was realised, what it cost, and how the worth of what was held changed.

Invariant: groups of an account add up to the account, to the last digit. Realised profit is the ledger's, at the
account's average cost; a group's holding is what its own fills add up to, and its cost what they posted; all groups of
a symbol are valued at one price, the one the account's own position counts at.
"""

from collections.abc import Callable, Hashable
from decimal import Decimal
from typing import Generic, TypeVar

from qsuite.domain.money import ZERO
from qsuite.domain.reports.ledger import Entry, Holding, Tally

Group = TypeVar("Group", bound=Hashable)
PriceOf = Callable[[str, Decimal], Decimal | None]
"""The price of a symbol for a position of a quantity at some instant, None where none is known."""


class Profits(Generic[Group]):
    """Follow an account's fills by group; what was before the range is followed, but not counted."""

    def __init__(self) -> None:
        self._held: dict[str, Decimal] = {}
        self._groups: dict[tuple[Group, str], Holding] = {}
        self.tallies: dict[Group, Tally] = {}

    def carry(self, group: Group, symbol: str, holding: Holding) -> None:
        """Begin with a holding from before the range."""
        self._groups[group, symbol] = Holding(holding.quantity, holding.cost)
        self._held[symbol] = self._held.get(symbol, ZERO) + holding.quantity

    def book(self, group: Group, entry: Entry, *, counted: bool) -> None:
        """Follow a fill of a group."""
        held = self._groups.setdefault((group, entry.symbol), Holding())
        held.quantity += entry.signed
        held.cost += entry.postings["position"]
        self._held[entry.symbol] = self._held.get(entry.symbol, ZERO) + entry.signed
        if counted:
            self.tallies.setdefault(group, Tally()).add(entry)

    def clear(self) -> None:
        """Forget what is held: the account was reset, and what it stood to make is gone."""
        self._held.clear()
        self._groups.clear()

    def unrealized(self, price_of: PriceOf) -> dict[Group, Decimal]:
        """Return what each group stands to make at an instant; what has no price counts at its cost."""
        prices: dict[str, Decimal | None] = {}
        made: dict[Group, Decimal] = {}
        for (group, symbol), held in self._groups.items():
            if not (held.quantity or held.cost):
                continue
            if symbol not in prices:
                prices[symbol] = price_of(symbol, self._held[symbol])
            price = prices[symbol]
            worth = ZERO if price is None else held.quantity * price - held.cost
            made[group] = made.get(group, ZERO) + worth
        return made
