"""Pre-trade controls: whether an order may go to the market.

They run in the order of ``CONTROLS``; the first no wins and is kept with its figures. Each is O(1). One that cannot be
evaluated refuses. Nothing bypasses them but cancels. Check and reservation are one step of the single writer, so orders
that only together breach a limit are counted one after the other.

After SEC rule 15c3-5 (c)(1) and MiFID II RTS 6 article 15.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from qsuite.domain.market import Snapshot
from qsuite.domain.money import ZERO, is_multiple, show
from qsuite.domain.reference import Ticker
from qsuite.domain.trading.account import Account, Position
from qsuite.domain.trading.commands import TradingHalt
from qsuite.domain.trading.order import Order, OrderType
from qsuite.domain.trading.paper import FillRules, commission_of, touchline
from qsuite.domain.trading.risk.limits import Limits, Number


COLLAR = Decimal("0.05")


class Refusal(NamedTuple):
    """A control's no: its code, a sentence, and the limit and value it compared where it compared any."""

    code: str
    detail: str
    limit: Decimal | None = None
    value: Decimal | None = None


@dataclass(slots=True)
class Review:
    """All that the controls look at for one order."""

    order: Order
    account: Account | None
    position: Position
    ticker: Ticker | None
    market: Snapshot
    halt: TradingHalt | None
    limits: Limits
    rules: FillRules
    worst_price: Decimal | None = None

    def __post_init__(self) -> None:
        self.worst_price = worst_price(self.order, self.market, self.limits, self.rules)

    @property
    def value(self) -> Decimal:
        """Return the order's value at the worst price it may trade at."""
        assert self.worst_price is not None
        return self.worst_price * self.order.remaining


def figure(limit: Number) -> Decimal:
    """Return a limit's number."""
    assert isinstance(limit, Decimal)
    return limit


def worst_price(order: Order, market: Snapshot, limits: Limits, rules: FillRules) -> Decimal | None:
    """Return the limit price, or the market's price moved by the collar; None while no price is known."""
    if order.order_type is OrderType.LIMIT:
        return order.price
    price = touchline(market, order.is_buy, rules)
    return None if price is None else price * (1 + COLLAR)


def reservation(order: Order, price: Decimal, rules: FillRules) -> Decimal:
    """Return the cash a buy must have behind it: its value at this price and its commission. A sell needs none."""
    if not order.is_buy:
        return ZERO
    return price * order.remaining + commission_of(order.remaining, rules)


def review(subject: Review) -> Refusal | None:
    """Return the first control's refusal, or None if the order may go."""
    for control in CONTROLS:
        refusal = control(subject)
        if refusal is not None:
            return refusal
    return None


def account_enabled(subject: Review) -> Refusal | None:
    """Refuse for an account that is unknown or switched off."""
    if subject.account is None or not subject.account.is_active:
        return Refusal("account.disabled", "the account is not enabled for trading")
    return None


def trading_state(subject: Review) -> Refusal | None:
    """Refuse while a kill switch covers the order."""
    halt = subject.halt
    if halt is None:
        return None
    return Refusal("risk.halted", f"trading is halted ({halt.scope.value}): {halt.reason}")


def tradable(subject: Review) -> Refusal | None:
    """Refuse a ticker that is unknown or not active."""
    if subject.ticker is None:
        return Refusal("ticker.unknown", f"{subject.order.symbol} is not known here")
    if not subject.ticker.is_active:
        return Refusal("ticker.inactive", f"{subject.order.symbol} is not traded now")
    return None


def price_given(subject: Review) -> Refusal | None:
    """Refuse a limit order without a price, a market order with one, and one nobody can price."""
    order = subject.order
    if order.order_type is OrderType.LIMIT and order.price is None:
        return Refusal("order.price", "a LIMIT order needs a price")
    if order.order_type is OrderType.MARKET and order.price is not None:
        return Refusal("order.price", "a MARKET order takes no price")
    if order.price is not None and order.price <= 0:
        return Refusal("order.price", "the price must be above zero", ZERO, order.price)
    return None


def tick_size(subject: Review) -> Refusal | None:
    """Refuse a price off the ticker's grid."""
    order, ticker = subject.order, subject.ticker
    assert ticker is not None
    if order.price is not None and not is_multiple(order.price, ticker.tick_size):
        detail = f"prices of {ticker.symbol} are multiples of {show(ticker.tick_size)}"
        return Refusal("order.tick_size", detail, ticker.tick_size, order.price)
    return None


def lot_size(subject: Review) -> Refusal | None:
    """Refuse a quantity off the ticker's grid."""
    order, ticker = subject.order, subject.ticker
    assert ticker is not None
    if order.quantity <= 0 or not is_multiple(order.quantity, ticker.lot_size):
        detail = f"quantities of {ticker.symbol} are multiples of {show(ticker.lot_size)}"
        return Refusal("order.lot_size", detail, ticker.lot_size, order.quantity)
    return None


def max_quantity(subject: Review) -> Refusal | None:
    """Refuse a quantity above the limit."""
    limit, quantity = figure(subject.limits.max_quantity), subject.order.quantity
    if quantity > limit:
        return Refusal("risk.max_quantity", f"at most {show(limit)} in one order", limit, quantity)
    return None


def priced(subject: Review) -> Refusal | None:
    """Refuse a market order while the market has shown no price: the controls below could not be evaluated."""
    if subject.worst_price is None:
        return Refusal("risk.reference_stale", f"no price of {subject.order.symbol} is known yet")
    return None


def max_value(subject: Review) -> Refusal | None:
    """Refuse a value above the limit."""
    limit, value = figure(subject.limits.max_value), subject.value
    if value > limit:
        return Refusal("risk.max_value", f"at most {show(limit)} in one order", limit, value)
    return None


def min_value(subject: Review) -> Refusal | None:
    """Refuse a value below the limit."""
    limit, value = figure(subject.limits.min_value), subject.value
    if value < limit:
        return Refusal("risk.min_value", f"at least {show(limit)} in one order", limit, value)
    return None


def buying_power(subject: Review) -> Refusal | None:
    """Refuse a buy that the cash not yet reserved does not cover, commission included."""
    assert subject.account is not None
    assert subject.worst_price is not None
    needed = reservation(subject.order, subject.worst_price, subject.rules)
    if needed > subject.account.available:
        detail = "not enough cash that is not reserved by other orders"
        return Refusal("risk.buying_power", detail, subject.account.available, needed)
    return None


def position_limit(subject: Review) -> Refusal | None:
    """Refuse a buy that, with all working buys filled, would exceed the limit. A sell only reduces."""
    if not subject.order.is_buy:
        return None
    position, limit = subject.position, figure(subject.limits.position_limit)
    worst = position.quantity + position.working_buys + subject.order.remaining
    if worst > limit:
        detail = f"at most {show(limit)} of {subject.order.symbol}, working orders counted"
        return Refusal("risk.position_limit", detail, limit, worst)
    return None


def short_sale(subject: Review) -> Refusal | None:
    """Refuse selling more than is held, less what working sells may take."""
    if subject.order.is_buy:
        return None
    held = subject.position.quantity - subject.position.working_sells
    if subject.order.remaining > held:
        return Refusal("risk.short_sale", "selling more than is held", held, subject.order.remaining)
    return None


CONTROLS: tuple[Callable[[Review], Refusal | None], ...] = (
    account_enabled,
    trading_state,
    tradable,
    price_given,
    tick_size,
    lot_size,
    max_quantity,
    priced,
    max_value,
    min_value,
    buying_power,
    position_limit,
    short_sale,
)
