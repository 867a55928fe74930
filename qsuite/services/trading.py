"""Trading as its users speak of it: place, release, cancel, close, look at orders, positions and the account.

Turns requests into the engine's commands and its outcomes into answers or errors; tells the stream what became durable.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from decimal import Decimal
from hashlib import blake2b
from typing import Any
from uuid import UUID

from qsuite.domain.errors import (
    Conflict,
    Forbidden,
    NotFound,
    OrderRefused,
    OrderTooFast,
    PreconditionFailed,
    QSuiteError,
)
from qsuite.domain.listing import Condition, Listing, Page
from qsuite.domain.money import ZERO
from qsuite.domain.roles import Caller
from qsuite.domain.times import DAY_NS
from qsuite.domain.trading.account import Account, Position
from qsuite.domain.trading.changes import Announcement
from qsuite.domain.trading.commands import (
    CancelAll,
    CancelOrder,
    CheckOrder,
    Outcome,
    PlaceOrder,
    ReleaseOrder,
    ReplaceOrder,
)
from qsuite.domain.trading.order import (
    Execution,
    Order,
    OrderType,
    Side,
    Status,
    StopLoss,
    TakeProfit,
    TimeInForce,
)
from qsuite.domain.trading.risk import Limits
from qsuite.repos.accounts import AccountsRepo
from qsuite.repos.executions import ExecutionsRepo
from qsuite.repos.orders import OrdersRepo
from qsuite.repos.positions import PositionsRepo
from qsuite.services.engine import TradingEngine
from qsuite.services.market_data import MarketDataService
from qsuite.services.stream import StreamHub
from qsuite.services.views import Shown, show_account, show_execution, show_order, show_position, show_risk_event
from qsuite.settings import RiskSettings


def limits_from(settings: RiskSettings) -> Limits:
    """Read the configured limits."""
    return Limits(**{item.name: getattr(settings, item.name) for item in fields(Limits)})


class TradingService:
    """The use cases of trading. ``new_id`` makes time-ordered ids."""

    def __init__(
        self,
        *,
        engine: TradingEngine,
        orders: OrdersRepo,
        executions: ExecutionsRepo,
        accounts: AccountsRepo,
        positions: PositionsRepo,
        market: MarketDataService,
        stream: StreamHub,
        new_id: Callable[[], UUID],
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._engine = engine
        self._orders = orders
        self._executions = executions
        self._accounts = accounts
        self._positions = positions
        self._market = market
        self._stream = stream
        self._new_id = new_id
        self._clock = clock
        self._rendered: dict[str, tuple[str, Callable[[Any], Shown]]] = {
            "order": ("orders", show_order),
            "execution": ("executions", show_execution),
            "position": ("positions", self._show_position),
            "account": ("account", lambda what: self._show_account(what[0], what[1])),
            "risk_event": ("risk", show_risk_event),
        }
        engine.listen(self._announce)
        market.on_ticks(engine.on_ticks)
        stream.snapshot_source("orders", self._orders_snapshot)
        stream.snapshot_source("executions", self._executions_snapshot)
        stream.snapshot_source("positions", self._positions_snapshot)
        stream.snapshot_source("account", self._account_snapshot)

    # -- accounts -----------------------------------------------------------------------------------------------

    async def show_account(self, caller: Caller, account: UUID | None = None) -> Shown:
        """Show an account of the caller's, by default the first, valued at the market."""
        account_id = self._own(caller, account)
        found = await self._accounts.get(account_id)
        held = await self._positions.of([account_id])
        return self._show_account(found, held)

    # -- orders -------------------------------------------------------------------------------------------------

    async def place(self, caller: Caller, asked: Mapping[str, Any]) -> Order:
        """Place an order and return it, durable. OrderRefused when a control said no, Conflict for a used id."""
        return self._settled_order(await self._engine.submit(self._place_command(caller, asked)))

    async def place_many(self, caller: Caller, asked: Sequence[Mapping[str, Any]]) -> list[Order | QSuiteError]:
        """Place orders, one after the other as given; return the order or the error of each."""
        commands = [self._place_command(caller, one) for one in asked]
        outcomes = await self._engine.submit_many(commands)
        return [self._order_or_error(outcome) for outcome in outcomes]

    async def check(self, caller: Caller, asked: Mapping[str, Any]) -> Outcome:
        """Say what an order would meet, without placing it. Conflict for a used client id."""
        outcome = await self._engine.submit(CheckOrder(place=self._place_command(caller, asked)))
        if outcome.error is not None:
            raise error_of(outcome)
        return outcome

    async def replace(
        self, caller: Caller, order: UUID, changed: Mapping[str, Decimal], version: int | None = None
    ) -> Order:
        """Change an open order's quantity or prices. OrderRefused by a control, which leaves it as it was."""
        command = ReplaceOrder(order=order, user=caller.user, accounts=caller.accounts, version=version, **changed)
        return self._settled_order(await self._engine.submit(command))

    async def release(self, caller: Caller, order: UUID) -> Order:
        """Send a held order to the market."""
        command = ReleaseOrder(order=order, user=caller.user, accounts=caller.accounts)
        return self._settled_order(await self._engine.submit(command))

    async def cancel(self, caller: Caller, order: UUID) -> Order:
        """Cancel an open order; cancelling twice gives the same answer twice."""
        command = CancelOrder(order=order, user=caller.user, accounts=caller.accounts)
        return self._settled_order(await self._engine.submit(command))

    async def cancel_all(self, caller: Caller, account: UUID | None, symbol: str | None) -> Sequence[Order]:
        """Cancel every open order of an account, or of one of its symbols."""
        command = CancelAll(account=self._own(caller, account), user=caller.user, symbol=symbol)
        return (await self._engine.submit(command)).orders

    async def cancel_these(self, caller: Caller, orders: Iterable[UUID]) -> None:
        """Cancel those of the orders that are still open, on any of the caller's accounts."""
        named = frozenset(orders)
        for account in caller.accounts:
            await self._engine.submit(CancelAll(account=account, user=caller.user, orders=named))

    def still_open(self, orders: Iterable[UUID]) -> set[UUID]:
        """Return those of the orders that have not ended."""
        return {order for order in orders if order in self._engine.memory.orders}

    async def get(self, caller: Caller, order: UUID) -> Order:
        """Return an order the caller may see."""
        return await self._orders.get(order, self._visible(caller))

    async def get_by_client_id(self, caller: Caller, client_order_id: str) -> Order:
        """Return the order placed under a client id."""
        return await self._orders.get_by_client_id(client_order_id, self._visible(caller))

    async def orders(self, caller: Caller, listing: Listing) -> Page[Order]:
        """Return a page of the orders the caller may see."""
        return await self._orders.page(listing, self._visible(caller))

    # -- executions and positions -------------------------------------------------------------------------------

    async def executions(self, caller: Caller, listing: Listing) -> Page[Execution]:
        """Return a page of the executions the caller may see."""
        return await self._executions.page(listing, self._visible(caller))

    async def execution(self, caller: Caller, execution: UUID) -> Execution:
        """Return an execution the caller may see."""
        return await self._executions.get(execution, self._visible(caller))

    async def executions_of(self, caller: Caller, order: UUID) -> Page[Execution]:
        """Return the executions of an order the caller may see."""
        await self._orders.get(order, self._visible(caller))
        listing = Listing(conditions=(Condition("order", "eq", order),), page_size=1000)
        return await self._executions.page(listing, None)

    async def positions(self, caller: Caller) -> list[Shown]:
        """Show the caller's open positions, valued at the market."""
        held = await self._positions.of(self._visible(caller))
        return [self._show_position(position) for position in held if position.quantity]

    async def position(self, caller: Caller, symbol: str) -> Shown:
        """Show a position in one symbol, flat too if it was ever traded. NotFound otherwise."""
        return self._show_position(await self._position(caller, symbol))

    async def close_position(self, caller: Caller, symbol: str) -> Order:
        """Close a position by a market order through the same controls; open orders in the symbol are cancelled first.

        They hold what is to be sold, or would open a position anew behind it.
        """
        position = await self._position(caller, symbol)
        if position.quantity == ZERO:
            raise Conflict(f"the position in {symbol} is flat", code="position.flat")
        await self.cancel_all(caller, position.account, symbol)
        side = Side.SELL if position.quantity > ZERO else Side.BUY
        asked = {"symbol": symbol, "side": side, "order_type": OrderType.MARKET, "quantity": abs(position.quantity)}
        return await self.place(caller, asked | {"account": position.account, "reduce_only": True})

    def market_price(self, position: Position) -> Decimal | None:
        """Return what a unit held would bring, or one sold short would cost: bid or ask, else the last trade."""
        snapshot = self._market.snapshot(position.symbol)
        if snapshot.quote is not None:
            side = snapshot.quote.bid if position.quantity >= ZERO else snapshot.quote.ask
            if side is not None:
                return side
        return None if snapshot.trade is None else snapshot.trade.price

    def _show_position(self, position: Position) -> Shown:
        return show_position(position, self.market_price(position))

    def _show_account(self, account: Account, held: Iterable[Position]) -> Shown:
        return show_account(account, self._valued(held), self._clock() // DAY_NS)

    def _valued(self, held: Iterable[Position]) -> list[tuple[Position, Decimal | None]]:
        return [(position, self.market_price(position)) for position in held]

    # -- inside -------------------------------------------------------------------------------------------------

    def _place_command(self, caller: Caller, asked: Mapping[str, Any]) -> PlaceOrder:
        client_order_id = asked.get("client_order_id")
        takes, stops = asked.get("take_profit"), asked.get("stop_loss")
        return PlaceOrder(
            id=self._new_id(),
            account=self._own(caller, asked.get("account")),
            user=caller.user,
            symbol=asked["symbol"],
            side=asked["side"],
            order_type=asked["order_type"],
            quantity=asked["quantity"],
            price=asked.get("price"),
            stop_price=asked.get("stop_price"),
            trail_percent=asked.get("trail_percent"),
            trail_price=asked.get("trail_price"),
            reduce_only=asked.get("reduce_only", False),
            take_profit=None if takes is None else TakeProfit(takes["price"]),
            stop_loss=None if stops is None else StopLoss(stops["stop_price"], stops.get("price")),
            expires_at=asked.get("expires_at"),
            time_in_force=asked.get("time_in_force", TimeInForce.DAY),
            client_order_id=client_order_id,
            strategy=asked.get("strategy"),
            hold=asked.get("hold", False),
            request_hash="" if client_order_id is None else fingerprint(asked),
        )

    def _settled_order(self, outcome: Outcome) -> Order:
        order = self._settled(outcome)
        assert order is not None, "a command about one order answers with it"
        return order

    def _settled(self, outcome: Outcome) -> Order | None:
        """Return the order of an outcome, if it has one, or raise what it amounts to."""
        order = outcome.order
        if outcome.error is not None:
            raise error_of(outcome)
        if order is not None and order.status is Status.REJECTED:
            assert order.reject is not None
            raise refused(order.reject, order)
        if outcome.refusal is not None:
            raise refused(outcome.refusal, order)
        return order

    def _order_or_error(self, outcome: Outcome | BaseException) -> Order | QSuiteError:
        if isinstance(outcome, QSuiteError):
            return outcome
        if isinstance(outcome, BaseException):
            raise outcome
        try:
            return self._settled_order(outcome)
        except QSuiteError as error:
            return error

    def _own(self, caller: Caller, account: UUID | None) -> UUID:
        if account is None and caller.accounts:
            return caller.accounts[0]
        if account is None or account not in caller.accounts:
            raise NotFound("no such account")
        return account

    def _visible(self, caller: Caller) -> Iterable[UUID] | None:
        return None if caller.reads_all else caller.accounts

    async def _position(self, caller: Caller, symbol: str) -> Position:
        for position in await self._positions.of(self._visible(caller)):
            if position.symbol == symbol:
                return position
        raise NotFound(f"no position in {symbol}")

    # -- the stream ---------------------------------------------------------------------------------------------

    def _announce(self, announcements: Sequence[Announcement]) -> None:
        """Tell the stream what became durable, in order. Nothing is rendered that nobody would get."""
        for kind, account, what in announcements:
            if account is None:
                continue  # of a book: ``BookMarket`` tells of those
            channel, render = self._rendered[kind]
            if self._stream.wanted_private(account, channel):
                self._stream.publish_private(account, channel, {"type": kind, **render(what)})

    async def _orders_snapshot(self, caller: Caller, channel: str) -> list[Shown]:
        open_only = Condition("status", "in", ("HELD", "PENDING", "PARTIAL"))
        shown: list[Shown] = []
        cursor: str | None = ""
        while cursor is not None:
            listing = Listing(conditions=(open_only,), page_size=1000, cursor=cursor)
            page = await self._orders.page(listing, caller.accounts)
            shown += [show_order(order) for order in page.items]
            cursor = page.next_cursor
        return shown

    async def _executions_snapshot(self, caller: Caller, channel: str) -> list[Shown]:
        listing = Listing(order=(("execution_time", True),), page_size=100, cursor="")
        page = await self._executions.page(listing, caller.accounts)
        return [show_execution(execution) for execution in page.items]

    async def _positions_snapshot(self, caller: Caller, channel: str) -> list[Shown]:
        return await self.positions(caller)

    async def _account_snapshot(self, caller: Caller, channel: str) -> list[Shown]:
        return [await self.show_account(caller, account) for account in caller.accounts]


def error_of(outcome: Outcome) -> QSuiteError:
    """Return the error that an outcome without success amounts to."""
    if outcome.error == "not_found":
        return NotFound(outcome.detail)
    if outcome.error == "forbidden":
        return Forbidden(outcome.detail)
    if outcome.error == "precondition_failed":
        return PreconditionFailed("it was changed since it was read: read it again")
    facts = {} if outcome.order is None else {"order": show_order(outcome.order)}
    return Conflict(outcome.detail, code=outcome.error, **facts)


RATES = frozenset({"risk.order_rate", "risk.cancel_rate"})


def refused(refusal: Mapping[str, Any], order: Order | None) -> OrderRefused:
    """Return the error that tells of a control's no, with its figures and the order as it is stored."""
    facts: dict[str, Any] = {name: refusal[name] for name in ("limit", "value") if name in refusal}
    if order is not None:
        facts["order"] = show_order(order)
    kind = OrderTooFast if refusal["code"] in RATES else OrderRefused
    return kind(refusal["detail"], code=refusal["code"], **facts)


def fingerprint(asked: Mapping[str, Any]) -> str:
    """Return a digest of what an order asks for; ``10`` and ``10.0`` ask for the same."""
    parts = [
        f"{name}={value.normalize() if isinstance(value, Decimal) else value}"
        for name, value in asked.items()
        if value is not None
    ]
    parts.sort()
    return blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()
