"""Let resting orders meet the market as it moves, tick by tick."""

from collections.abc import Iterable, Sequence

from qsuite.domain.market import Tick
from qsuite.domain.trading.commands import MarketMoved, Outcome
from qsuite.domain.trading.follow import follow
from qsuite.domain.trading.order import Order
from qsuite.domain.trading.paper import match_resting
from qsuite.domain.trading.resting import RestingOrders, span, stop_prices
from qsuite.domain.trading.settle import fill_order
from qsuite.domain.trading.state import TradingState
from qsuite.domain.trading.steps import keep_first_answer
from qsuite.domain.trading.trigger import meet_stops


def market_moved(state: TradingState, command: MarketMoved, now: int) -> Outcome:
    """Let every resting order meet each of the ticks: limits best price first, then oldest; then stops.

    Orders in a book meet each other, not the ticks: their stops go by the book's own trades. What is printed outside a
    ticker's sessions fills nothing.
    """
    met: list[Order] = []
    held = state.venues.held
    held.update(command.before)
    for tick in command.ticks:
        if tick.symbol in held:
            held[tick.symbol] = held[tick.symbol].then(tick)
            state.see(tick)
        resting = state.venues.resting.get(tick.symbol)
        if resting and not state.venues.has_book(tick.symbol) and state.is_open(tick.symbol, now):
            met += _meet(state, resting, tick, now)
    return Outcome(orders=tuple(met))


def _meet(state: TradingState, resting: RestingOrders, tick: Tick, now: int) -> list[Order]:
    market = state.market(tick.symbol)
    traded = market.trade is not None
    low, high = span(tick)
    remainders = list(resting.remainders.values())
    met = _fill(state, [*resting.buys.up_to(low), *resting.sells.up_to(high), *remainders], tick, now)
    follow(state, now)
    met += meet_stops(state, resting, stop_prices(tick, traded=traded), market.then(tick), now)
    follow(state, now)
    return met


def _fill(state: TradingState, reached: Iterable[Order], tick: Tick, now: int) -> list[Order]:
    met: list[Order] = []
    ticker = state.ticker(tick.symbol)
    if ticker is None:
        return met
    rules = state.rules.for_ticker(ticker)
    for order in reached:
        if order.id not in state.orders:  # ended by what an order before it did
            continue
        fill = match_resting(order, tick, ticker, rules, taken=order.taken)
        if fill is not None:
            keep_first_answer(order)
            met.append(fill_order(state, order, fill, now))
            follow(state, now)  # one leg filled leaves less for the other, also on the same print
    return met


def reaches(state: TradingState, ticks: Sequence[Tick]) -> bool:
    """Say, cheaply, whether any of the ticks could do anything to any resting order."""
    if not state.venues.resting:
        return False
    for tick in ticks:
        resting = state.venues.resting.get(tick.symbol)
        if resting and resting.touched_by(tick, traded=state.market(tick.symbol).trade is not None):
            return True
    return False
