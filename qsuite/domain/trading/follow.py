"""What an order's fill or end means for others: the legs of a bracket, reduce-only orders, orders that were to close
what is gone, stops in a book.

Steps only note what happened (``state.consequences``); here it is acted upon, once the step is over. So nothing changes
an order under the loop that fills it, and what a consequence causes waits its turn behind those before it.
"""

from qsuite.domain.trading.backing import back_what_may_open
from qsuite.domain.trading.legs import end_entry, end_legs, grow_legs, shrink_other_leg
from qsuite.domain.trading.reducers import hold_reducers
from qsuite.domain.trading.state import TradingState
from qsuite.domain.trading.trigger import meet_stops
from qsuite.domain.trading.watch import after_fill


def follow(state: TradingState, now: int) -> None:
    """Draw the consequences of what happened, and of those, until there are none."""
    while state.consequences:
        state.settle_down()
        order, quantity, closes = state.consequences.popleft()
        if not quantity:
            if order.is_bracket:
                end_legs(state, order, now)
            continue
        if order.is_bracket:
            grow_legs(state, order, quantity, now)
        if order.parent is not None:
            end_entry(state, order, now)
        if order.oco is not None:
            shrink_other_leg(state, order, quantity, now)
        hold_reducers(state, order, now)
        if closes:
            back_what_may_open(state, order, now)
        after_fill(state, order, now)
        _meet_book_stops(state, order.symbol, now)


def _meet_book_stops(state: TradingState, symbol: str, now: int) -> None:
    resting = state.venues.resting.get(symbol)
    if resting and symbol in state.venues.books and symbol in state.venues.last_trades:
        price = state.venues.last_trades[symbol].price
        meet_stops(state, resting, (price, price), None, now)
