"""Cash behind orders that came to close a position, once another order's fill took what they were to close.

Such an order was let through with nothing reserved, because closing gives back more than it takes. It may now open a
position, and must be backed before other orders are offered the same cash.
"""

from qsuite.domain.money import ZERO, show
from qsuite.domain.trading.order import Order
from qsuite.domain.trading.paper import touchline
from qsuite.domain.trading.risk import cash_behind, worst_price
from qsuite.domain.trading.state import TradingState
from qsuite.domain.trading.steps import ENGINE, keep_first_answer


def back_what_may_open(state: TradingState, filled: Order, now: int) -> None:
    """After a fill that closed, reserve for as many orders of its side, the newest first, as may now open a position.

    Nothing refuses here: the orders stand. What they need is only no longer there for others.
    """
    position = state.position_or_flat(filled.account, filled.symbol)
    is_buy = filled.is_buy
    to_close = -position.quantity if is_buy else position.quantity
    may_open = (position.working_buys if is_buy else position.working_sells) - max(ZERO, to_close)
    if may_open <= ZERO:
        return
    working = [
        order
        for order in state.open.by_account.get(filled.account, {}).values()
        if order.symbol == filled.symbol and order.is_buy == is_buy and order.counted
    ]
    may_open -= sum((order.counted for order in working if order.reserved), ZERO)
    for order in reversed(working):
        if may_open <= ZERO:
            return
        if not order.reserved and not order.reduce_only:
            _back(state, order, filled, now)
            may_open -= order.counted


def _back(state: TradingState, order: Order, filled: Order, now: int) -> None:
    ticker = state.ticker(order.symbol)
    rules = state.rules if ticker is None else state.rules.for_ticker(ticker)
    limits = state.limits.effective(order.account, order.strategy, order.symbol)
    price = worst_price(order, touchline(state.market(order.symbol), order.is_buy, rules), limits, rules)
    if price is None:  # the market has gone quiet: what was just paid is the last that is known
        price = filled.avg_fill_price
        assert price is not None
    keep_first_answer(order)
    state.reserve(order, cash_behind(order, price, rules.commission))
    order.move(order.status, now)
    state.record("order.backed", order, now, ENGINE, reserved=show(order.reserved))
