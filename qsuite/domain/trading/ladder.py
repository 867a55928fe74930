"""One side of a limit order book: its prices in order, and at each price a queue of orders.

    ladder: prices, ranked; the level of each price
    level:  first -> order -> order -> last       (oldest first, linked both ways)

Invariants: no level is empty; a level's quantity is the sum of its orders. ``book`` keeps them; here is what it keeps
them in. Prices and quantities may be ``Decimal`` or ``int``, one kind per book.
"""

from bisect import bisect_left, insort
from collections.abc import Hashable, Iterator
from decimal import Decimal
from typing import Generic, NamedTuple, TypeVar

Number = TypeVar("Number", int, Decimal)


class Level(Generic[Number]):
    """All orders at one price of one side."""

    __slots__ = ("first", "last", "orders", "price", "quantity", "side")
    side: "Ladder[Number]"
    price: Number
    quantity: Number

    def __init__(self, side: "Ladder[Number]", price: Number, zero: Number) -> None:
        self.side = side
        self.price = price
        self.quantity = zero
        self.orders = 0
        self.first: Resting[Number] | None = None
        self.last: Resting[Number] | None = None

    def __iter__(self) -> "Iterator[Resting[Number]]":
        order = self.first
        while order is not None:
            yield order
            order = order.behind


class Resting(Generic[Number]):
    """An order in the book; ``quantity`` is what is left of it. An owner of None never meets itself."""

    __slots__ = ("ahead", "behind", "id", "level", "owner", "quantity")
    quantity: Number
    level: Level[Number]

    def __init__(self, id_: Hashable, owner: Hashable, quantity: Number, level: Level[Number]) -> None:
        self.id = id_
        self.owner = owner
        self.quantity = quantity
        self.level = level
        self.ahead: Resting[Number] | None = None
        self.behind: Resting[Number] | None = None

    @property
    def price(self) -> Number:
        """The price it rests at."""
        return self.level.price

    @property
    def buy(self) -> bool:
        """Whether it buys."""
        return self.level.side.buy


class Ladder(Generic[Number]):
    """One side of the book: its prices, lowest first, and the level of each."""

    __slots__ = ("best_at", "buy", "changed", "levels", "prices")

    def __init__(self, *, buy: bool) -> None:
        self.buy = buy
        self.best_at = -1 if buy else 0
        self.levels: dict[Number, Level[Number]] = {}
        self.prices: list[Number] = []
        # Prices touched since they were last asked for; None while nobody asks.
        self.changed: set[Number] | None = None

    def open(self, price: Number, zero: Number) -> Level[Number]:
        """Make the level of a price that has none."""
        level = self.levels[price] = Level(self, price, zero)
        insort(self.prices, price)
        return level

    def close(self, price: Number) -> None:
        """Take an empty level away."""
        del self.levels[price]
        del self.prices[bisect_left(self.prices, price)]

    @property
    def best(self) -> Level[Number] | None:
        """The level an incoming order meets first."""
        return self.levels[self.prices[self.best_at]] if self.prices else None

    def best_first(self) -> Iterator[Level[Number]]:
        """Go through the levels in the order an incoming order meets them."""
        return map(self.levels.__getitem__, reversed(self.prices) if self.buy else self.prices)


class LevelView(NamedTuple, Generic[Number]):
    """A price level as others see it; quantity and orders are zero once it is gone."""

    price: Number
    quantity: Number
    orders: int


def view(level: Level[Number] | None) -> LevelView[Number] | None:
    """Show a level as others see it."""
    return None if level is None else LevelView(level.price, level.quantity, level.orders)
