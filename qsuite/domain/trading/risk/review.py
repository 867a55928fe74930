"""All that the controls look at for one order, gathered once; ``gather.review_of`` fills it in.

Invariant: nothing here changes anything. What a control compares is computed here where two controls need it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum, auto
from typing import Protocol
from uuid import UUID

from qsuite.domain.market import Snapshot
from qsuite.domain.money import ZERO
from qsuite.domain.reference import Ticker
from qsuite.domain.trading.account import Account, Position
from qsuite.domain.trading.commands import TradingHalt
from qsuite.domain.trading.commission import Commission, worst_commission
from qsuite.domain.trading.order import Order, OrderType
from qsuite.domain.trading.paper import FillRules, touchline, usable_quote
from qsuite.domain.trading.risk.events import Refusal
from qsuite.domain.trading.risk.exposure import Exposures, worst_quantity
from qsuite.domain.trading.risk.limits import Limits
from qsuite.domain.trading.risk.rates import RateBook
from qsuite.domain.trading.risk.reference import ReferencePrice

HUNDRED = Decimal(100)
SHORT_MARGIN = Decimal("0.5")

Control = Callable[["Review"], Refusal | None]


class Origin(Enum):
    """Where a review comes from: a message counts against the rates, a check only looks, the engine's own has none."""

    MESSAGE = auto()
    CHECK = auto()
    ENGINE = auto()


class RiskBudget(Protocol):
    """What the controls must know of a strategy."""

    @property
    def risk_limit(self) -> Decimal | None:
        """Return the gross exposure it may have, or None where nobody set one."""

    @property
    def account(self) -> UUID:
        """Return the account it trades on."""

    @property
    def is_active(self) -> bool:
        """Say whether it may trade."""


@dataclass(slots=True, kw_only=True)
class Review:
    """One order and its surroundings, as they are without it: an order being replaced or triggered counts nowhere.

    ``opens`` says that, when all else on its side fills first, a part of the order goes beyond flat or starts there;
    ``closes`` that it can only bring the position nearer to flat. Of one that adds nothing, because its other leg
    counts already, neither need be so. ``size`` is the largest the position can come to when what works on one side
    fills, ``size_after`` the same with the order.

    ``other_leg`` is what the position counts of an order that this one would cancel, and ``added`` what it adds to its
    side's working quantity: of two that cancel each other only one counts. ``reduces`` is how much of it surely closes,
    though all else on its side fills first. ``touch`` is the price it would be dealt at
    now, ``worst_price`` the worst it may be, ``mark`` what a unit of its symbol is valued at; each is None while nobody
    can tell. ``open_orders`` and ``open_in_ticker`` are the account's; None where the order takes no further place.
    """

    order: Order
    account: Account | None
    position: Position
    ticker: Ticker | None
    market: Snapshot
    halt: TradingHalt | None
    limits: Limits
    rules: FillRules
    exposures: Exposures
    rates: RateBook
    now: int
    origin: Origin
    is_open: bool
    reference: ReferencePrice
    strategy: RiskBudget | None
    strategy_position: Position | None
    open_orders: int | None
    open_in_ticker: int | None
    replacing: UUID | None
    other_leg: Decimal
    message_allowed: bool = True
    alike: int = 0
    added: Decimal = field(init=False)
    opens: bool = field(init=False)
    closes: bool = field(init=False)
    reduces: Decimal = field(init=False)
    size: Decimal = field(init=False)
    size_after: Decimal = field(init=False)
    touch: Decimal | None = field(init=False)
    worst_price: Decimal | None = field(init=False)
    reference_price: Decimal | None = field(init=False)
    mark: Decimal | None = field(init=False)
    _reservation: Decimal | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        order, position = self.order, self.position
        is_buy, held, buys, sells = order.is_buy, position.quantity, position.working_buys, position.working_sells
        self.added = added = max(ZERO, order.remaining - self.other_leg) if self.other_leg else order.remaining
        to_close, working = (-held, buys) if is_buy else (held, sells)
        free = to_close - working if to_close > working else ZERO
        self.opens = added > free
        self.reduces = ZERO if self.other_leg else min(added, free)
        self.closes = to_close > ZERO and working + added <= to_close
        self.size = worst_quantity(held, buys, sells)
        self.size_after = (
            worst_quantity(held, buys + added, sells) if is_buy else worst_quantity(held, buys, sells + added)
        )
        self.touch = touchline(self.market, is_buy, self.rules)
        self.worst_price = worst_price(order, self.touch, self.limits, self.rules)
        self.reference_price = reference_price(self.market, self.rules)
        self.mark = self.worst_price if self.reference_price is None else self.reference_price

    @property
    def in_book(self) -> bool:
        """Say whether the symbol's orders meet each other; then the book is the market, and needs no other price."""
        return self.ticker is not None and self.ticker.execution_mode == "book"

    @property
    def value(self) -> Decimal:
        """Return the order's value at the worst price it may trade at."""
        assert self.worst_price is not None
        return self.worst_price * self.order.remaining

    @property
    def is_restricted(self) -> bool:
        """Say whether the ticker may not be traded here."""
        return self.ticker is not None and self.ticker.restricted

    @property
    def least_price(self) -> Decimal:
        """Return the least a sell may bring: its limit, or where it has none the market less the collar."""
        if self.order.limit is not None:
            return self.order.limit
        base = stop_of(self.order, self.touch) if self.order.waits else self.touch
        assert base is not None
        return base * (1 - collar_of(self.limits, self.rules))

    @property
    def reservation(self) -> Decimal:
        """Return the cash the order must have behind it.

        A buy's worst value, or half a short's (see ``money``), and the most its commission can come to. An order that
        flips a position is reserved for as a whole, so that its last part is backed however it fills; what it closes
        counts when it is let through (``money``). What only closes a position needs nothing: it gives back more than it
        takes.
        """
        if self._reservation is None:
            self._reservation = self._needed() if self.opens else ZERO
        return self._reservation

    def _needed(self) -> Decimal:
        assert self.worst_price is not None
        return cash_behind(self.order, self.worst_price, self.rules.commission)


