"""Match a paper order with what the market shows: a snapshot when it comes, ticks while it rests.

Place on the order's way: after the risk controls, before the settlement. Nothing here changes the order or the market.
"""

from decimal import Decimal
from typing import Any, NamedTuple

from qsuite.domain.market import Quote, Snapshot, Tick, Trade
from qsuite.domain.reference import Ticker
from qsuite.domain.trading.commission import commission_basis
from qsuite.domain.trading.order import Order
from qsuite.domain.trading.paper.basis import MODEL, price_of, quantity_of, seed_of, slippage_bps
from qsuite.domain.trading.paper.quotes import crossed, offer_to, usable_quote
from qsuite.domain.trading.paper.rules import FillRules


class Fill(NamedTuple):
    """A price for a quantity, and what it was based on."""

    price: Decimal
    quantity: Decimal
    basis: dict[str, Any]

    @property
    def source(self) -> str:
        """Return what was taken from; the order's next match is told, so that it never takes from it again."""
        return str(self.basis["source"])


def match_now(
    order: Order, market: Snapshot, ticker: Ticker, rules: FillRules, *, taken: str | None = None
) -> Fill | None:
    """Trade an order that acts now against the market, as much of it as may trade, or None if it cannot.

    ``taken`` is the source of the order's last fill: that quote or print is used up for it.
    """
    rules = rules.for_ticker(ticker)
    quote = usable_quote(market, rules)
    if quote is not None and offer_to(order.is_buy, quote) is not None:
        return _take_quote(order, quote, ticker, rules, taken)
    if market.trade is not None:
        return _take_last(order, market.trade, ticker, rules, taken)
    return None


def match_resting(
    order: Order, tick: Tick, ticker: Ticker, rules: FillRules, *, taken: str | None = None
) -> Fill | None:
    """Trade a resting limit order, or what is left of a market order, with a new tick, or None if it cannot."""
    rules = rules.for_ticker(ticker)
    if isinstance(tick, Quote):
        return None if crossed(tick) else _take_quote(order, tick, ticker, rules, taken)
    if order.limit is None:
        return _take_last(order, tick, ticker, rules, taken)
    return _meet_print(order, order.limit, tick, ticker, rules, taken)


def could_fill(order: Order, market: Snapshot, ticker: Ticker, rules: FillRules) -> bool:
    """Say whether all that is left of an order would trade now: fill-or-kill asks before it acts."""
    fill = match_now(order, market, ticker, rules)
    return fill is not None and fill.quantity == order.remaining


def source_of(tick: Tick) -> str:
    """Name a tick: its kind, its time, and its number among the symbol's ticks."""
    return f"{'trade' if isinstance(tick, Trade) else 'quote'} {tick.ts_ns} {tick.seq}"


def _take_quote(order: Order, quote: Quote, ticker: Ticker, rules: FillRules, taken: str | None) -> Fill | None:
    offer = offer_to(order.is_buy, quote)
    if offer is None or not _within(order, offer.price):
        return None
    shown = {"bid": quote.bid, "ask": quote.ask, "bid_size": quote.bid_size, "ask_size": quote.ask_size}
    basis = {"rule": "quote", "price": offer.price, "available": offer.size or None} | shown
    return _fill(order, quote, basis, ticker, rules, taken)


def _take_last(order: Order, trade: Trade, ticker: Ticker, rules: FillRules, taken: str | None) -> Fill | None:
    seed, low, high = seed_of(order), rules.slippage_min_bps, rules.slippage_max_bps
    drawn = {"seed": seed, "slippage_min_bps": low, "slippage_max_bps": high}
    basis = _print("last", trade) | drawn | {"tick_size": ticker.tick_size}
    basis["slippage_bps"] = slippage_bps(seed, low, high)
    fill = _fill(order, trade, basis, ticker, rules, taken)
    return fill if fill is not None and _within(order, fill.price) else None


def _meet_print(
    order: Order, limit: Decimal, trade: Trade, ticker: Ticker, rules: FillRules, taken: str | None
) -> Fill | None:
    if _has_crossed(order, limit):
        fill = _take_last(order, trade, ticker, rules, taken)
        if fill is not None:
            return fill
    beyond = trade.price != limit
    if not _within(order, trade.price) or (rules.limit_needs_through and not beyond):
        return None
    jumped = beyond and not rules.limit_needs_through
    return _fill(order, trade, _print("gap" if jumped else "limit", trade), ticker, rules, taken)


def _has_crossed(order: Order, limit: Decimal) -> bool:
    """Say whether the order dealt better than its limit: then it took prices, and what is left of it takes them too."""
    at_limit = limit * order.filled_quantity
    return order.filled_value < at_limit if order.is_buy else order.filled_value > at_limit


def _print(rule: str, trade: Trade) -> dict[str, Any]:
    return {"rule": rule, "price": trade.price, "size": trade.size, "available": trade.size or None}


def _fill(
    order: Order, tick: Tick, basis: dict[str, Any], ticker: Ticker, rules: FillRules, taken: str | None
) -> Fill | None:
    """Complete the basis, and compute with it what will be computed again by whoever asks why."""
    source = source_of(tick)
    if source == taken:
        return None
    whole = {
        "model": MODEL,
        "source": source,
        "market_ts": tick.ts_ns,
        "side": order.side.value,
        "limit": order.limit,
        "asked": order.remaining,
        "participation": rules.participation,
        "lot_size": ticker.lot_size,
        "latency_ns": rules.latency_ns,
    }
    known = {name: value for name, value in (whole | basis).items() if value is not None}
    known |= commission_basis(order, rules.commission)
    return Fill(price_of(known), quantity_of(known), known)


def _within(order: Order, price: Decimal) -> bool:
    limit = order.limit
    return limit is None or (price <= limit if order.is_buy else price >= limit)
