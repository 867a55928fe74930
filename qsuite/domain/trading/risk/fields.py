"""Whether an order makes sense in itself: its prices and quantity on the ticker's grid, its type with what it needs."""

from decimal import Decimal

from qsuite.domain.money import ZERO, is_multiple, show
from qsuite.domain.trading.order import AT_ONCE, WITH_LIMIT, WITH_STOP, Order, OrderType
from qsuite.domain.trading.risk.events import Refusal
from qsuite.domain.trading.risk.review import HUNDRED, Origin, Review


def tick_size(subject: Review) -> Refusal | None:
    """Refuse a price off the ticker's grid, those of a bracket's legs included."""
    ticker = subject.ticker
    assert ticker is not None
    for price in _prices(subject.order):
        if not is_multiple(price, ticker.tick_size):
            detail = f"prices of {ticker.symbol} are multiples of {show(ticker.tick_size)}"
            return Refusal("order.tick_size", detail, ticker.tick_size, price)
    return None


def lot_size(subject: Review) -> Refusal | None:
    """Refuse a quantity off the ticker's grid."""
    order, ticker = subject.order, subject.ticker
    assert ticker is not None
    if order.quantity <= 0 or not is_multiple(order.quantity, ticker.lot_size):
        detail = f"quantities of {ticker.symbol} are multiples of {show(ticker.lot_size)}"
        return Refusal("order.lot_size", detail, ticker.lot_size, order.quantity)
    return None


def time_in_force(subject: Review) -> Refusal | None:
    """Refuse a stop that must trade at once, for it waits by its nature, and an end that has passed."""
    order = subject.order
    if order.time_in_force in AT_ONCE and order.order_type in WITH_STOP:
        detail = f"a {order.order_type.value} order waits, so it cannot be {order.time_in_force.value}"
        return Refusal("order.tif", detail)
    if order.expires_at is not None and order.expires_at <= subject.now:
        return Refusal("order.tif", "expires_at has passed")
    return None


def prices_given(subject: Review) -> Refusal | None:
    """Refuse a type without the prices it needs, or with one it has no use for, and prices that are none."""
    order = subject.order
    kind = order.order_type.value
    if order.order_type in WITH_LIMIT and order.price is None:
        return Refusal("order.price", f"a {kind} order needs a price")
    if order.order_type not in WITH_LIMIT and order.price is not None:
        return Refusal("order.price", f"a {kind} order takes no price")
    for price in _prices(order):
        if price <= 0:
            return Refusal("order.price", "prices must be above zero", ZERO, price)
    return _stop_given(order) or _trails_within(subject) or _bracket_sane(order) or _stop_ahead(subject)


def reduces_only(subject: Review) -> Refusal | None:
    """Refuse a reduce-only order that could open or add to a position."""
    if not subject.order.reduce_only or subject.closes:
        return None
    position, is_buy = subject.position, subject.order.is_buy
    free = -position.quantity - position.working_buys if is_buy else position.quantity - position.working_sells
    return Refusal("order.reduce_only", "there is less to reduce than that", max(ZERO, free), subject.added)


def _stop_given(order: Order) -> Refusal | None:
    kind = order.order_type.value
    trails = [trail for trail in (order.trail_percent, order.trail_price) if trail is not None]
    if order.order_type not in WITH_STOP:
        if order.stop_price is not None or trails:
            return Refusal("order.price", f"a {kind} order takes no stop")
        return None
    if order.order_type is not OrderType.TRAILING_STOP:
        if order.stop_price is None or trails:
            return Refusal("order.price", f"a {kind} order needs a stop_price, and does not trail")
        return None
    if len(trails) != 1 or trails[0] <= 0:
        return Refusal("order.price", "a trailing stop needs one distance above zero: trail_percent or trail_price")
    if order.trail_percent is not None and order.trail_percent >= HUNDRED:
        return Refusal("order.price", "a stop trails by less than the whole price", HUNDRED, order.trail_percent)
    return None


def _trails_within(subject: Review) -> Refusal | None:
    """Refuse to sell at a stop that trails by the whole price or more."""
    order, price = subject.order, subject.reference_price
    if order.trail_price is None or order.is_buy or order.stop_price is not None or price is None:
        return None
    if order.trail_price >= price:
        return Refusal("order.price", "a stop trails by less than the whole price", price, order.trail_price)
    return None


def _bracket_sane(order: Order) -> Refusal | None:
    profit, loss = order.take_profit, order.stop_loss
    if profit is None or loss is None:
        return None
    gap = profit.price - loss.stop_price if order.is_buy else loss.stop_price - profit.price
    if gap <= 0:
        return Refusal("order.price", "the take profit must lie beyond the stop loss", loss.stop_price, profit.price)
    return None


def _stop_ahead(subject: Review) -> Refusal | None:
    """Refuse a stop the market has already passed: brokers and exchanges take it for a mistake, mostly of the side.

    A leg of a bracket may come into a market that has run away from its parent's fill: it triggers at once.
    """
    order, trade = subject.order, subject.market.trade
    if not order.waits or order.stop_price is None or trade is None or subject.origin is Origin.ENGINE:
        return None
    if order.order_type is OrderType.TRAILING_STOP:
        return None
    passed = order.stop_price < trade.price if order.is_buy else order.stop_price > trade.price
    if passed:
        detail = "the market has passed this stop: a buy's lies above the last price, a sell's below"
        return Refusal("order.price", detail, trade.price, order.stop_price)
    return None


def _prices(order: Order) -> list[Decimal]:
    prices = [] if order.price is None else [order.price]
    # Where a trailing stop stands follows from the market, on no grid.
    if order.stop_price is not None and order.order_type is not OrderType.TRAILING_STOP:
        prices.append(order.stop_price)
    if order.take_profit is not None:
        prices.append(order.take_profit.price)
    if order.stop_loss is not None:
        prices.append(order.stop_loss.stop_price)
        if order.stop_loss.price is not None:
            prices.append(order.stop_loss.price)
    return prices
