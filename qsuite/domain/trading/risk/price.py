"""Whether the price makes sense against the market, and the market's price against itself.

    aggressive   a buy above the reference price, or a sell below it: it trades at once, perhaps at a wild price
    passive      the other way round: it rests, and one far away is most likely a slip of a digit

An order without a limit is taken at the price it would be dealt at now. The limit of a waiting stop is compared with
its stop, because that is where the market will be. In a book without a trade yet a limit order is what makes the price.

A stop that only reduces its position is let out at its trigger however far the price jumped: that is what it is for.
"""

from decimal import Decimal

from qsuite.domain.money import show
from qsuite.domain.times import NS_PER_S
from qsuite.domain.trading.risk.events import Refusal
from qsuite.domain.trading.risk.limited import limited
from qsuite.domain.trading.risk.review import Origin, Review


@limited("price_collar", "risk.price_collar")
def collar_aggressive(limit: Decimal, subject: Review) -> Refusal | None:
    """Refuse a price too far beyond the reference price, on the side that trades at once."""
    return _beyond(subject, _anchor(subject), limit, "risk.price_collar")


@limited("price_collar_passive", "risk.price_collar")
def collar_passive(limit: Decimal, subject: Review) -> Refusal | None:
    """Refuse a limit too far from the reference price on the side that rests."""
    anchor, price = _anchor(subject), subject.order.limit
    if anchor is None or price is None:
        return None
    bound = anchor * (1 - limit if subject.order.is_buy else 1 + limit)
    if price < bound if subject.order.is_buy else price > bound:
        detail = f"more than {show(limit * 100)} % away from {show(anchor)}"
        return Refusal("risk.price_collar", detail, bound, price)
    return None


@limited("price_collar_window", "risk.price_collar_window")
def collar_window(limit: Decimal, subject: Review) -> Refusal | None:
    """Refuse a price too far beyond what was traded in the last minute; without trades the wider collar alone holds."""
    if subject.order.waits or _protects(subject):
        return None
    return _beyond(subject, subject.reference.average, limit, "risk.price_collar_window")


def priced(subject: Review) -> Refusal | None:
    """Refuse an order that nobody can value: the controls after this one could not be evaluated."""
    if subject.worst_price is None:
        return Refusal("risk.reference_stale", f"no price of {subject.order.symbol} is known yet")
    return None


@limited("reference_stale", "risk.reference_stale")
def reference_fresh(limit: Decimal, subject: Review) -> Refusal | None:
    """Refuse while no price arrived for a while. In a book a limit order needs none."""
    arrived = subject.reference.arrived
    if subject.in_book and subject.order.limit is not None:
        return None
    if arrived is None:
        return Refusal("risk.reference_stale", f"no live price of {subject.order.symbol} is known yet", limit)
    age = Decimal(subject.now - arrived) / NS_PER_S
    if age > limit:
        detail = f"the last price of {subject.order.symbol} is too old, in seconds"
        return Refusal("risk.reference_stale", detail, limit, age)
    return None


@limited("reference_suspect", "risk.reference_suspect")
def reference_sane(limit: Decimal, subject: Review) -> Refusal | None:
    """Refuse on a crossed quote, and after a jump that no second trade has confirmed."""
    if subject.in_book or _protects(subject):
        return None
    quote = subject.market.quote
    if quote is not None and quote.bid is not None and quote.ask is not None and quote.bid > quote.ask:
        return Refusal("risk.reference_suspect", "the quote is crossed", quote.ask, quote.bid)
    jumped = subject.reference.jumped
    if jumped is not None and jumped > limit:
        detail = "the price jumped, and no second trade has confirmed it"
        return Refusal("risk.reference_suspect", detail, limit, jumped)
    return None


def _anchor(subject: Review) -> Decimal | None:
    return subject.order.stop_price if subject.order.waits else subject.reference_price


def _beyond(subject: Review, anchor: Decimal | None, limit: Decimal, code: str) -> Refusal | None:
    order = subject.order
    price = order.limit if order.limit is not None or order.waits else subject.touch
    if anchor is None or price is None:
        return None
    bound = anchor * (1 + limit if order.is_buy else 1 - limit)
    if price > bound if order.is_buy else price < bound:
        return Refusal(code, f"more than {show(limit * 100)} % beyond {show(anchor)}", bound, price)
    return None


def _protects(subject: Review) -> bool:
    return subject.origin is Origin.ENGINE and subject.closes
