"""Let resting limit orders meet the market as it moves."""

from collections.abc import Sequence

from qsuite.domain.market import Tick, Trade
from qsuite.domain.trading.commands import MarketMoved, Outcome
from qsuite.domain.trading.order import Order
from qsuite.domain.trading.paper import match_resting
from qsuite.domain.trading.place import keep_first_answer
from qsuite.domain.trading.settle import fill_order
from qsuite.domain.trading.state import RestingOrders, TradingState


def market_moved(state: TradingState, command: MarketMoved, now: int) -> Outcome:
    """Fill every resting order that one of the ticks reaches, tick by tick, best price first, then oldest."""
    filled: list[Order] = []
    for tick in command.ticks:
        resting = state.resting.get(tick.symbol)
        if resting:
            filled += _meet(state, resting, tick, now)
    return Outcome(orders=tuple(filled))


def _meet(state: TradingState, resting: RestingOrders, tick: Tick, now: int) -> list[Order]:
    ticker = state.ticker(tick.symbol)
    if ticker is None:
        return []
    filled = []
    for side in (resting.buys, resting.sells):
        for _, _, order in tuple(side):
            fill = match_resting(order, tick, ticker, state.rules)
            if fill is None:
                break
            keep_first_answer(order)
            filled.append(fill_order(state, order, fill, now))
    return filled


def reaches(state: TradingState, ticks: Sequence[Tick]) -> bool:
    """Say, cheaply, whether any of the ticks could fill any resting order."""
    if not state.resting:
        return False
    for tick in ticks:
        resting = state.resting.get(tick.symbol)
        if not resting:
            continue
        low, high = (tick.price, tick.price) if isinstance(tick, Trade) else (tick.ask, tick.bid)
        if resting.buys and low is not None and low <= -resting.buys[0][0]:
            return True
        if resting.sells and high is not None and high >= resting.sells[0][0]:
            return True
    return False
