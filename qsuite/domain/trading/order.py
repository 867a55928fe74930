"""An order, its states, and the only moves between them.

Invariants: 0 <= filled_quantity <= quantity; a terminal order never changes; ``version`` rises by one a transition.

Vocabulary:

    stop      a price the market must reach before the order acts; until then it *waits*
    trailing  a stop that follows the market at a distance, and never goes back
    bracket   an order whose fills are protected by two *legs*: take profit (a limit) and stop loss (a stop)
    oco       the other leg: one cancels other, by as much as it fills
"""

from dataclasses import dataclass, field, fields
from decimal import Decimal
from enum import StrEnum
from operator import attrgetter
from typing import Any
from uuid import UUID

from qsuite.domain.money import ZERO


class Side(StrEnum):
    """Which way."""

    BUY = "BUY"
    SELL = "SELL"


class OrderType(StrEnum):
    """At what price."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"
    STOP_LIMIT = "STOP_LIMIT"
    TRAILING_STOP = "TRAILING_STOP"


WITH_LIMIT = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})
WITH_STOP = frozenset({OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP})


class TimeInForce(StrEnum):
    """For how long: until the session ends, until cancelled, what trades at once, or all at once or nothing."""

    DAY = "DAY"
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


AT_ONCE = frozenset({TimeInForce.IOC, TimeInForce.FOK})


class Status(StrEnum):
    """Where an order stands."""

    HELD = "HELD"
    PENDING = "PENDING"
    PARTIAL = "PARTIAL"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


# The state machine, whole. None is "not there yet". To where it already stands an order moves by being replaced,
# triggered or trailed, and a partly filled one by a further fill.
TRANSITIONS: dict[Status | None, frozenset[Status]] = {
    None: frozenset({Status.HELD, Status.PENDING, Status.REJECTED}),
    Status.HELD: frozenset({Status.HELD, Status.PENDING, Status.CANCELLED, Status.EXPIRED, Status.REJECTED}),
    Status.PENDING: frozenset(
        {Status.PENDING, Status.PARTIAL, Status.FILLED, Status.CANCELLED, Status.EXPIRED, Status.REJECTED}
    ),
    Status.PARTIAL: frozenset({Status.PARTIAL, Status.FILLED, Status.CANCELLED, Status.EXPIRED}),
    Status.FILLED: frozenset(),
    Status.CANCELLED: frozenset(),
    Status.REJECTED: frozenset(),
    Status.EXPIRED: frozenset(),
}

WORKING = frozenset({Status.PENDING, Status.PARTIAL})
OPEN = WORKING | {Status.HELD}
TERMINAL = frozenset(Status) - OPEN


@dataclass(frozen=True, slots=True)
class TakeProfit:
    """The limit at which a bracket takes its profit."""

    price: Decimal


@dataclass(frozen=True, slots=True)
class StopLoss:
    """The stop at which a bracket cuts its loss; with ``price`` it becomes a limit order there, else a market one."""

    stop_price: Decimal
    price: Decimal | None = None


@dataclass(slots=True)
class Order:
    """One order, made by keywords. Times are nanoseconds cut to milliseconds.

    ``filled_value`` is the sum of price x quantity of its fills. ``sent_at`` is when it last began to act: placed,
    released or triggered. ``arrival`` is its place in the queue at its price: the number of the audit entry with
    which it got there, 0 while it is on its way. ``counted`` is the part of it that its position counts as working;
    ``taken`` names the quote or print it last took from; ``arrival_price`` is what the market showed when it was
    placed. ``original`` keeps what the first answer said, once a later event has changed it, so that a repeated request
    gets the first answer again. ``request_hash`` is the fingerprint of what was asked.
    """

    id: UUID
    account: UUID
    symbol: str
    side: Side
    order_type: OrderType
    quantity: Decimal
    time_in_force: TimeInForce
    created_by: UUID
    created_at: int
    updated_at: int
    price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_percent: Decimal | None = None
    trail_price: Decimal | None = None
    reduce_only: bool = False
    take_profit: TakeProfit | None = None
    stop_loss: StopLoss | None = None
    parent: UUID | None = None
    oco: UUID | None = None
    client_order_id: str | None = None
    strategy: UUID | None = None
    request_hash: str = ""
    triggered: bool = False
    sent_at: int = 0
    arrival: int = 0
    counted: Decimal = ZERO
    taken: str | None = None
    arrival_price: Decimal | None = None
    status: Status = Status.PENDING
    filled_quantity: Decimal = ZERO
    filled_value: Decimal = ZERO
    commission: Decimal = ZERO
    reserved: Decimal = ZERO
    reject: dict[str, Any] | None = None
    expires_at: int | None = None
    version: int = 0
    original: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def remaining(self) -> Decimal:
        """Return what has not traded yet."""
        return self.quantity - self.filled_quantity

    @property
    def avg_fill_price(self) -> Decimal | None:
        """Return the mean price of its fills, weighted by quantity, or None before the first."""
        return self.filled_value / self.filled_quantity if self.filled_quantity else None

    @property
    def limit(self) -> Decimal | None:
        """Return the price it may not trade beyond; None when it acts as a market order."""
        return self.price if self.order_type in WITH_LIMIT else None

    @property
    def waits(self) -> bool:
        """Say whether it is a stop that the market has not reached yet."""
        return self.order_type in WITH_STOP and not self.triggered

    @property
    def is_bracket(self) -> bool:
        """Say whether its fills are to be protected by legs."""
        return self.take_profit is not None or self.stop_loss is not None

    @property
    def is_buy(self) -> bool:
        """Say which side it is on."""
        return self.side is Side.BUY

    def move(self, status: Status, now: int) -> None:
        """Take one step of the state machine."""
        before = self.status if self.version else None
        assert status in TRANSITIONS[before], f"{before} -> {status}"
        self.status = status
        self.updated_at = now
        self.version += 1

    def copy(self) -> "Order":
        """Return a snapshot that later transitions do not touch."""
        return Order(*_values(self))


_values = attrgetter(*(item.name for item in fields(Order)))


def as_of_now(order: Order) -> Order:
    """Return the order as later commands will not change it: a copy, unless it has ended."""
    return order.copy() if order.status in OPEN else order


def first_answer(order: Order) -> Order:
    """Return the order as its placing was answered."""
    if order.original is None:
        return order.copy()
    first = order.copy()
    for name, value in order.original.items():
        setattr(first, name, value)
    return first


@dataclass(slots=True, kw_only=True)
class Execution:
    """One fill. ``basis`` is what the market showed and which rule priced it: enough to recompute the price.

    ``external_execution_id`` names the fill at the venue; ours are ``paper-<order>-<n>`` and ``book-<order>-<n>``.
    ``postings`` are its double entry, by ledger account (``account.settle``): they sum to exactly zero.
    """

    id: UUID
    order: UUID
    account: UUID
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    commission: Decimal
    execution_time: int
    external_execution_id: str
    basis: dict[str, Any]
    postings: dict[str, Decimal] = field(default_factory=dict)
