"""A limit order book with price-time priority: the market of tickers whose orders meet each other.

Invariants: an order stands in exactly one queue, behind every order that came to that price before it; a level's
quantity is the sum of its orders; no level is empty. The book only keeps and matches: it neither checks orders nor
stores them, and a crossed book is legal, because a call auction collects one (see ``auction``). On an order's way it
stands between the risk controls and the settlement of fills.

Every operation is O(1) but for a price that opens or closes: a binary search and one shift of the ranking, eight bytes
a level. Prices and quantities may be ``Decimal`` or ``int``, one kind per book.
"""

from collections.abc import Hashable, Iterator
from enum import StrEnum
from itertools import islice
from typing import Generic, NamedTuple

from qsuite.domain.trading.ladder import Ladder, Level, LevelView, Number, Resting, view


class SelfTrade(StrEnum):
    """Which order yields when both sides have one owner: the incoming one's rest, or the one that rests."""

    CANCEL_NEWEST = "cancel_newest"
    CANCEL_RESTING = "cancel_resting"


class Match(NamedTuple, Generic[Number]):
    """One meeting of an incoming order with a resting one, at the resting price.

    ``maker.quantity`` is what the resting order has left, after all meetings of the same incoming order.
    """

    maker: Resting[Number]
    price: Number
    quantity: Number


class Matched(NamedTuple, Generic[Number]):
    """What an incoming order met: its matches in order, whom it cancelled, and what is left of it.

    ``stopped`` says that the rest must not go on or rest, because it reached an order of the same owner.
    """

    matches: list[Match[Number]]
    cancelled: list[Resting[Number]]
    remaining: Number
    stopped: bool


class LevelChange(NamedTuple, Generic[Number]):
    """What a price level is now, having changed."""

    buy: bool
    price: Number
    quantity: Number
    orders: int


