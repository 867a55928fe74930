"""Orders over HTTP. The module to imitate: declare, call, show."""

from typing import Any
from uuid import UUID

from marshmallow import fields

from qsuite.domain.errors import Invalid, NotFound, QSuiteError
from qsuite.domain.roles import TRADERS, TRADING_READERS
from qsuite.domain.throttling import ThrottleScope
from qsuite.domain.trading.order import Order, OrderType, Side, Status
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.fields import InstantField
from qsuite.handlers.listing import COMPARISONS, EQUALITY, ListingSpec
from qsuite.handlers.operations import operation
from qsuite.handlers.payloads import load
from qsuite.handlers.problems import status_of, with_facts
from qsuite.handlers.trading_schemas import (
    BulkOrdersSchema,
    BulkResultsSchema,
    CancelAllSchema,
    CancelledSchema,
    ExecutionSchema,
    OrderSchema,
    PlaceOrderSchema,
    ReplaceOrderSchema,
)
from qsuite.services.turns import in_turns
from qsuite.services.views import show_execution, show_order

CREATED = 201
_PLACE = PlaceOrderSchema()

ORDERS = ListingSpec(
    filters={
        "account": (fields.UUID(), EQUALITY),
        "symbol": (fields.String(), EQUALITY),
        "status": (fields.Enum(Status, by_value=fields.String), EQUALITY),
        "side": (fields.Enum(Side, by_value=fields.String), EQUALITY),
        "order_type": (fields.Enum(OrderType, by_value=fields.String), EQUALITY),
        "strategy": (fields.UUID(), EQUALITY),
        "client_order_id": (fields.String(), EQUALITY),
        "created_at": (InstantField(), COMPARISONS),
        "updated_at": (InstantField(), COMPARISONS),
    },
    search=True,
    orderings=("created_at", "updated_at", "symbol", "quantity", "price"),
    default_order=("-created_at",),
    cursor=True,
)


class OrdersHandler(ApiHandler):
    """All orders of the caller."""

    @operation("List orders, newest first", roles=TRADING_READERS, listing=ORDERS, returns={200: OrderSchema()})
    async def get(self) -> None:
        """List orders."""
        page = await self.services.trading.orders(self.caller, self.listing())
        self.answer_page(page, [show_order(order) for order in page.items])

    @operation(
        "Place an order; answered when it is durably stored",
        roles=TRADERS,
        body=PlaceOrderSchema(),
        returns={201: OrderSchema()},
        raises=(409,),
        scope=ThrottleScope.ORDERS,
    )
    async def post(self) -> None:
        """Place an order."""
        order = await self.services.trading.place(self.caller, self.body, self.order_id)
        shown = show_order(order)
        self.placed = "rest", [self.services.reference.venue(order.symbol)]
        self.set_header("Location", f"/api/v1/orders/{shown['id']}/")
        self.answer_resource(shown, order.version, 201)


class BulkHandler(ApiHandler):
    """Many orders in one body."""

    @operation(
        "Place up to 1,000 orders; each has a result of its own, and none waits for another",
        roles=TRADERS,
        body=BulkOrdersSchema(),
        returns={200: BulkResultsSchema()},
        bulk=True,
        scope=ThrottleScope.ORDERS,
        counts_itself=True,
    )
    async def post(self) -> None:
        """Place them."""
        orders = self.body["orders"]
        counting = self.count(ThrottleScope.ORDERS, self.caller, cost=len(orders))
        if counting is not None:
            await counting
        read = await in_turns(_read_order, orders)
        asked = [one for one in read if not isinstance(one, QSuiteError)]
        placed = iter(await self.services.trading.place_many(self.caller, asked) if asked else ())
        results = [one if isinstance(one, QSuiteError) else next(placed) for one in read]
        shown = await in_turns(_show_result, results)
        venue = self.services.reference.venue
        self.placed = "bulk", [venue(one.symbol) for one in results if not isinstance(one, QSuiteError)]
        accepted = sum(one["status"] == CREATED for one in shown)
        self.answer({"count": len(shown), "accepted": accepted, "results": shown})


def _read_order(raw: Any) -> dict[str, Any] | QSuiteError:
    try:
        loaded: dict[str, Any] = load(_PLACE, raw)
    except Invalid as error:
        return error
    return loaded


def _show_result(result: Order | QSuiteError) -> dict[str, Any]:
    """Show what became of one order as it would have been answered alone."""
    if not isinstance(result, QSuiteError):
        return {"status": CREATED, "order": show_order(result)}
    return with_facts(result, {"status": status_of(result), "code": result.code, "detail": result.detail})


