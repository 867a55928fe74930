"""Let a working order trade as far as it can now: against the market on the paper venue, or in the book.

What is left rests; of an order that is to trade at once only, it is cancelled.
"""

from decimal import Decimal

from qsuite.domain.market import Snapshot, Trade
from qsuite.domain.money import ZERO, round_to_tick
from qsuite.domain.reference import Ticker
from qsuite.domain.trading.book_basis import book_basis
from qsuite.domain.trading.order import AT_ONCE, WORKING, Order, OrderType, Status, TimeInForce
from qsuite.domain.trading.paper import Fill, could_fill, eligible, match_now, touchline
from qsuite.domain.trading.reducers import foresee, keep_to_room
from qsuite.domain.trading.risk import Refusal, protective_limit
from qsuite.domain.trading.settle import fill_order
from qsuite.domain.trading.state import TradingState
from qsuite.domain.trading.steps import ENGINE, close, keep_first_answer, note_refusal, shrink
from qsuite.domain.trading.venues import BOOK

PER_CENT = Decimal("0.01")


def act(state: TradingState, order: Order, now: int, market: Snapshot | None = None) -> Order | None:
    """Let a working order act; return it as it is after that, None if it rests as it was."""
    ticker = state.ticker(order.symbol)
    if ticker is None:  # taken away since: nothing trades, but the order can be cancelled
        state.rest(order)
        return None
    if order.reduce_only and not keep_to_room(state, order, now):
        return order
    if ticker.execution_mode == BOOK:
        return _act_in_book(state, order, ticker, now)
    rules = state.rules.for_ticker(ticker)
    if not eligible(order.sent_at, now, rules):
        order.arrival = 0  # on its way: so a restart tells it from one that rests
        state.venues.delayed.add(order, order.sent_at + rules.latency_ns)
        return None
    market = market or state.market(order.symbol)
    if order.time_in_force is TimeInForce.FOK and not could_fill(order, market, ticker, rules):
        return _cancel(state, order, now, "fok")
    fill = match_now(order, market, ticker, rules, taken=order.taken)
    done = None if fill is None else fill_order(state, order, fill, now)
    if order.status in WORKING:
        if order.time_in_force in AT_ONCE:
            return _cancel(state, order, now, "ioc")
        state.rest(order)
    return done


def act_delayed(state: TradingState, now: int) -> list[Order]:
    """Let the orders meet the market whose way to it is over."""
    acted = []
    for order in state.venues.delayed.by(now):
        state.venues.delayed.remove(order)
        keep_first_answer(order)
        done = act(state, order, now)
        if done is None:  # it rests from now on, and a restart must know where
            order.move(order.status, now)
            done = state.record("order.arrived", order, now, ENGINE)
        acted.append(done)
    return acted


def begin_trailing(state: TradingState, order: Order) -> None:
    """Give a trailing stop its first stop price, from what the market shows; none while it shows nothing."""
    if order.order_type is not OrderType.TRAILING_STOP:
        return
    market, ticker = state.market(order.symbol), state.ticker(order.symbol)
    price = market.trade.price if market.trade is not None else touchline(market, order.is_buy, state.rules)
    if price is not None and ticker is not None:
        order.stop_price = trailed(order, price, ticker)


def trailed(order: Order, price: Decimal, ticker: Ticker) -> Decimal | None:
    """Return where a trailing stop stands when the market is at a price, never nearer than its distance.

    None for a sell whose distance is the whole price: there is no stop at or below zero.
    """
    if order.trail_price is not None:
        distance = order.trail_price
    elif order.trail_percent is not None:
        distance = price * order.trail_percent * PER_CENT
    else:
        return None
    away = price + distance if order.is_buy else price - distance
    stop = round_to_tick(away, ticker.tick_size, up=order.is_buy)
    return stop if stop > ZERO else None


def _act_in_book(state: TradingState, order: Order, ticker: Ticker, now: int) -> Order | None:
    """Match an order with those that rest in the book, best price first, then oldest; rest what is left."""
    book = state.venues.book(order.symbol)
    limits = state.limits.effective(order.account, order.strategy, order.symbol)
    owner = state.owner(order) if limits.self_trade is not False else None
    limit = order.limit if order.limit is not None else protective_limit(order, state.market(order.symbol), limits)
    if order.time_in_force is TimeInForce.FOK or state.open.reducers:
        foreseen = foresee(state, book, order, owner, limit)
        if order.time_in_force is TimeInForce.FOK and foreseen.filled < order.remaining:
            return _cancel(state, order, now, "fok")
        for reducer, quantity in foreseen.cuts:
            shrink(state, reducer, quantity, now, reason="reduce_only")
    matched = book.match(owner, order.is_buy, order.remaining, limit)
    done = None
    for maker, price, quantity in matched.matches:
        done = _trade(state, order, state.orders[maker.id], price, quantity, now)  # type: ignore[index]
    if matched.matches:
        state.venues.changed.add(order.symbol)
    if matched.stopped:
        refusal = Refusal("risk.self_trade", "it would trade with an order of the same person")
        note_refusal(state, order, refusal, now, ENGINE)
        return _cancel(state, order, now, refusal.code)
    if order.status in WORKING:
        if order.time_in_force in AT_ONCE:
            return _cancel(state, order, now, "ioc")
        if order.limit is None:
            return _cancel(state, order, now, "no_liquidity")
        state.rest(order)
    return done


def _trade(state: TradingState, taker: Order, maker: Order, price: Decimal, quantity: Decimal, now: int) -> Order:
    """Fill both orders of a meeting in the book."""
    basis = book_basis(taker, maker, price)
    keep_first_answer(maker)
    fill_order(state, maker, Fill(price, quantity, basis | {"liquidity": "maker"}), now)
    done = fill_order(state, taker, Fill(price, quantity, basis | {"liquidity": "taker"}), now)
    trade = Trade(taker.symbol, now, price, quantity)
    state.venues.last_trades[taker.symbol] = trade
    state.changes.trades.append(trade)
    return done


def _cancel(state: TradingState, order: Order, now: int, reason: str) -> Order:
    return close(state, order, Status.CANCELLED, "order.cancelled", now, ENGINE, reason=reason)
