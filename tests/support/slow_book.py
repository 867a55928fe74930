"""A limit order book that is obviously right and slow: one list, searched and sorted anew for every question."""

from dataclasses import dataclass
from typing import Any


@dataclass
class Order:
    id: Any
    owner: Any
    buy: bool
    price: Any
    quantity: Any
    arrival: int


class SlowBook:
    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.arrivals = 0

    def add(self, id_: Any, owner: Any, buy: bool, price: Any, quantity: Any) -> None:
        self.arrivals += 1
        self.orders.append(Order(id_, owner, buy, price, quantity, self.arrivals))

    def remove(self, id_: Any) -> None:
        self.orders = [order for order in self.orders if order.id != id_]

    def reduce(self, id_: Any, by: Any) -> None:
        for order in self.orders:
            if order.id == id_:
                order.quantity -= by
        self.orders = [order for order in self.orders if order.quantity > 0]

    def replace(self, id_: Any, quantity: Any, price: Any) -> None:
        old = next(order for order in self.orders if order.id == id_)
        if price == old.price and quantity <= old.quantity:
            self.reduce(id_, old.quantity - quantity)
        else:
            self.remove(id_)
            self.add(id_, old.owner, old.buy, price, quantity)

    def side(self, buy: bool) -> list[Order]:
        """Return a side in the order an incoming order meets it."""
        mine = [order for order in self.orders if order.buy == buy]
        return sorted(mine, key=lambda order: (-order.price if buy else order.price, order.arrival))

    def match(
        self, owner: Any, buy: bool, quantity: Any, limit: Any, cancel_resting: bool
    ) -> tuple[list[tuple[Any, Any, Any]], list[Any], Any, bool]:
        """Return (maker, price, quantity) of each match, who was cancelled, what remains, and whether it stopped."""
        matches: list[tuple[Any, Any, Any]] = []
        cancelled: list[Any] = []
        for maker in self.side(not buy):
            if quantity == 0 or (limit is not None and (maker.price > limit if buy else maker.price < limit)):
                break
            if owner is not None and maker.owner == owner:
                if not cancel_resting:
                    return matches, cancelled, quantity, True
                cancelled.append(maker.id)
                self.remove(maker.id)
                continue
            met = min(quantity, maker.quantity)
            matches.append((maker.id, maker.price, met))
            quantity -= met
            self.reduce(maker.id, met)
        return matches, cancelled, quantity, False

    def depth(self, buy: bool) -> list[tuple[Any, Any, int]]:
        """Return price, quantity and number of orders of each level, best first."""
        orders = self.side(buy)
        prices = list(dict.fromkeys(order.price for order in orders))
        groups = [[order.quantity for order in orders if order.price == price] for price in prices]
        return [(price, sum(group), len(group)) for price, group in zip(prices, groups, strict=True)]

    def tradable(self, price: Any, unpriced_buy: Any, unpriced_sell: Any) -> tuple[Any, Any]:
        """Return what is bought and what is sold at a price if all who accept it come."""
        bought = unpriced_buy + sum(order.quantity for order in self.orders if order.buy and order.price >= price)
        sold = unpriced_sell + sum(order.quantity for order in self.orders if not order.buy and order.price <= price)
        return bought, sold