class OrderHandler(ApiHandler):
    """One order."""

    @operation("Show an order", roles=TRADING_READERS, returns={200: OrderSchema()})
    async def get(self, order_id: str) -> None:
        """Show the order."""
        order = await self.services.trading.get(self.caller, as_id(order_id))
        self.answer_resource(show_order(order), order.version)

    @operation(
        "Replace the quantity or prices of an open order",
        roles=TRADERS,
        body=ReplaceOrderSchema(),
        returns={200: OrderSchema()},
        raises=(409, 412),
        scope=ThrottleScope.ORDERS,
    )
    async def patch(self, order_id: str) -> None:
        """Replace what is given."""
        found = as_id(order_id)
        version = self.expected_version(found)
        order = await self.services.trading.replace(self.caller, found, self.body, version)
        self.answer_resource(show_order(order), order.version)

    @operation(
        "Cancel an order",
        roles=TRADERS,
        returns={200: OrderSchema()},
        raises=(409,),
        scope=ThrottleScope.CANCELS,
    )
    async def delete(self, order_id: str) -> None:
        """Cancel the order."""
        order = await self.services.trading.cancel(self.caller, as_id(order_id))
        self.answer(show_order(order))


class CancelHandler(ApiHandler):
    """Cancel by POST, for clients that send no DELETE."""

    @operation(
        "Cancel an order",
        roles=TRADERS,
        returns={200: OrderSchema()},
        raises=(409,),
        scope=ThrottleScope.CANCELS,
    )
    async def post(self, order_id: str) -> None:
        """Cancel the order."""
        order = await self.services.trading.cancel(self.caller, as_id(order_id))
        self.answer(show_order(order))


class ExecuteHandler(ApiHandler):
    """The second step of an order made with ``hold``."""

    @operation(
        "Release a held order to the market",
        roles=TRADERS,
        returns={200: OrderSchema()},
        raises=(409,),
        scope=ThrottleScope.ORDERS,
    )
    async def post(self, order_id: str) -> None:
        """Release the order."""
        order = await self.services.trading.release(self.caller, as_id(order_id))
        self.answer(show_order(order))


class CancelAllHandler(ApiHandler):
    """All open orders at once."""

    @operation(
        "Cancel all open orders",
        roles=TRADERS,
        body=CancelAllSchema(),
        returns={200: CancelledSchema()},
        scope=ThrottleScope.CANCELS,
    )
    async def post(self) -> None:
        """Cancel them."""
        orders = await self.services.trading.cancel_all(self.caller, self.body.get("account"), self.body.get("symbol"))
        self.answer({"count": len(orders), "results": [show_order(order) for order in orders]})


class OrderExecutionsHandler(ApiHandler):
    """The fills of one order."""

    @operation(
        "List the executions of an order",
        roles=TRADING_READERS,
        listing=ListingSpec(),
        returns={200: ExecutionSchema()},
    )
    async def get(self, order_id: str) -> None:
        """List them."""
        page = await self.services.trading.executions_of(self.caller, as_id(order_id))
        self.answer_page(page, [show_execution(execution) for execution in page.items])


class OrderByClientIdHandler(ApiHandler):
    """One order, by the id its owner gave it."""

    @operation("Show the order placed under a client id", roles=TRADING_READERS, returns={200: OrderSchema()})
    async def get(self, client_order_id: str) -> None:
        """Show the order."""
        order = await self.services.trading.get_by_client_id(self.caller, client_order_id)
        self.answer_resource(show_order(order), order.version)


def as_id(text: str) -> UUID:
    """Read an id from a path. What is no id names nothing."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("there is nothing of that id") from None


routes = [
    (r"/api/v1/orders/?", OrdersHandler),
    (r"/api/v1/orders/bulk/?", BulkHandler),
    (r"/api/v1/orders/cancel_all/?", CancelAllHandler),
    (r"/api/v1/orders/by-client-id/([^/]+)/?", OrderByClientIdHandler),
    (r"/api/v1/orders/([^/]+)/?", OrderHandler),
    (r"/api/v1/orders/([^/]+)/cancel/?", CancelHandler),
    (r"/api/v1/orders/([^/]+)/execute/?", ExecuteHandler),
    (r"/api/v1/orders/([^/]+)/executions/?", OrderExecutionsHandler),
]
