"""The engine's memory: everything open, and what the batch being decided has changed of it.

Invariants: every transition of an order passes ``record``, which audits it, notes it for storage and keeps all that is
kept beside it in step: where it rests, what its position counts as working, when it is due. ``take_changes`` hands a
batch over whole.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from qsuite.domain.market import Snapshot, Tick
from qsuite.domain.money import ZERO
from qsuite.domain.reference import ALWAYS_OPEN, Ticker
from qsuite.domain.strategies import Strategy
from qsuite.domain.trading.account import Account, Position
from qsuite.domain.trading.audit import Chain
from qsuite.domain.trading.changes import Announcement, Changes
from qsuite.domain.trading.commands import (
    Scope,
    TradingHalt,
)
from qsuite.domain.trading.open_orders import OpenOrders
from qsuite.domain.trading.order import OPEN, WORKING, Execution, Order
from qsuite.domain.trading.paper import FillRules
from qsuite.domain.trading.risk import Exposures, LimitBook, RateBook, ReferencePrice, RiskEvent, ScopeLimits
from qsuite.domain.trading.seen import SeenIds
from qsuite.domain.trading.sessions import AlwaysOpen, Sessions, utc_midnight_after
from qsuite.domain.trading.venues import Venues

REMEMBERED_ORDERS = 20_000


class Consequence(NamedTuple):
    """What happened to an order and may concern others: it filled by ``quantity``, or ended without (zero).

    ``closes`` says that the fill took from a position what others may have been to close.
    """

    order: Order
    quantity: Decimal
    closes: bool = False

    @classmethod
    def of_end(cls, order: Order) -> "Consequence":
        """Make one of an order that ended without a fill."""
        return cls(order, ZERO)


class TradingState:
    """What the engine knows. What it asks of the outside world comes in as functions.

    ``ticker``, ``market``, ``reference`` and ``strategy`` look up what is known now; ``see`` is told of each tick once
    everything before it is decided; ``new_id`` names what is made;
    ``heard`` says whether anybody listens to a kind of announcement of an account: what nobody hears is not made, since
    each is a copy. Whoever begins to listen waits until all that was decided before is durable.
    """

    def __init__(
        self,
        *,
        limits: LimitBook,
        rules: FillRules,
        ticker: Callable[[str], Ticker | None],
        market: Callable[[str], Snapshot],
        new_id: Callable[[], UUID],
        reference: Callable[[str], ReferencePrice],
        see: Callable[[Tick], None] = lambda _: None,
        strategy: Callable[[UUID], Strategy | None] = lambda _: None,
        sessions: Sessions | None = None,
        chain: Chain | None = None,
        heard: Callable[[UUID, str], bool] = lambda account, kind: True,
    ) -> None:
        self.limits = limits
        self.rules = rules
        self.ticker = ticker
        self.reference = reference
        self.see = see
        self.strategy = strategy
        self.sessions = sessions or AlwaysOpen()
        self.new_id = new_id
        self.heard = heard
        self.chain = chain or Chain()
        self.accounts: dict[UUID, Account] = {}
        self.positions: dict[UUID, dict[str, Position]] = {}
        self.strategy_positions: dict[UUID, dict[str, Position]] = {}
        self.open = OpenOrders()
        self.orders = self.open.by_id
        self.venues = Venues(ticker=ticker, market=market, owner=self.owner)
        self.market = self.venues.market
        self.halts: dict[tuple[Scope, str | None], TradingHalt] = {}
        self.exposures = Exposures()
        self.rates = RateBook()
        self.changes = Changes()
        self.consequences: deque[Consequence] = deque()
        self._touched: dict[UUID, Order] = {}
        self.seen = SeenIds()
        self._closed: OrderedDict[UUID, Order] = OrderedDict()
        self._client_ids: dict[tuple[UUID, str], Order] = {}

    # -- looking things up --------------------------------------------------------------------------------------

    def find(self, order_id: UUID) -> Order | None:
        """Return an order that is open, or closed and still remembered."""
        return self.orders.get(order_id) or self._closed.get(order_id)

    def find_by_client_id(self, account: UUID, client_order_id: str) -> Order | None:
        """Return the order an account placed under this id, if it is in memory."""
        return self._client_ids.get((account, client_order_id))

    def position(self, account: UUID, symbol: str) -> Position:
        """Return an account's position in a symbol; a new flat one is remembered."""
        return _position_in(self.positions, account, symbol)

    def position_or_flat(self, account: UUID, symbol: str) -> Position:
        """Return an account's position in a symbol to look at; nothing is remembered for a symbol never traded."""
        return self.positions.get(account, {}).get(symbol) or Position(account=account, symbol=symbol)

    def strategy_position(self, strategy: UUID, symbol: str) -> Position:
        """Return what a strategy's own orders have built up in a symbol; ``account`` is the strategy's id."""
        return _position_in(self.strategy_positions, strategy, symbol)

    def is_open(self, symbol: str, now: int) -> bool:
        """Say whether a symbol's market is open; one whose calendar nobody could read is not."""
        ticker = self.ticker(symbol)
        try:
            return self.sessions.is_open(ALWAYS_OPEN if ticker is None else ticker.calendar, now)
        except LookupError:
            return False

    def day_end(self, symbol: str, now: int) -> int:
        """Return when the session that is on, or the next one, ends for a symbol: DAY orders expire there."""
        ticker = self.ticker(symbol)
        try:
            return self.sessions.day_end(ALWAYS_OPEN if ticker is None else ticker.calendar, now)
        except LookupError:  # a calendar nobody could read: the controls refuse the order
            return utc_midnight_after(now)

    def anything_due(self, now: int) -> bool:
        """Say whether an order may expire or meet the market by now."""
        return self.open.expiring.anything(now) or self.venues.delayed.anything(now)

    # -- loading ------------------------------------------------------------------------------------------------

    def load(
        self,
        accounts: Iterable[Account] = (),
        positions: Iterable[Position] = (),
        orders: Sequence[Order] = (),
        strategy_positions: Iterable[Position] = (),
        strategies: Iterable[UUID] = (),
    ) -> None:
        """Take over what storage knows: accounts with all their positions, and orders, open ones by arrival."""
        for account in accounts:
            self.accounts[account.id] = account
        for position in positions:
            self.positions.setdefault(position.account, {})[position.symbol] = position
            self.exposures.changed(position)
        for strategy in strategies:
            self.strategy_positions.setdefault(strategy, {})
        for position in strategy_positions:
            self.strategy_positions.setdefault(position.account, {})[position.symbol] = position
            self.exposures.strategy_changed(position)
        for order in orders:
            if order.status in OPEN:
                order.counted = ZERO  # it is nobody's yet
                self.open.add(order)
                self._count(order)
                # It was on its way to the market. What the first versions left has neither, and rests by its id.
                if order.status in WORKING and order.arrival == 0 and order.sent_at:
                    self.venues.delayed.add(order, order.sent_at)
                self.venues.place(order)
            else:
                self._remember_closed(order)
            self._remember_client_id(order)

    # -- recording ----------------------------------------------------------------------------------------------

    def record(self, kind: str, order: Order, now: int, actor: UUID | str, **facts: Any) -> Order:
        """Note a transition of an order: to be stored, audited and announced. Return the order itself."""
        changes = self.changes
        if order.id not in changes.new_orders:
            if order.version == 1:
                changes.new_orders[order.id] = order
                self._remember_client_id(order)
            else:
                changes.orders[order.id] = order
        facts["status"] = order.status.value
        facts["version"] = order.version
        entry = self.chain.add(now, kind, as_text(actor), as_text(order.id), as_text(order.account), facts)
        changes.entries.append(entry)
        if order.status in OPEN:
            self._touched[order.id] = order
        else:
            self._end(order)
        if self.heard(order.account, "order"):
            changes.announcements.append(Announcement("order", order.account, order.copy()))
        return order

    def record_fill(
        self, execution: Execution, account: Account, position: Position, strategy_position: Position | None
    ) -> None:
        """Note a fill and what it did to cash and positions."""
        changes = self.changes
        changes.executions.append(execution)
        changes.accounts[account.id] = account
        changes.positions[position.account, position.symbol] = position
        self.exposures.changed(position)
        if strategy_position is not None:
            changes.strategy_positions[strategy_position.account, strategy_position.symbol] = strategy_position
            self.exposures.strategy_changed(strategy_position)
        if self.heard(execution.account, "execution"):
            changes.announcements.append(Announcement("execution", execution.account, execution))

    def write_off(self, held: Iterable[Position], own: Iterable[Position], now: int) -> None:
        """Leave nothing of these positions, an account's and its strategies', as if they had never been."""
        for position in held:
            position.clear(now)
            self.changes.positions[position.account, position.symbol] = position
            self.exposures.changed(position)
        for position in own:
            position.clear(now)
            self.changes.strategy_positions[position.account, position.symbol] = position
            self.exposures.strategy_changed(position)

    def record_halt(self, key: tuple[Scope, str | None], halt: TradingHalt | None, now: int, actor: UUID | str) -> None:
        """Note that a kill switch was thrown or lifted."""
        if halt is None:
            del self.halts[key]
        else:
            self.halts[key] = halt
        self.changes.halts[key] = halt
        scope, target = key
        facts: dict[str, Any] = {"scope": scope.value, "target": target, "reason": halt.reason if halt else None}
        if halt is not None:
            facts["state"] = halt.mode.value
        self.note("risk.halted" if halt else "risk.resumed", target or "", now, actor, **facts)

    def record_limits(self, scoped: ScopeLimits, now: int, actor: UUID, **facts: Any) -> None:
        """Note that the limits of a scope were set."""
        self.changes.limits[scoped.scope, scoped.target] = scoped
        self.note("risk.limits_set", scoped.target or "", now, actor, **facts)

    def record_event(self, event: RiskEvent) -> None:
        """Note a risk event: to be stored and announced."""
        self.changes.risk_events.append(event)
        self.changes.announcements.append(Announcement("risk_event", event.account, event))

    def note(self, kind: str, subject: str, now: int, actor: UUID | str, account: str = "", **facts: Any) -> None:
        """Add an audit entry that is no transition of an order."""
        self.changes.entries.append(self.chain.add(now, kind, str(actor), subject, account, facts))

    def touch(self, account: Account, *, terms: bool = False) -> None:
        """Note that an account changed, for storage and whoever listens; ``terms`` that more did than trading moves."""
        self.changes.accounts[account.id] = account
        if terms:
            self.changes.terms.add(account.id)

    def reserve(self, order: Order, amount: Decimal) -> None:
        """Set the cash reserved for an order, whatever it was."""
        if amount == order.reserved:
            return
        account = self.accounts[order.account]
        account.reserved = (account.reserved + amount - order.reserved) or ZERO
        order.reserved = amount
        self.changes.accounts[account.id] = account

    @contextmanager
    def without(self, order: Order) -> Iterator[None]:
        """Look at the books as if an open order were not there: its cash, its quantity and its place are free."""
        self.settle_down()
        account = self.accounts[order.account]
        counted, reserved = order.counted, order.reserved
        self._add_working(order, -counted)
        account.reserved -= reserved
        self.open.take_place(order)
        try:
            yield
        finally:
            self._add_working(order, counted)
            account.reserved += reserved
            self.open.give_place(order)

    def take_changes(self) -> Changes:
        """Hand over the batch and begin an empty one."""
        changes, self.changes = self.changes, Changes()
        changed_books, self.venues.changed = self.venues.changed, set()
        announcements = changes.announcements
        for position in changes.positions.values():
            if self.heard(position.account, "position"):
                announcements.append(Announcement("position", position.account, copy(position)))
        for account in changes.accounts.values():
            if self.heard(account.id, "account"):
                held = [copy(position) for position in self.positions.get(account.id, {}).values()]
                announcements.append(Announcement("account", account.id, (copy(account), held)))
        if changes.trades:
            announcements.append(Announcement("trades", None, changes.trades))
        for symbol in changed_books:
            shown = (symbol, self.venues.books[symbol].changes(), self.market(symbol))
            announcements.append(Announcement("depth", None, shown))
        return changes

    # -- the market ---------------------------------------------------------------------------------------------

    def owner(self, order: Order) -> UUID:
        """Return whose order it is: a person with several accounts is one, who shall not trade with themselves."""
        return self.accounts[order.account].user

    def rest(self, order: Order) -> None:
        """Let a working order rest behind all others at its price, or wait for its stop."""
        order.arrival = self.chain.seq
        self.venues.place(order)

    # -- memory -------------------------------------------------------------------------------------------------

    def settle_down(self) -> None:
        """File the orders that changed, and have positions count them.

        Put off until somebody looks, since most orders end in the command they came with and need none of it.
        """
        if not self._touched:
            return
        touched, self._touched = self._touched, {}
        for order in touched.values():
            if order.status in OPEN and order.id not in self.orders:
                self.open.add(order)
        for order in touched.values():
            self._count(order)
            other = None if order.oco is None else self.orders.get(order.oco)
            if other is not None:
                self._count(other)

    def _end(self, order: Order) -> None:
        """Put an order that ended with those that are only remembered."""
        if self.open.remove(order):
            self.venues.take_out(order)
        if order.counted or order.oco is not None:
            self._touched[order.id] = order
        else:
            self._touched.pop(order.id, None)
        self._remember_closed(order)

    def _count(self, order: Order) -> None:
        """Have its position count what is left of a working order; of two that cancel each other only one."""
        working = order.status in WORKING and not self._other_leg_counts(order)
        wanted = order.remaining if working else ZERO
        if wanted != order.counted:
            self._add_working(order, wanted - order.counted)
            order.counted = wanted

    def _other_leg_counts(self, order: Order) -> bool:
        if order.oco is None:
            return False
        other = self.orders.get(order.oco)
        return other is not None and other.counted > ZERO

    def _add_working(self, order: Order, quantity: Decimal) -> None:
        position = self.position(order.account, order.symbol)
        _work(position, order, quantity)
        self.exposures.changed(position)
        if order.strategy is not None:
            own = self.strategy_position(order.strategy, order.symbol)
            _work(own, order, quantity)
            self.exposures.strategy_changed(own)

    def _remember_client_id(self, order: Order) -> None:
        if order.client_order_id is not None:
            self._client_ids[order.account, order.client_order_id] = order
            self.seen.add(order.account, order.client_order_id)

    def _remember_closed(self, order: Order) -> None:
        self._closed[order.id] = order
        if len(self._closed) > REMEMBERED_ORDERS:
            _, oldest = self._closed.popitem(last=False)
            if oldest.client_order_id is not None:
                self._client_ids.pop((oldest.account, oldest.client_order_id), None)


as_text = lru_cache(maxsize=4096)(str)
"""Ids as text: accounts and users come again and again, and each order's id several times in a row."""


def _work(position: Position, order: Order, quantity: Decimal) -> None:
    if order.is_buy:
        position.working_buys += quantity
    else:
        position.working_sells += quantity
    assert position.working_buys >= ZERO
    assert position.working_sells >= ZERO


def _position_in(holders: dict[UUID, dict[str, Position]], holder: UUID, symbol: str) -> Position:
    held = holders.setdefault(holder, {})
    position = held.get(symbol)
    if position is None:
        position = held[symbol] = Position(account=holder, symbol=symbol)
    return position
