"""Orders that only reduce a position: none may fill for more than there is to reduce.

Invariant: no fill of theirs opens a position or turns it round. They are cut to their room before they act, before an
incoming order meets them in a book, and after each fill of their account.
"""

from collections import defaultdict
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from qsuite.domain.money import ZERO
from qsuite.domain.trading.book import Book
from qsuite.domain.trading.order import WORKING, Order
from qsuite.domain.trading.state import TradingState
from qsuite.domain.trading.steps import shrink


def keep_to_room(state: TradingState, order: Order, now: int) -> bool:
    """Before a reduce-only order acts, leave it no more than there is to reduce. Say whether anything is left."""
    room = _reducible(state.position_or_flat(order.account, order.symbol).quantity, order)
    if order.remaining > room:
        shrink(state, order, room, now, reason="reduce_only")
    return order.status in WORKING


def hold_reducers(state: TradingState, filled: Order, now: int) -> None:
    """After a fill, leave the reduce-only orders of its account no more than there still is to reduce."""
    reducers = state.open.reducers.get((filled.account, filled.symbol))
    if not reducers:
        return
    held = state.position(filled.account, filled.symbol).quantity
    for reducer in list(reducers.values()):
        room = _reducible(held, reducer)
        if reducer.status in WORKING and reducer.remaining > room:
            shrink(state, reducer, room, now, reason="reduce_only")


class Foreseen(NamedTuple):
    """What an incoming order will fill in a book, and how much is to be left to which reduce-only orders before."""

    filled: Decimal
    cuts: list[tuple[Order, Decimal]]


def foresee(
    state: TradingState, book: Book[Decimal], taker: Order, owner: UUID | None, limit: Decimal | None
) -> Foreseen:
    """Follow an incoming order through the book without changing anything.

    On its way it may fill several orders of one account, and so leave the last of them less to reduce than they rest
    for; of two that cancel one another it may reach both.
    """
    sign = 1 if taker.is_buy else -1
    left = taker.remaining
    cuts: list[tuple[Order, Decimal]] = []
    moved: defaultdict[UUID, Decimal] = defaultdict(lambda: ZERO)
    met: dict[UUID, Decimal] = {}
    for resting in book.reached(owner, taker.is_buy, limit):
        maker = state.orders[resting.id]  # type: ignore[index]
        fills = resting.quantity
        if maker.reduce_only:
            held = state.position_or_flat(maker.account, maker.symbol).quantity + moved[maker.account]
            by_other_leg = ZERO if maker.oco is None else met.get(maker.oco, ZERO)
            fills = max(ZERO, min(_reducible(held, maker), fills - by_other_leg))
            if fills < resting.quantity:
                cuts.append((maker, fills))
        met[maker.id] = fills = min(fills, left)
        moved[maker.account] -= sign * fills
        moved[taker.account] += sign * fills
        left -= fills
        if not left:
            break
    return Foreseen(taker.remaining - left, cuts)


def _reducible(held: Decimal, order: Order) -> Decimal:
    """Return how much of a position an order of its side can take away."""
    return max(ZERO, -held if order.is_buy else held)
