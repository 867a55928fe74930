"""What is to happen to orders at an instant: who is due costs one look while nobody is."""

from heapq import heapify, heappop, heappush
from uuid import UUID

from qsuite.domain.trading.order import Order


class Due:
    """Orders by the instant they are due at. Taking one out is lazy: its entry stays until its time comes."""

    __slots__ = ("_heap", "_orders")

    def __init__(self) -> None:
        self._heap: list[tuple[int, UUID]] = []
        self._orders: dict[UUID, tuple[int, Order]] = {}

    def add(self, order: Order, instant: int) -> None:
        """Note when an order is due."""
        self._orders[order.id] = (instant, order)
        heappush(self._heap, (instant, order.id))
        if len(self._heap) > 2 * len(self._orders) + 1_000:  # mostly entries of orders that are gone
            self._heap = [(when, key) for key, (when, _) in self._orders.items()]
            heapify(self._heap)

    def remove(self, order: Order) -> None:
        """Forget an order."""
        self._orders.pop(order.id, None)

    def anything(self, now: int) -> bool:
        """Say whether something may be due."""
        return bool(self._heap) and self._heap[0][0] <= now

    def by(self, now: int) -> list[Order]:
        """Return the orders due by now, earliest first; they stay noted until they are removed."""
        taken: dict[UUID, Order] = {}
        while self.anything(now):
            instant, key = heappop(self._heap)
            known = self._orders.get(key)
            if known is not None and known[0] == instant:
                taken[key] = known[1]
        for order in taken.values():
            heappush(self._heap, (self._orders[order.id][0], order.id))
        return list(taken.values())

    def __contains__(self, order: Order) -> bool:
        return order.id in self._orders
