"""What trading left: executions, positions and the account, over HTTP."""

from marshmallow import fields

from qsuite.domain.listing import Page
from qsuite.domain.roles import TRADERS, TRADING_READERS
from qsuite.domain.throttling import ThrottleScope
from qsuite.domain.trading.order import Side
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.fields import InstantField
from qsuite.handlers.listing import COMPARISONS, EQUALITY, ListingSpec
from qsuite.handlers.operations import operation
from qsuite.handlers.orders import as_id
from qsuite.handlers.trading_schemas import (
    AccountQuerySchema,
    AccountSchema,
    ExecutionSchema,
    OrderSchema,
    PositionSchema,
)
from qsuite.services.views import show_execution, show_order

EXECUTIONS = ListingSpec(
    filters={
        "account": (fields.UUID(), EQUALITY),
        "order": (fields.UUID(), EQUALITY),
        "symbol": (fields.String(), EQUALITY),
        "side": (fields.Enum(Side, by_value=fields.String), EQUALITY),
        "execution_time": (InstantField(), COMPARISONS),
    },
    orderings=("execution_time", "symbol", "quantity", "price"),
    default_order=("-execution_time",),
    cursor=True,
)


class ExecutionsHandler(ApiHandler):
    """All fills of the caller."""

    @operation(
        "List executions, newest first", roles=TRADING_READERS, listing=EXECUTIONS, returns={200: ExecutionSchema()}
    )
    async def get(self) -> None:
        """List them."""
        page = await self.services.trading.executions(self.caller, self.listing())
        self.answer_page(page, [show_execution(execution) for execution in page.items])


class ExecutionHandler(ApiHandler):
    """One fill."""

    @operation("Show an execution", roles=TRADING_READERS, returns={200: ExecutionSchema()})
    async def get(self, execution_id: str) -> None:
        """Show it."""
        execution = await self.services.trading.execution(self.caller, as_id(execution_id))
        self.answer_resource(show_execution(execution), 1)


class PositionsHandler(ApiHandler):
    """All open positions of the caller."""

    @operation("List open positions", roles=TRADING_READERS, listing=ListingSpec(), returns={200: PositionSchema()})
    async def get(self) -> None:
        """List them."""
        shown = await self.services.trading.positions(self.caller)
        listing = self.listing()
        start = (listing.page - 1) * listing.page_size
        some = shown[start : start + listing.page_size]
        self.answer_page(Page(some, len(shown), has_next=start + len(some) < len(shown)), some)


class PositionHandler(ApiHandler):
    """One position."""

    @operation("Show the position in a symbol", roles=TRADING_READERS, returns={200: PositionSchema()})
    async def get(self, symbol: str) -> None:
        """Show it."""
        self.answer(await self.services.trading.position(self.caller, symbol))

    @operation(
        "Close a position by a market order",
        roles=TRADERS,
        returns={201: OrderSchema()},
        raises=(409,),
        scope=ThrottleScope.ORDERS,
    )
    async def delete(self, symbol: str) -> None:
        """Close it."""
        order = await self.services.trading.close_position(self.caller, symbol)
        self.answer(show_order(order), 201)


class AccountHandler(ApiHandler):
    """The caller's account."""

    @operation("Show the account", roles=TRADERS, query=AccountQuerySchema(), returns={200: AccountSchema()})
    async def get(self) -> None:
        """Show it."""
        self.answer(await self.services.trading.show_account(self.caller, self.query.get("account")))


routes = [
    (r"/api/v1/executions/?", ExecutionsHandler),
    (r"/api/v1/executions/([^/]+)/?", ExecutionHandler),
    (r"/api/v1/positions/?", PositionsHandler),
    (r"/api/v1/positions/([^/]+)/?", PositionHandler),
    (r"/api/v1/account/?", AccountHandler),
]
