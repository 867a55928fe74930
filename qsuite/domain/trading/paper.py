"""The paper venue: whether an order trades against the market now, and at what price.

A market order, or a limit order that can trade at once, takes the other side of the quote. Where only a last price is
known it pays slippage, drawn from the order's id, so that replaying the order gives the same fill. A resting limit
order fills at its own price when the market touches it (or trades through it, by configuration): it was there first,
so it gets what it asked for and no better.

Every fill carries its ``basis``, from which ``price_of`` computes the price again.
"""

import hashlib
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from qsuite.domain.market import Quote, Snapshot, Tick, Trade
from qsuite.domain.money import round_to_tick
from qsuite.domain.reference import Ticker
from qsuite.domain.times import NS_PER_S
from qsuite.domain.trading.order import Order, OrderType

BPS = Decimal(10_000)
MODEL = "paper-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class FillRules:
    """How paper orders fill: slippage in basis points, commission per unit, and when a resting limit fills."""

    commission_per_share: Decimal = Decimal("0.005")
    slippage_min_bps: Decimal = Decimal(1)
    slippage_max_bps: Decimal = Decimal(5)
    limit_needs_through: bool = False
    quote_max_age_ns: int = 60 * NS_PER_S


class Fill(NamedTuple):
    """A price for a quantity, and what it was based on."""

    price: Decimal
    quantity: Decimal
    basis: dict[str, Any]


def usable_quote(market: Snapshot, rules: FillRules) -> Quote | None:
    """Return the quote unless it is crossed or, in market time, too old beside the last trade."""
    trade, quote = market
    if quote is None:
        return None
    if quote.bid is not None and quote.ask is not None and quote.bid > quote.ask:
        return None
    if trade is not None and trade.ts_ns - quote.ts_ns > rules.quote_max_age_ns:
        return None
    return quote


def touchline(market: Snapshot, buy: bool, rules: FillRules) -> Decimal | None:
    """Return the price a market order of this side would be dealt at before slippage, or None if none is known."""
    quote = usable_quote(market, rules)
    side = None if quote is None else (quote.ask if buy else quote.bid)
    if side is not None:
        return side
    return None if market.trade is None else market.trade.price


def slippage_bps(order_id: UUID, rules: FillRules) -> Decimal:
    """Draw the order's slippage, uniform between the bounds to a thousandth of a basis point, from its id alone."""
    draw = int.from_bytes(hashlib.sha256(b"slippage" + order_id.bytes).digest()[:8], "big")
    steps = int((rules.slippage_max_bps - rules.slippage_min_bps) * 1000)
    return rules.slippage_min_bps + Decimal(draw % (steps + 1)) / 1000


def match_now(order: Order, market: Snapshot, ticker: Ticker, rules: FillRules) -> Fill | None:
    """Trade an order that just arrived against the market, or None if it cannot trade now."""
    quote = usable_quote(market, rules)
    opposite = None if quote is None else (quote.ask if order.is_buy else quote.bid)
    if quote is not None and opposite is not None:
        basis = {"model": MODEL, "rule": "quote", "market_ts": quote.ts_ns, "price": opposite}
        basis |= {"bid": quote.bid, "ask": quote.ask}
    elif market.trade is not None:
        basis = {"model": MODEL, "rule": "last", "market_ts": market.trade.ts_ns, "price": market.trade.price}
        basis |= {"slippage_bps": slippage_bps(order.id, rules), "tick_size": ticker.tick_size}
    else:
        return None
    price = price_of(basis, buy=order.is_buy)
    if order.order_type is OrderType.LIMIT and not _within(order, price):
        return None
    return Fill(price, order.remaining, basis)


def match_resting(order: Order, tick: Tick, rules: FillRules) -> Fill | None:
    """Fill a resting limit order that this tick reaches, at the order's own price."""
    limit = order.price
    assert limit is not None, "only limit orders rest"
    if isinstance(tick, Trade):
        hit = _within(order, tick.price) and not (rules.limit_needs_through and tick.price == limit)
        seen: dict[str, Any] = {"last": tick.price}
    else:
        opposite = tick.ask if order.is_buy else tick.bid
        crossed = tick.bid is not None and tick.ask is not None and tick.bid > tick.ask
        hit = opposite is not None and not crossed and _within(order, opposite)
        seen = {"bid": tick.bid, "ask": tick.ask}
    if not hit:
        return None
    return Fill(
        limit, order.remaining, {"model": MODEL, "rule": "limit", "market_ts": tick.ts_ns, "price": limit} | seen
    )


def price_of(basis: dict[str, Any], *, buy: bool) -> Decimal:
    """Compute a fill's price from its basis."""
    price: Decimal = basis["price"]
    if basis["rule"] != "last":
        return price
    share = basis["slippage_bps"] / BPS
    return round_to_tick(price * (1 + share if buy else 1 - share), basis["tick_size"], up=buy)


def commission_of(quantity: Decimal, rules: FillRules) -> Decimal:
    """Compute what filling this quantity costs; never rounded."""
    return quantity * rules.commission_per_share


def _within(order: Order, price: Decimal) -> bool:
    assert order.price is not None
    return price <= order.price if order.is_buy else price >= order.price
