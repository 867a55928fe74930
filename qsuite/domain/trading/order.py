"""An order, its states, and the only moves between them.

Invariants: 0 <= filled_quantity <= quantity; a terminal order never changes; ``version`` rises by one per transition.
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


class TimeInForce(StrEnum):
    """For how long: until the day ends, until cancelled, or only at once."""

    DAY = "DAY"
    GTC = "GTC"
    IOC = "IOC"


class Status(StrEnum):
    """Where an order stands."""

    HELD = "HELD"
    PENDING = "PENDING"
    PARTIAL = "PARTIAL"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


# The state machine, whole. None is "not there yet".
TRANSITIONS: dict[Status | None, frozenset[Status]] = {
    None: frozenset({Status.HELD, Status.PENDING, Status.REJECTED}),
    Status.HELD: frozenset({Status.PENDING, Status.CANCELLED, Status.EXPIRED, Status.REJECTED}),
    Status.PENDING: frozenset({Status.PARTIAL, Status.FILLED, Status.CANCELLED, Status.EXPIRED, Status.REJECTED}),
    Status.PARTIAL: frozenset({Status.PARTIAL, Status.FILLED, Status.CANCELLED, Status.EXPIRED}),
    Status.FILLED: frozenset(),
    Status.CANCELLED: frozenset(),
    Status.REJECTED: frozenset(),
    Status.EXPIRED: frozenset(),
}

WORKING = frozenset({Status.PENDING, Status.PARTIAL})
OPEN = WORKING | {Status.HELD}
TERMINAL = frozenset(Status) - OPEN


@dataclass(slots=True)
class Order:
    """One order, made by keywords. Times are nanoseconds cut to milliseconds.

    ``filled_value`` is the sum of price x quantity of its fills. ``original`` keeps what the first answer said, once a
    later event has changed it, so that a repeated request gets the first answer again. ``request_hash`` is the
    fingerprint of what was asked.
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
    client_order_id: str | None = None
    strategy: UUID | None = None
    request_hash: str = ""
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


def first_answer(order: Order) -> Order:
    """Return the order as its placing was answered."""
    if order.original is None:
        return order
    first = order.copy()
    for name, value in order.original.items():
        setattr(first, name, value)
    return first


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One fill. ``basis`` is what the market showed and which rule priced it: enough to recompute the price.

    ``external_execution_id`` names the fill at the venue; the paper venue uses ``paper-<order>-<n>``.
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
