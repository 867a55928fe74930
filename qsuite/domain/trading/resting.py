"""Orders that rest on the paper venue, one set a symbol: limits, remainders of market orders, and stops that wait.

Invariant: every working order of a paper symbol is in exactly one of the three, or delayed on its way to them. Of a
symbol with a book only the stops are here; the rest is in ``book``.
"""

from bisect import bisect_left, bisect_right, insort
from decimal import Decimal
from uuid import UUID

from qsuite.domain.market import Tick, Trade
from qsuite.domain.trading.order import Order, OrderType

Entry = tuple[Decimal, int, Order]


class Ranked:
    """Orders of one side by a price, best first, then by arrival. ``descending`` says that higher is better."""

    __slots__ = ("_sign", "entries")

    def __init__(self, *, descending: bool) -> None:
        self._sign = -1 if descending else 1
        self.entries: list[Entry] = []

    def add(self, order: Order, price: Decimal) -> None:
        """Put an order in its place."""
        insort(self.entries, (self._sign * price, order.arrival, order), key=_rank)

    def remove(self, order: Order, price: Decimal) -> bool:
        """Take an order out; say whether it was here at this price."""
        entries, key = self.entries, self._sign * price
        index = bisect_left(entries, (key, order.arrival), key=_rank)
        while index < len(entries) and entries[index][0] == key:
            if entries[index][2] is order:
                del entries[index]
                return True
            index += 1
        return False

    def up_to(self, price: Decimal | None) -> list[Order]:
        """Return the orders that a price reaches, best first, then by arrival."""
        if not self.reached(price):
            return []
        assert price is not None
        end = bisect_right(self.entries, self._sign * price, key=_price)
        return [entry[2] for entry in self.entries[:end]]

    def reached(self, price: Decimal | None) -> bool:
        """Say whether a price is at or beyond the best order's."""
        return bool(self.entries) and price is not None and self.entries[0][0] <= self._sign * price

    def prices(self) -> list[Decimal]:
        """Return the orders' prices, best first."""
        return [self._sign * entry[0] for entry in self.entries]

    def __bool__(self) -> bool:
        return bool(self.entries)


def _price(entry: Entry) -> Decimal:
    return entry[0]


def _rank(entry: Entry | tuple[Decimal, int]) -> tuple[Decimal, int]:
    return entry[0], entry[1]


class RestingOrders:
    """What rests in one symbol.

    buys, sells            working limit orders; a buy is reached by a price at or below it
    remainders             what is left of market orders, oldest first
    stop_buys, stop_sells  stops that wait; a buy stop is reached by a price at or above it
    trailing               those of the stops that follow the market
    """

    __slots__ = ("buys", "remainders", "sells", "stop_buys", "stop_sells", "trailing")

    def __init__(self) -> None:
        self.buys = Ranked(descending=True)
        self.sells = Ranked(descending=False)
        self.stop_buys = Ranked(descending=False)
        self.stop_sells = Ranked(descending=True)
        self.remainders: dict[UUID, Order] = {}
        self.trailing: dict[UUID, Order] = {}

    def add(self, order: Order) -> None:
        """Let an order rest where it belongs."""
        if order.waits:
            assert order.stop_price is not None
            self._stops(order).add(order, order.stop_price)
            if order.order_type is OrderType.TRAILING_STOP:
                self.trailing[order.id] = order
        elif order.limit is None:
            self.remainders[order.id] = order
        else:
            self._limits(order).add(order, order.limit)

    def remove(self, order: Order) -> None:
        """Take an order out, wherever it is: it may have been triggered since it was put in."""
        if self.remainders.pop(order.id, None) is not None:
            return
        self.trailing.pop(order.id, None)
        if order.stop_price is not None and self._stops(order).remove(order, order.stop_price):
            return
        if order.limit is not None:
            self._limits(order).remove(order, order.limit)

    def __bool__(self) -> bool:
        return bool(self.buys or self.sells or self.remainders or self.stop_buys or self.stop_sells)

    def touched_by(self, tick: Tick, *, traded: bool) -> bool:
        """Say, cheaply, whether a tick could do anything here. ``traded`` says whether stops go by trades."""
        if self.remainders:
            return True
        low, high = span(tick)
        if self.buys.reached(low) or self.sells.reached(high):
            return True
        up, down = stop_prices(tick, traded=traded)
        return (bool(self.trailing) and up is not None) or self.stop_buys.reached(up) or self.stop_sells.reached(down)

    def _limits(self, order: Order) -> Ranked:
        return self.buys if order.is_buy else self.sells

    def _stops(self, order: Order) -> Ranked:
        return self.stop_buys if order.is_buy else self.stop_sells


def span(tick: Tick) -> tuple[Decimal | None, Decimal | None]:
    """Return the price that reaches buy limits, and the one that reaches sell limits."""
    if isinstance(tick, Trade):
        return tick.price, tick.price
    return tick.ask, tick.bid


def stop_prices(tick: Tick, *, traded: bool) -> tuple[Decimal | None, Decimal | None]:
    """Return the price that stops to buy see in a tick, and the one that stops to sell see.

    Stops go by trades. Where nothing ever traded, as in currencies, they go by the side of the quote they would get.
    """
    if isinstance(tick, Trade):
        return tick.price, tick.price
    return (None, None) if traded else (tick.ask, tick.bid)
