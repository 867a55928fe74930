"""What a batch of commands changed, collected while they are decided: to be stored, audited and announced as one."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from qsuite.domain.market import Trade
from qsuite.domain.trading.account import Account, Position
from qsuite.domain.trading.audit import Entry
from qsuite.domain.trading.commands import Scope, TradingHalt
from qsuite.domain.trading.order import Execution, Order
from qsuite.domain.trading.risk import RiskEvent, ScopeLimits


class Announcement(NamedTuple):
    """Something that subscribers hear once the batch is durable.

    ``kind`` says what ``what`` is: ``order``, ``execution``, ``position``, ``risk_event``, or ``account`` with its
    positions beside it; of no account: ``trades`` and ``depth`` of the book of a symbol.
    """

    kind: str
    account: UUID | None
    what: Any


@dataclass(slots=True)
class Changes:
    """What one batch changed: the final state of each thing touched, and each step in order."""

    new_orders: dict[UUID, Order] = field(default_factory=dict)
    orders: dict[UUID, Order] = field(default_factory=dict)
    executions: list[Execution] = field(default_factory=list)
    accounts: dict[UUID, Account] = field(default_factory=dict)
    positions: dict[tuple[UUID, str], Position] = field(default_factory=dict)
    strategy_positions: dict[tuple[UUID, str], Position] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    halts: dict[tuple[Scope, str | None], TradingHalt | None] = field(default_factory=dict)
    limits: dict[tuple[Scope, str | None], ScopeLimits] = field(default_factory=dict)
    risk_events: list[RiskEvent] = field(default_factory=list)
    announcements: list[Announcement] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    terms: set[UUID] = field(default_factory=set)
    """Accounts of which more changed than trading changes."""

    def __bool__(self) -> bool:
        return bool(self.entries)


@dataclass(slots=True)
class Missing:
    """What must be loaded before a batch can be decided."""

    accounts: set[UUID] = field(default_factory=set)
    orders: set[UUID] = field(default_factory=set)
    client_ids: set[tuple[UUID, str]] = field(default_factory=set)
    strategies: set[UUID] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.accounts or self.orders or self.client_ids or self.strategies)
