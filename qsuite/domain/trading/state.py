"""Everything the engine must know to decide, in memory, and what a batch of decisions changed.

Invariants: ``orders`` holds every open order and nothing else; every mutation goes through ``record_*`` here, so that
what is stored, audited and announced is what was decided, in one place. ``take_changes`` hands the batch over.
"""

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from qsuite.domain.market import Snapshot
from qsuite.domain.money import ZERO, show
from qsuite.domain.reference import Ticker
from qsuite.domain.times import DAY_NS
from qsuite.domain.trading.account import Account, Position
from qsuite.domain.trading.audit import Chain, Entry
from qsuite.domain.trading.commands import CancelOrder, Command, PlaceOrder, ReleaseOrder, Scope, TradingHalt
from qsuite.domain.trading.order import OPEN, WORKING, Execution, Order
from qsuite.domain.trading.paper import FillRules
from qsuite.domain.trading.risk import Limits
from qsuite.domain.trading.seen import SeenIds

REMEMBERED_ORDERS = 20_000


class Announcement(NamedTuple):
    """Something subscribers of an account hear once the batch is durable.

    ``kind`` says what ``what`` is: ``order``, ``execution``, ``position``, or ``account`` with its positions beside it.
    """

    kind: str
    account: UUID
    what: Any


@dataclass(slots=True)
class Changes:
    """What one batch changed: the final state of each thing touched, and each step in order."""

    new_orders: dict[UUID, Order] = field(default_factory=dict)
    orders: dict[UUID, Order] = field(default_factory=dict)
    executions: list[Execution] = field(default_factory=list)
    accounts: dict[UUID, Account] = field(default_factory=dict)
    positions: dict[tuple[UUID, str], Position] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    halts: dict[tuple[Scope, str | None], TradingHalt | None] = field(default_factory=dict)
    announcements: list[Announcement] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.entries)


@dataclass(slots=True)
class Missing:
    """What must be loaded before a batch can be decided."""

    accounts: set[UUID] = field(default_factory=set)
    orders: set[UUID] = field(default_factory=set)
    client_ids: set[tuple[UUID, str]] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.accounts or self.orders or self.client_ids)


class RestingOrders:
    """Working limit orders of one symbol, best price first, then oldest."""

    def __init__(self) -> None:
        self.buys: list[tuple[Decimal, int, Order]] = []
        self.sells: list[tuple[Decimal, int, Order]] = []

    def add(self, order: Order, arrival: int) -> None:
        """Put an order in its place."""
        insort(self._side(order), (self._key(order), arrival, order), key=_rank)

    def remove(self, order: Order) -> None:
        """Take an order out, if it is here."""
        side = self._side(order)
        index = bisect_left(side, self._key(order), key=_price)
        while index < len(side) and side[index][0] == self._key(order):
            if side[index][2] is order:
                del side[index]
                return
            index += 1

    def __bool__(self) -> bool:
        return bool(self.buys or self.sells)

    def _side(self, order: Order) -> list[tuple[Decimal, int, Order]]:
        return self.buys if order.is_buy else self.sells

    @staticmethod
    def _key(order: Order) -> Decimal:
        assert order.price is not None
        return -order.price if order.is_buy else order.price


def _rank(entry: tuple[Decimal, int, Order]) -> tuple[Decimal, int]:
    return entry[0], entry[1]


def _price(entry: tuple[Decimal, int, Order]) -> Decimal:
    return entry[0]