class Book(Generic[Number]):
    """The two sides of one symbol. ``zero`` fixes the kind of number: ``Book(ZERO)`` or ``Book(0)``."""

    __slots__ = ("_asks", "_bids", "_orders", "_zero")
    _zero: Number

    def __init__(self, zero: Number) -> None:
        self._zero = zero
        self._bids: Ladder[Number] = Ladder(buy=True)
        self._asks: Ladder[Number] = Ladder(buy=False)
        self._orders: dict[Hashable, Resting[Number]] = {}

    def __len__(self) -> int:
        return len(self._orders)

    def __contains__(self, id_: Hashable) -> bool:
        return id_ in self._orders

    # ------------------------------------------------------------ changing

    def add(self, id_: Hashable, owner: Hashable, buy: bool, price: Number, quantity: Number) -> Resting[Number]:
        """Rest an order behind all others at its price, whatever the other side holds: match it first."""
        orders = self._orders
        assert id_ not in orders, "an order rests once"
        side = self._bids if buy else self._asks
        level = side.levels.get(price)
        if level is None:
            level = side.open(price, self._zero)
        order = orders[id_] = Resting(id_, owner, quantity, level)
        last = level.last
        if last is None:
            level.first = order
        else:
            order.ahead = last
            last.behind = order
        level.last = order
        level.quantity += quantity
        level.orders += 1
        if side.changed is not None:
            side.changed.add(level.price)
        return order

    def remove(self, id_: Hashable) -> Resting[Number]:
        """Take an order out; KeyError if it does not rest here. Its quantity stays readable."""
        order = self._orders.pop(id_)
        level = order.level
        side = level.side
        if side.changed is not None:
            side.changed.add(level.price)
        level.orders -= 1
        if not level.orders:
            side.close(level.price)
            return order
        level.quantity -= order.quantity
        ahead, behind = order.ahead, order.behind
        if ahead is None:
            level.first = behind
        else:
            ahead.behind = behind
        if behind is None:
            level.last = ahead
        else:
            behind.ahead = ahead
        return order

    def reduce(self, id_: Hashable, by: Number) -> Resting[Number]:
        """Make an order smaller, keeping its place; one with nothing left goes. KeyError if it does not rest here."""
        order = self._orders[id_]
        assert by <= order.quantity, "no order is reduced below nothing"
        if by == order.quantity:
            self.remove(id_)
            order.quantity -= by
            return order
        level = order.level
        order.quantity -= by
        level.quantity -= by
        if level.side.changed is not None:
            level.side.changed.add(level.price)
        return order

    def replace(self, id_: Hashable, quantity: Number, price: Number) -> Resting[Number]:
        """Give an order a new remaining quantity and price; KeyError if it does not rest here.

        It keeps its place only if it shrinks at its own price; else it goes behind all others, as a new one would.
        """
        order = self._orders[id_]
        if price == order.level.price and quantity <= order.quantity:
            return self.reduce(id_, order.quantity - quantity)
        self.remove(id_)
        return self.add(id_, order.owner, order.level.side.buy, price, quantity)

    def match(
        self,
        owner: Hashable,
        buy: bool,
        quantity: Number,
        limit: Number | None = None,
        self_trade: SelfTrade = SelfTrade.CANCEL_NEWEST,
    ) -> Matched[Number]:
        """Let an incoming order meet the other side: best price first, oldest first, each at the resting price.

        It goes no further than its limit, if it has one; what remains is not rested.
        """
        side = self._asks if buy else self._bids
        matches: list[Match[Number]] = []
        cancelled: list[Resting[Number]] = []
        while quantity and (level := side.best) is not None:
            price = level.price
            if limit is not None and (price > limit if buy else price < limit):
                break
            maker = level.first
            assert maker is not None, "no level is empty"
            if owner is not None and maker.owner == owner:
                if self_trade is SelfTrade.CANCEL_NEWEST:
                    return Matched(matches, cancelled, quantity, stopped=True)
                cancelled.append(self.remove(maker.id))
                continue
            met = min(quantity, maker.quantity)
            quantity -= met
            self.reduce(maker.id, met)
            matches.append(Match(maker, price, met))
        return Matched(matches, cancelled, quantity, stopped=False)

    # ------------------------------------------------------------ looking

    def find(self, id_: Hashable) -> Resting[Number] | None:
        """Return a resting order, or None."""
        return self._orders.get(id_)

    def levels(self, *, buy: bool) -> Iterator[Level[Number]]:
        """Go through a side, best price first; each level yields its orders, oldest first."""
        return (self._bids if buy else self._asks).best_first()

    def best(self, *, buy: bool) -> Level[Number] | None:
        """Return the best level of a side, None if it is empty."""
        return (self._bids if buy else self._asks).best

    @property
    def bid(self) -> LevelView[Number] | None:
        """The highest price somebody buys at."""
        return view(self.best(buy=True))

    @property
    def ask(self) -> LevelView[Number] | None:
        """The lowest price somebody sells at."""
        return view(self.best(buy=False))

    def reached(
        self,
        owner: Hashable,
        buy: bool,
        limit: Number | None = None,
        self_trade: SelfTrade = SelfTrade.CANCEL_NEWEST,
    ) -> Iterator[Resting[Number]]:
        """Go through the orders that ``match`` would meet with quantity enough, in its order, changing nothing."""
        for level in self.levels(buy=not buy):
            if limit is not None and (level.price > limit if buy else level.price < limit):
                return
            for maker in level:
                if owner is None or maker.owner != owner:
                    yield maker
                elif self_trade is SelfTrade.CANCEL_NEWEST:
                    return

    def depth(self, levels: int) -> tuple[list[LevelView[Number]], list[LevelView[Number]]]:
        """Return bids and asks, the best ``levels`` of each, best first."""
        bids, asks = (
            [LevelView(level.price, level.quantity, level.orders) for level in islice(side.best_first(), levels)]
            for side in (self._bids, self._asks)
        )
        return bids, asks

    def changes(self) -> list[LevelChange[Number]]:
        """Return each level touched since this was last asked, as it is now; the first call begins the watch."""
        found: list[LevelChange[Number]] = []
        for side in (self._bids, self._asks):
            for price in side.changed or ():
                level = side.levels.get(price)
                if level is None:
                    found.append(LevelChange(side.buy, price, self._zero, 0))
                else:
                    found.append(LevelChange(side.buy, price, level.quantity, level.orders))
            side.changed = set()
        return found
