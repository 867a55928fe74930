"""The open orders, found by whatever a decision asks for: id, account, symbol, parent, end.

Invariant: an order is in all of these or in none; empty entries go, so that the memory is bounded by what is open.
"""

from uuid import UUID

from qsuite.domain.trading.due import Due
from qsuite.domain.trading.order import Order

AccountSymbol = tuple[UUID, str]


class OpenOrders:
    """Every order that has not ended."""

    def __init__(self) -> None:
        self.by_id: dict[UUID, Order] = {}
        self.by_account: dict[UUID, dict[UUID, Order]] = {}
        self.legs: dict[UUID, list[Order]] = {}
        self.reducers: dict[AccountSymbol, dict[UUID, Order]] = {}
        self.expiring = Due()
        self._counts: dict[AccountSymbol, int] = {}

    def count_of(self, account: UUID) -> int:
        """Return how many an account has."""
        return len(self.by_account.get(account, ()))

    def count_in(self, account: UUID, symbol: str) -> int:
        """Return how many an account has in a symbol."""
        return self._counts.get((account, symbol), 0)

    def add(self, order: Order) -> None:
        """Remember an order."""
        self.by_id[order.id] = order
        self.give_place(order)
        if order.parent is not None:
            self.legs.setdefault(order.parent, []).append(order)
        if order.reduce_only:
            self.reducers.setdefault((order.account, order.symbol), {})[order.id] = order
        if order.expires_at is not None:
            self.expiring.add(order, order.expires_at)

    def remove(self, order: Order) -> bool:
        """Forget an order that ended; say whether it was known."""
        if self.by_id.pop(order.id, None) is None:
            return False
        self.take_place(order)
        if order.parent is not None:
            legs = self.legs[order.parent]
            legs.remove(order)
            if not legs:
                del self.legs[order.parent]
        if order.reduce_only:
            key = (order.account, order.symbol)
            del self.reducers[key][order.id]
            if not self.reducers[key]:
                del self.reducers[key]
        self.expiring.remove(order)
        return True

    def give_place(self, order: Order) -> None:
        """Count an order among its account's."""
        self.by_account.setdefault(order.account, {})[order.id] = order
        key = (order.account, order.symbol)
        self._counts[key] = self._counts.get(key, 0) + 1

    def take_place(self, order: Order) -> None:
        """Count an order no longer among its account's."""
        mine, key = self.by_account[order.account], (order.account, order.symbol)
        del mine[order.id]
        if not mine:
            del self.by_account[order.account]
        self._counts[key] -= 1
        if not self._counts[key]:
            del self._counts[key]