def utc_midnight_after(now: int) -> int:
    """Return the end of the day that ``now`` lies in: DAY orders end with the UTC day."""
    return (now // DAY_NS + 1) * DAY_NS


class TradingState:
    """The engine's memory. ``ticker`` and ``market`` look up what is known now; ``new_id`` names executions.

    ``heard`` says whether anybody listens to an account's money: that announcement copies all its positions.
    """

    def __init__(
        self,
        *,
        limits: Limits,
        rules: FillRules,
        ticker: Callable[[str], Ticker | None],
        market: Callable[[str], Snapshot],
        new_id: Callable[[], UUID],
        day_end: Callable[[int], int] = utc_midnight_after,
        chain: Chain | None = None,
        heard: Callable[[Account], bool] = lambda account: True,
    ) -> None:
        self.limits = limits
        self.rules = rules
        self.ticker = ticker
        self.market = market
        self.new_id = new_id
        self.day_end = day_end
        self.heard = heard
        self.chain = chain or Chain()
        self.accounts: dict[UUID, Account] = {}
        self.positions: dict[UUID, dict[str, Position]] = {}
        self.orders: dict[UUID, Order] = {}
        self.by_account: dict[UUID, dict[UUID, Order]] = {}
        self.resting: dict[str, RestingOrders] = {}
        self.halts: dict[tuple[Scope, str | None], TradingHalt] = {}
        self.changes = Changes()
        self.seen = SeenIds()
        self._closed: OrderedDict[UUID, Order] = OrderedDict()
        self._client_ids: dict[tuple[UUID, str], Order] = {}
        self._expiring: dict[int, dict[UUID, Order]] = {}
        self._arrivals = 0

    # -- looking things up --------------------------------------------------------------------------------------

    def missing(self, commands: Iterable[Command]) -> Missing:
        """Say what these commands need that is not in memory."""
        needs = Missing()
        for command in commands:
            if isinstance(command, PlaceOrder):
                if command.account not in self.accounts:
                    needs.accounts.add(command.account)
                if command.client_order_id is not None and self._perhaps_stored(
                    command.account, command.client_order_id
                ):
                    needs.client_ids.add((command.account, command.client_order_id))
            elif isinstance(command, (ReleaseOrder, CancelOrder)) and self.find(command.order) is None:
                needs.orders.add(command.order)
        return needs

    def _perhaps_stored(self, account: UUID, client_order_id: str) -> bool:
        return (account, client_order_id) not in self._client_ids and self.seen.may_hold(account, client_order_id)

    def find(self, order_id: UUID) -> Order | None:
        """Return an order that is open, or closed and still remembered."""
        return self.orders.get(order_id) or self._closed.get(order_id)

    def find_by_client_id(self, account: UUID, client_order_id: str) -> Order | None:
        """Return the order an account placed under this id, if it is in memory."""
        return self._client_ids.get((account, client_order_id))

    def position(self, account: UUID, symbol: str) -> Position:
        """Return an account's position in a symbol; a new flat one is remembered."""
        held = self.positions.setdefault(account, {})
        position = held.get(symbol)
        if position is None:
            position = held[symbol] = Position(account=account, symbol=symbol)
        return position

    def position_or_flat(self, account: UUID, symbol: str) -> Position:
        """Return an account's position in a symbol to look at; nothing is remembered for a symbol never traded."""
        return self.positions.get(account, {}).get(symbol) or Position(account=account, symbol=symbol)

    def halt_for(self, account: UUID, symbol: str) -> TradingHalt | None:
        """Return the widest halt that covers an order, or None."""
        if not self.halts:
            return None
        keys = ((Scope.GLOBAL, None), (Scope.ACCOUNT, str(account)), (Scope.TICKER, symbol))
        return next((self.halts[key] for key in keys if key in self.halts), None)

    def due(self, now: int) -> list[Order]:
        """Return the open orders whose time is up."""
        return [
            order for instant in sorted(self._expiring) if instant <= now for order in self._expiring[instant].values()
        ]

    # -- loading ------------------------------------------------------------------------------------------------

    def load(self, accounts: Iterable[Account], positions: Iterable[Position], orders: Sequence[Order]) -> None:
        """Take over what storage knows: accounts with all their positions, and orders, open ones oldest first."""
        for account in accounts:
            self.accounts[account.id] = account
        for position in positions:
            self.positions.setdefault(position.account, {})[position.symbol] = position
        for order in orders:
            if order.status in OPEN:
                self._remember_open(order)
                self._hold_quantity(order, order.remaining)
            else:
                self._remember_closed(order)
            self._remember_client_id(order)

    # -- recording ----------------------------------------------------------------------------------------------

    def record(self, kind: str, order: Order, now: int, actor: UUID | str, **facts: Any) -> Order:
        """Note a transition of an order: to be stored, audited and announced. Return the order as it is now."""
        changes = self.changes
        if order.id not in changes.new_orders:
            if order.version == 1:
                changes.new_orders[order.id] = order
                self._remember_client_id(order)
            else:
                changes.orders[order.id] = order
        facts["status"] = order.status.value
        facts["version"] = order.version
        entry = self.chain.add(now, kind, str(actor), str(order.id), str(order.account), facts)
        changes.entries.append(entry)
        snapshot = order.copy()
        changes.announcements.append(Announcement("order", order.account, snapshot))
        self._file(order)
        return snapshot

    def record_fill(self, execution: Execution, account: Account, position: Position) -> None:
        """Note a fill and what it did to cash and position."""
        changes = self.changes
        changes.executions.append(execution)
        changes.accounts[account.id] = account
        changes.positions[position.account, position.symbol] = position
        changes.announcements.append(Announcement("execution", execution.account, execution))

    def record_halt(self, key: tuple[Scope, str | None], halt: TradingHalt | None, now: int, actor: UUID) -> None:
        """Note that a kill switch was thrown or lifted."""
        if halt is None:
            del self.halts[key]
        else:
            self.halts[key] = halt
        self.changes.halts[key] = halt
        scope, target = key
        facts = {"scope": scope.value, "target": target, "reason": halt.reason if halt else None}
        kind = "risk.halted" if halt else "risk.resumed"
        self.changes.entries.append(self.chain.add(now, kind, str(actor), target or "", "", facts))

    def reserve(self, order: Order, amount: Decimal) -> None:
        """Set the cash reserved for an order, whatever it was."""
        if amount == order.reserved:
            return
        account = self.accounts[order.account]
        account.reserved += amount - order.reserved
        order.reserved = amount
        self.changes.accounts[account.id] = account

    def keep_working(self, order: Order) -> None:
        """Count a newly working order into its position, and let it rest if it has a limit."""
        self._hold_quantity(order, order.remaining)
        if order.price is not None:
            self._rest(order)

    def reduce_working(self, order: Order, quantity: Decimal) -> None:
        """Take a traded or withdrawn quantity of a working order out of its position's count."""
        self._hold_quantity(order, -quantity, force=True)

    def take_changes(self) -> Changes:
        """Hand over the batch and begin an empty one."""
        changes, self.changes = self.changes, Changes()
        for position in changes.positions.values():
            changes.announcements.append(Announcement("position", position.account, copy(position)))
        for account in filter(self.heard, changes.accounts.values()):
            held = [copy(position) for position in self.positions.get(account.id, {}).values()]
            changes.announcements.append(Announcement("account", account.id, (copy(account), held)))
        return changes

    # -- memory -------------------------------------------------------------------------------------------------

    def _file(self, order: Order) -> None:
        if order.status in OPEN:
            if order.id not in self.orders:
                self._remember_open(order, rest=False)
        else:
            if self.orders.pop(order.id, None) is not None:
                self._forget_open(order)
            self._remember_closed(order)

    def _remember_client_id(self, order: Order) -> None:
        if order.client_order_id is not None:
            self._client_ids[order.account, order.client_order_id] = order
            self.seen.add(order.account, order.client_order_id)

    def _remember_open(self, order: Order, *, rest: bool = True) -> None:
        self.orders[order.id] = order
        self.by_account.setdefault(order.account, {})[order.id] = order
        if order.expires_at is not None:
            self._expiring.setdefault(order.expires_at, {})[order.id] = order
        if rest and order.status in WORKING and order.price is not None:
            self._rest(order)

    def _forget_open(self, order: Order) -> None:
        self.by_account[order.account].pop(order.id)
        if order.price is not None and order.symbol in self.resting:
            self.resting[order.symbol].remove(order)
        if order.expires_at is not None:
            expiring = self._expiring[order.expires_at]
            del expiring[order.id]
            if not expiring:
                del self._expiring[order.expires_at]

    def _rest(self, order: Order) -> None:
        self._arrivals += 1
        self.resting.setdefault(order.symbol, RestingOrders()).add(order, self._arrivals)

    def _remember_closed(self, order: Order) -> None:
        self._closed[order.id] = order
        if len(self._closed) > REMEMBERED_ORDERS:
            _, oldest = self._closed.popitem(last=False)
            if oldest.client_order_id is not None:
                self._client_ids.pop((oldest.account, oldest.client_order_id), None)

    def _hold_quantity(self, order: Order, quantity: Decimal, *, force: bool = False) -> None:
        if order.status not in WORKING and not force:
            return
        position = self.position(order.account, order.symbol)
        if order.is_buy:
            position.working_buys += quantity
        else:
            position.working_sells += quantity
        assert position.working_buys >= ZERO
        assert position.working_sells >= ZERO


def asked(order: Order) -> dict[str, Any]:
    """Return what an order asks for, as audit facts."""
    return {
        "symbol": order.symbol,
        "side": order.side.value,
        "order_type": order.order_type.value,
        "quantity": show(order.quantity),
        "price": None if order.price is None else show(order.price),
        "time_in_force": order.time_in_force.value,
        "client_order_id": order.client_order_id,
    }
