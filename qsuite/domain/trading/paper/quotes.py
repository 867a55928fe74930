"""Which quote can be dealt on, and at what price and size.

Invariant: nothing deals on a crossed quote, nor on one that the last trade has overtaken: it is much older (in market
time), or the trade came after it and outside of it. So a stop that a gap triggered fills at the gap, not at the quote
from before.
"""

from decimal import Decimal
from typing import NamedTuple

from qsuite.domain.market import Quote, Snapshot, Trade
from qsuite.domain.trading.paper.rules import FillRules


class Offer(NamedTuple):
    """A price somebody shows, and for how much; a size of None is not known."""

    price: Decimal
    size: Decimal | None


def usable_quote(market: Snapshot, rules: FillRules) -> Quote | None:
    """Return the quote unless it is crossed or overtaken by the last trade."""
    trade, quote = market
    if quote is None or crossed(quote):
        return None
    if trade is not None and (trade.ts_ns - quote.ts_ns > rules.quote_max_age_ns or _overtaken(quote, trade)):
        return None
    return quote


def _overtaken(quote: Quote, trade: Trade) -> bool:
    if (trade.ts_ns, trade.seq) <= (quote.ts_ns, quote.seq):
        return False
    below = quote.bid is not None and trade.price < quote.bid
    return below or (quote.ask is not None and trade.price > quote.ask)


def crossed(quote: Quote) -> bool:
    """Say whether somebody pays more than somebody else asks: then one of them is a mistake."""
    return quote.bid is not None and quote.ask is not None and quote.bid > quote.ask


def offer_to(buy: bool, quote: Quote) -> Offer | None:
    """Return what the quote offers to a side: buyers the ask, sellers the bid."""
    price, size = (quote.ask, quote.ask_size) if buy else (quote.bid, quote.bid_size)
    return None if price is None else Offer(price, size)


def touchline(market: Snapshot, buy: bool, rules: FillRules) -> Decimal | None:
    """Return the price a market order of this side would be dealt at before slippage, or None if none is known."""
    quote = usable_quote(market, rules)
    offer = None if quote is None else offer_to(buy, quote)
    if offer is not None:
        return offer.price
    return None if market.trade is None else market.trade.price
