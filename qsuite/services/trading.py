"""Trading as its users speak of it: place, release, cancel, close, look at orders, positions and the account.

Turns requests into the engine's commands (``order_requests``) and its outcomes into answers or errors (``outcomes``).
What became durable is told by ``TradingStream``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

from qsuite.domain.errors import Conflict, Forbidden, NotFound, QSuiteError
from qsuite.domain.listing import Condition, Listing, Page
from qsuite.domain.money import ZERO
from qsuite.domain.roles import Caller
from qsuite.domain.trading.account import Position
from qsuite.domain.trading.commands import (
    CancelAll,
    CancelOrder,
    CheckOrder,
    Outcome,
    PlaceOrder,
    ReleaseOrder,
    ReplaceOrder,
)
from qsuite.domain.trading.order import Execution, Order, OrderType, Side
from qsuite.repos.accounts import AccountsRepo
from qsuite.repos.executions import ExecutionsRepo
from qsuite.repos.orders import OrdersRepo
from qsuite.repos.positions import PositionsRepo
from qsuite.services.engine import TradingEngine
from qsuite.services.market_values import MarketValues
from qsuite.services.order_requests import place_command
from qsuite.services.outcomes import error_of, order_of, order_or_error
from qsuite.services.turns import in_turns
from qsuite.services.views import Shown

VIEWER = "the account is only shown to you"


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
        values: MarketValues,
        new_id: Callable[[], UUID],
    ) -> None:
        self._engine = engine
        self._orders = orders
        self._executions = executions
        self._accounts = accounts
        self._positions = positions
        self._values = values
        self._new_id = new_id

    # -- accounts -----------------------------------------------------------------------------------------------

    async def show_account(self, caller: Caller, account: UUID | None = None) -> Shown:
        """Show an account of the caller's, by default the first, valued at the market."""
        account_id = account if account is not None and caller.sees(account) else self._own(caller, account)
        found = await self._accounts.get(account_id)
        held = await self._positions.of([account_id])
        return self._values.show_account(found, held)

    # -- orders -------------------------------------------------------------------------------------------------

    async def place(self, caller: Caller, asked: Mapping[str, Any], id_: UUID | None = None) -> Order:
        """Place an order and return it, durable. OrderRefused when a control said no, Conflict for a used client id.

        ``id_``, where one was promised for it, was never used before.
        """
        return order_of(await self._engine.submit(self._place_command(caller, asked, id_)))

    async def place_many(self, caller: Caller, asked: Sequence[Mapping[str, Any]]) -> list[Order | QSuiteError]:
        """Place orders, one after the other as given; return the order or the error of each."""
        commands = await in_turns(partial(self._place_command, caller), asked)
        outcomes = await self._engine.submit_many(commands)
        return [order_or_error(outcome) for outcome in outcomes]

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
        return await self._of_one(caller, command)

    async def release(self, caller: Caller, order: UUID) -> Order:
        """Send a held order to the market."""
        command = ReleaseOrder(order=order, user=caller.user, accounts=caller.accounts)
        return await self._of_one(caller, command)

    async def cancel(self, caller: Caller, order: UUID) -> Order:
        """Cancel an open order; cancelling twice gives the same answer twice."""
        command = CancelOrder(order=order, user=caller.user, accounts=caller.accounts)
        return await self._of_one(caller, command)

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
        return [self._values.show_position(position) for position in held if position.quantity]

    async def position(self, caller: Caller, symbol: str) -> Shown:
        """Show a position in one symbol, flat too if it was ever traded. NotFound otherwise."""
        return self._values.show_position(await self._position(self._visible(caller), symbol))

    async def close_position(self, caller: Caller, symbol: str) -> Order:
        """Close a position by a market order through the same controls; open orders in the symbol are cancelled first.

        They hold what is to be sold, or would open a position anew behind it.
        """
        position = await self._position(caller.accounts, symbol)
        if position.quantity == ZERO:
            raise Conflict(f"the position in {symbol} is flat", code="position.flat")
        await self.cancel_all(caller, position.account, symbol)
        side = Side.SELL if position.quantity > ZERO else Side.BUY
        asked = {"symbol": symbol, "side": side, "order_type": OrderType.MARKET, "quantity": abs(position.quantity)}
        return await self.place(caller, asked | {"account": position.account, "reduce_only": True})

    # -- inside -------------------------------------------------------------------------------------------------

    def _place_command(self, caller: Caller, asked: Mapping[str, Any], id_: UUID | None = None) -> PlaceOrder:
        account = self._own(caller, asked.get("account"))
        return place_command(asked, id_=id_ or self._new_id(), account=account, user=caller.user)

    async def _of_one(self, caller: Caller, command: ReplaceOrder | ReleaseOrder | CancelOrder) -> Order:
        """Have a command about one order decided. Forbidden where the caller may see the order, but not trade."""
        outcome = await self._engine.submit(command)
        if outcome.error == "not_found" and caller.views:
            await self._orders.get(command.order, caller.views)
            raise Forbidden(VIEWER)
        return order_of(outcome)

    def _own(self, caller: Caller, account: UUID | None) -> UUID:
        if account is None and caller.accounts:
            return caller.accounts[0]
        if account in caller.views:
            raise Forbidden(VIEWER)
        if account is None or account not in caller.accounts:
            raise NotFound("no such account")
        return account

    def _visible(self, caller: Caller) -> Iterable[UUID] | None:
        return None if caller.reads_all else caller.visible

    async def _position(self, accounts: Iterable[UUID] | None, symbol: str) -> Position:
        """Return the position in a symbol of the first of the accounts that has one, in their order. NotFound."""
        held = [position for position in await self._positions.of(accounts) if position.symbol == symbol]
        if not held:
            raise NotFound(f"no position in {symbol}")
        ranks = {account: rank for rank, account in enumerate(accounts or ())}
        return min(held, key=lambda position: ranks.get(position.account, 0))
