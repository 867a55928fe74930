"""What may be asked of the engine. Imperatives; the engine answers each with an ``Outcome``."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from qsuite.domain.market import Tick
from qsuite.domain.trading.order import Order, OrderType, Side, TimeInForce


class Scope(StrEnum):
    """What a halt covers."""

    GLOBAL = "global"
    ACCOUNT = "account"
    TICKER = "ticker"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceOrder:
    """Place an order, or with ``hold`` keep it for a later ``ReleaseOrder``."""

    id: UUID
    account: UUID
    user: UUID
    symbol: str
    side: Side
    order_type: OrderType
    quantity: Decimal
    time_in_force: TimeInForce
    price: Decimal | None = None
    client_order_id: str | None = None
    strategy: UUID | None = None
    hold: bool = False
    request_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseOrder:
    """Send a held order to the market."""

    order: UUID
    user: UUID
    accounts: tuple[UUID, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelOrder:
    """Cancel an open order of one of the accounts."""

    order: UUID
    user: UUID
    accounts: tuple[UUID, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelAll:
    """Cancel every open order of an account, of one symbol if given."""

    account: UUID
    user: UUID
    symbol: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketMoved:
    """Let resting orders meet new ticks, oldest first."""

    ticks: Sequence[Tick]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireOrders:
    """Expire what is due by now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """Stop all new orders of a scope and cancel its open ones: the kill switch. ``target`` is None for global."""

    scope: Scope
    target: str | None
    user: UUID
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """Lift a halt; another user than the one who threw it must do so."""

    scope: Scope
    target: str | None
    user: UUID


Command = PlaceOrder | ReleaseOrder | CancelOrder | CancelAll | MarketMoved | ExpireOrders | Halt | Resume


@dataclass(frozen=True, slots=True)
class Outcome:
    """Answer a command.

    ``order`` is the order as it was right after; ``orders`` all that a command over many changed; ``error`` is the code
    of what could not be done (``not_found``, ``order.already_processed``, ``order.duplicate_id``, ...) with ``detail``.
    A refused order is no error: its ``order.reject`` says why.
    """

    order: Order | None = None
    orders: tuple[Order, ...] = ()
    error: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TradingHalt:
    """A thrown kill switch."""

    scope: Scope
    target: str | None
    reason: str
    user: UUID
    since: int