def cash_behind(order: Order, price: Decimal, model: Commission) -> Decimal:
    """Return what an order that may open a position needs at a price: a buy its value, a short half, and commission."""
    value = price * order.remaining
    commission = worst_commission(order, order.remaining, price, model)
    return (value if order.is_buy else SHORT_MARGIN * value) + commission


def worst_price(order: Order, touch: Decimal | None, limits: Limits, rules: FillRules) -> Decimal | None:
    """Return the price an order is valued at: the most a buy may pay, the most a sell can bring or come to cost.

    That is its limit, or where it has none the market (of a waiting stop: the stop) moved by the aggressive collar, or
    by the rules' cushion while that is off. A sell that the market would take at better than its limit is valued at the
    market. None while no price is known.
    """
    collar = collar_of(limits, rules)
    base = stop_of(order, touch) if order.waits else touch
    limit = order.limit
    if limit is None:
        return None if base is None else base * (1 + collar)
    if order.is_buy or base is None:
        return limit
    return max(limit, base)


def collar_of(limits: Limits, rules: FillRules) -> Decimal:
    """Return the part of its price that a market may move before an order without a limit trades."""
    return limits.price_collar if isinstance(limits.price_collar, Decimal) else rules.cushion


def stop_of(order: Order, touch: Decimal | None) -> Decimal | None:
    """Return where a waiting stop would trigger; of a trailing one that has not seen a price yet, seen from the touch.

    A trailing buy is above the market and only ever comes down, so that is the worst it can come to.
    """
    if order.stop_price is not None or order.order_type is not OrderType.TRAILING_STOP or touch is None:
        return order.stop_price
    share = (order.trail_percent or ZERO) / HUNDRED
    trail = touch * share if order.trail_price is None else order.trail_price
    return touch + trail if order.is_buy else touch


def reference_price(market: Snapshot, rules: FillRules) -> Decimal | None:
    """Return what a symbol is worth now: the last trade, or the middle of a much newer quote; None if nobody knows."""
    trade, quote = market.trade, usable_quote(market, rules)
    if trade is not None and (quote is None or quote.ts_ns - trade.ts_ns <= rules.quote_max_age_ns):
        return trade.price
    if quote is not None and quote.bid is not None and quote.ask is not None:
        return (quote.bid + quote.ask) / 2
    return None if trade is None else trade.price


def protective_limit(order: Order, market: Snapshot, limits: Limits, rules: FillRules | None = None) -> Decimal | None:
    """Return the price beyond which an order without a limit may not trade in a book; None while none is known.

    It is the price that ``worst_price`` counted with, so that what was reserved is enough.
    """
    rules = rules or FillRules()
    touch = touchline(market, order.is_buy, rules)
    if touch is None:
        return None
    collar = collar_of(limits, rules)
    return touch * (1 + collar if order.is_buy else 1 - collar)
