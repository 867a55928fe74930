"""Stops: follow the market if they trail, and act once it reaches them.

A stop that is reached passes the controls again, with what is true then; refused, it is REJECTED. It then acts as the
order it is: at the market, or as a limit order. So a market that jumps over a stop fills it where the jump ended.
"""

from decimal import Decimal

from qsuite.domain.market import Snapshot
from qsuite.domain.money import show
from qsuite.domain.reference import Ticker
from qsuite.domain.trading.act import act, trailed
from qsuite.domain.trading.order import Order
from qsuite.domain.trading.resting import RestingOrders
from qsuite.domain.trading.risk import review, review_of
from qsuite.domain.trading.state import TradingState
from qsuite.domain.trading.steps import ENGINE, keep_first_answer, refuse


def meet_stops(
    state: TradingState,
    resting: RestingOrders,
    prices: tuple[Decimal | None, Decimal | None],
    market: Snapshot | None,
    now: int,
) -> list[Order]:
    """Let the stops of a symbol see the prices that buys and sells go by. Return what acted, as it is then."""
    up, down = prices
    ticker = None if not resting.trailing else state.ticker(next(iter(resting.trailing.values())).symbol)
    if ticker is not None:
        for order in list(resting.trailing.values()):
            price = up if order.is_buy else down
            if price is not None:
                _trail(state, resting, order, price, ticker, now)
    reached = [*resting.stop_buys.up_to(up), *resting.stop_sells.up_to(down)]
    return [trigger(state, order, now, market) for order in reached if order.id in state.orders]


def trigger(state: TradingState, order: Order, now: int, market: Snapshot | None) -> Order:
    """Let a stop act whose price was reached. Return it as it is then."""
    keep_first_answer(order)
    state.venues.take_out(order)
    order.triggered = True
    with state.without(order):
        subject = review_of(state, order, now, trigger=True)
        refusal = review(subject)
    if refusal is not None:
        return refuse(state, order, refusal, now, ENGINE)
    order.sent_at = now
    order.move(order.status, now)
    assert order.stop_price is not None
    sent = state.record("order.triggered", order, now, ENGINE, stop_price=show(order.stop_price))
    state.reserve(order, subject.reservation)
    return act(state, order, now, market) or sent


def _trail(state: TradingState, resting: RestingOrders, order: Order, price: Decimal, ticker: Ticker, now: int) -> None:
    stop, known = trailed(order, price, ticker), order.stop_price
    if stop is None or (known is not None and (stop >= known if order.is_buy else stop <= known)):
        return
    keep_first_answer(order)
    resting.remove(order)
    order.stop_price = stop
    resting.add(order)
    order.move(order.status, now)
    state.record("order.trailed", order, now, ENGINE, stop_price=show(stop))
