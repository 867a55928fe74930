"""What may be asked of the engine. Imperatives; the engine answers each with an ``Outcome``.

None of them changes once made. The two that every order needs are not declared frozen, which would cost it 4 us.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from qsuite.domain.market import Snapshot, Tick
from qsuite.domain.trading.account import Access, Permission
from qsuite.domain.trading.order import Order, OrderType, Side, StopLoss, TakeProfit, TimeInForce


class Scope(StrEnum):
    """What a halt or a limit covers."""

    GLOBAL = "global"
    ACCOUNT = "account"
    STRATEGY = "strategy"
    TICKER = "ticker"


class TradingMode(StrEnum):
    """What a scope may do: REDUCING lets only orders pass that make a position smaller, HALTED none."""

    REDUCING = "REDUCING"
    HALTED = "HALTED"


@dataclass(slots=True, kw_only=True)
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
    stop_price: Decimal | None = None
    trail_percent: Decimal | None = None
    trail_price: Decimal | None = None
    reduce_only: bool = False
    take_profit: TakeProfit | None = None
    stop_loss: StopLoss | None = None
    expires_at: int | None = None
    client_order_id: str | None = None
    strategy: UUID | None = None
    hold: bool = False
    request_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOrder:
    """Say what an order would meet, without placing it."""

    place: PlaceOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceOrder:
    """Change what an open order asks for; None leaves it. ``version`` is the one it must have, if given."""

    order: UUID
    user: UUID
    accounts: tuple[UUID, ...]
    quantity: Decimal | None = None
    price: Decimal | None = None
    stop_price: Decimal | None = None
    version: int | None = None


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
    """Cancel every open order of an account; of one symbol, or of the named ones, if given."""

    account: UUID
    user: UUID
    symbol: str | None = None
    orders: frozenset[UUID] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketMoved:
    """Let resting orders meet new ticks, oldest first.

    ``before`` is what was known of their symbols right before them: then nothing that meets one of them sees a later
    one, however many wait to be met. Without it orders see the market as it is when this is decided.
    """

    ticks: Sequence[Tick]
    before: Mapping[str, Snapshot] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimePassed:
    """Do what is due by now: expire orders, and let delayed ones meet the market."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkAccounts:
    """Value accounts at the market, begin their day, and act on what they lost today."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """Stop new orders of a scope: the kill switch. HALTED cancels its open ones too. ``target`` is None for global."""

    scope: Scope
    target: str | None
    user: UUID
    reason: str
    mode: TradingMode = TradingMode.HALTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """Lift a halt; another user than the one who threw it must do so."""

    scope: Scope
    target: str | None
    user: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class SetLimits:
    """Set figures of a scope's limits; a None takes a figure away, so that the wider scope's holds again."""

    scope: Scope
    target: str | None
    limits: Mapping[str, Decimal | bool | None]
    user: UUID
    reason: str
    version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StopEverything:
    """Halt the whole system: what must always hold did not, says the code with its figures."""

    code: str
    detail: str
    limit: Decimal | None = None
    value: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RaiseAlarm:
    """Note a critical risk event of an account: what was looked at beside the trading is not as it must be."""

    account: UUID
    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeAccount:
    """Change what an account may do, and who may use it; None leaves as it is. Switched off, its open orders end."""

    account: UUID
    user: UUID
    is_active: bool | None = None
    permissions: frozenset[Permission] | None = None
    members: Mapping[UUID, Access] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetAccount:
    """Let an account begin anew: no open orders, no positions, and this much cash; None gives what was deposited.

    ``strategies`` trade on it: what their orders built up goes too.
    """

    account: UUID
    user: UUID
    cash: Decimal | None = None
    strategies: tuple[UUID, ...] = ()


Command = (
    PlaceOrder
    | CheckOrder
    | ReplaceOrder
    | ReleaseOrder
    | CancelOrder
    | CancelAll
    | MarketMoved
    | TimePassed
    | MarkAccounts
    | Halt
    | Resume
    | SetLimits
    | ChangeAccount
    | ResetAccount
    | StopEverything
    | RaiseAlarm
)


@dataclass(slots=True)
class Outcome:
    """Answer a command.

    ``order`` is the order as it was right after; ``orders`` all that a command over many changed; ``error`` is the code
    of what could not be done (``not_found``, ``order.already_processed``, ``order.duplicate_id``, ...) with ``detail``.
    A refused order is no error: its ``order.reject`` says why. ``refusal`` is a control's no to a check or a replace,
    which leaves the order as it was; ``facts`` are further figures of a check.
    """

    order: Order | None = None
    orders: tuple[Order, ...] = ()
    error: str | None = None
    detail: str = ""
    refusal: Mapping[str, Any] | None = None
    facts: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class TradingHalt:
    """A thrown kill switch; ``user`` is None when the engine itself threw it."""

    scope: Scope
    target: str | None
    reason: str
    user: UUID | None
    since: int
    mode: TradingMode = TradingMode.HALTED
