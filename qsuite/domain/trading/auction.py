"""The call auction of a book: one price at which the most trades, and the meeting of all who accept it.

Invariant: what is bought is what is sold, at one price, and nobody who named a better price than it is left standing.
Orders without a price take any; they are not in the book, so they come along as arguments. Owners are not compared: all
orders of a call arrive at once, so there is no newest one to yield.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Generic, NamedTuple

from qsuite.domain.trading.book import Book
from qsuite.domain.trading.ladder import Number, Resting


class Equilibrium(NamedTuple, Generic[Number]):
    """An auction's price and volume; the imbalance is what is left to buy there (negative: to sell)."""

    price: Number
    quantity: Number
    imbalance: Number


@dataclass(slots=True, eq=False)
class Unpriced(Generic[Number]):
    """An order that takes any price; ``quantity`` is what is left of it."""

    id: Hashable
    owner: Hashable
    quantity: Number


class Cross(NamedTuple, Generic[Number]):
    """A buyer and a seller who met in the auction; after it both orders carry what they have left."""

    buy: Resting[Number] | Unpriced[Number]
    sell: Resting[Number] | Unpriced[Number]
    quantity: Number


def auction_price(
    book: Book[Number], unpriced_buy: Number, unpriced_sell: Number, reference: Number | None = None
) -> Equilibrium[Number] | None:
    """Find the price of maximum executable quantity among the limits in the book; None if nothing can trade.

    Ties go to the smallest imbalance, then to the pressure of the market (highest price if all have buyers left, lowest
    if all have sellers left), then to the price nearest to the reference, else to the lower one in the middle.
    """
    zero = unpriced_buy - unpriced_buy
    bids, asks = list(book.levels(buy=True)), list(book.levels(buy=False))
    # What the best n limits of a side add up to, by n.
    bought = list(accumulate((level.quantity for level in bids), initial=unpriced_buy))
    sold = list(accumulate((level.quantity for level in asks), initial=unpriced_sell))
    bid_prices: list[Number] = [level.price for level in reversed(bids)]
    ask_prices: list[Number] = [level.price for level in asks]
    prices: list[Number] = sorted(set(bid_prices).union(ask_prices))
    found: list[Equilibrium[Number]] = []
    for price in prices:
        buying = bought[len(bids) - bisect_left(bid_prices, price)]
        selling = sold[bisect_right(ask_prices, price)]
        found.append(Equilibrium(price, min(buying, selling), buying - selling))
    most = max((one.quantity for one in found), default=zero)
    if not most:
        return None
    return _choose([one for one in found if one.quantity == most], reference)


def uncross(
    book: Book[Number],
    price: Number,
    unpriced_buys: Iterable[Unpriced[Number]] = (),
    unpriced_sells: Iterable[Unpriced[Number]] = (),
) -> list[Cross[Number]]:
    """Let all who accept the price meet: those without a price first, then the best limits, each oldest first."""
    crosses: list[Cross[Number]] = []
    buyers = _willing(book, price, unpriced_buys, buy=True)
    sellers = _willing(book, price, unpriced_sells, buy=False)
    buy, sell = next(buyers, None), next(sellers, None)
    while buy is not None and sell is not None:
        quantity = min(buy.quantity, sell.quantity)
        _take(book, buy, quantity)
        _take(book, sell, quantity)
        crosses.append(Cross(buy, sell, quantity))
        if not buy.quantity:
            buy = next(buyers, None)
        if not sell.quantity:
            sell = next(sellers, None)
    return crosses


def _choose(tied: list[Equilibrium[Number]], reference: Number | None) -> Equilibrium[Number]:
    """Break a tie of prices that trade the same quantity, lowest first."""
    least = min(abs(one.imbalance) for one in tied)
    tied = [one for one in tied if abs(one.imbalance) == least]
    if all(one.imbalance > 0 for one in tied):
        return tied[-1]
    if all(one.imbalance < 0 for one in tied):
        return tied[0]
    if reference is not None:
        return min(tied, key=lambda one: abs(one.price - reference))
    return tied[(len(tied) - 1) // 2]


def _willing(
    book: Book[Number], price: Number, unpriced: Iterable[Unpriced[Number]], *, buy: bool
) -> Iterator[Resting[Number] | Unpriced[Number]]:
    """Go through those who accept the price, first served first, while the book loses them one by one."""
    yield from unpriced
    for level in list(book.levels(buy=buy)):
        if level.price < price if buy else level.price > price:
            return
        yield from list(level)


def _take(book: Book[Number], order: Resting[Number] | Unpriced[Number], quantity: Number) -> None:
    """Fill a part of an order, in the book or beside it."""
    if isinstance(order, Unpriced):
        order.quantity -= quantity
    else:
        book.reduce(order.id, quantity)
