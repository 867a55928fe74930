"""What trading routes take and show, as marshmallow schemas: validation and OpenAPI both come from here."""

from typing import Any

from marshmallow import Schema, fields, pre_load, validate

from qsuite.domain.trading.account import Access, Permission
from qsuite.domain.trading.order import OrderType, Side, Status, TimeInForce
from qsuite.handlers.fields import DecimalField, FlagField, InstantField
from qsuite.handlers.market_fields import SYMBOL

CLIENT_ORDER_ID = validate.Regexp(r"[\x21-\x7e]{1,64}\Z", error="1 to 64 printable ASCII characters, no spaces")

MOST_IN_BULK = 1_000


class TakeProfitSchema(Schema):
    """Where a bracket takes its profit."""

    price = DecimalField(required=True, above=0)


class StopLossSchema(Schema):
    """Where a bracket cuts its loss; with a price by a limit order, else at the market."""

    stop_price = DecimalField(required=True, above=0)
    price = DecimalField(allow_none=True, above=0)


class PlaceOrderSchema(Schema):
    """What may be asked of a new order; anything else is refused."""

    symbol = fields.String(required=True, validate=SYMBOL)
    side = fields.Enum(Side, required=True, by_value=fields.String)
    order_type = fields.Enum(OrderType, required=True, by_value=fields.String)
    quantity = DecimalField(required=True, above=0)
    price = DecimalField(allow_none=True)
    stop_price = DecimalField(allow_none=True)
    trail_percent = DecimalField(allow_none=True)
    trail_price = DecimalField(allow_none=True)
    time_in_force = fields.Enum(TimeInForce, by_value=fields.String, load_default=TimeInForce.DAY)
    expires_at = InstantField(allow_none=True)
    client_order_id = fields.String(allow_none=True, validate=CLIENT_ORDER_ID)
    strategy = fields.UUID(allow_none=True)
    account = fields.UUID()
    hold = FlagField(load_default=False)
    reduce_only = FlagField(load_default=False)
    take_profit = fields.Nested(TakeProfitSchema, allow_none=True)
    stop_loss = fields.Nested(StopLossSchema, allow_none=True)


class ReplaceOrderSchema(Schema):
    """What of an open order may be changed; what is not given stays."""

    quantity = DecimalField(above=0)
    price = DecimalField(above=0)
    stop_price = DecimalField(above=0)


class BulkOrdersSchema(Schema):
    """Up to 1,000 orders: ``{"orders": [...]}``, or the array alone. Each is read by itself and gets its own result."""

    takes_arrays = True
    orders = fields.List(fields.Raw(allow_none=True), required=True, validate=validate.Length(1, MOST_IN_BULK))

    @pre_load
    def wrap(self, data: Any, **kwargs: Any) -> Any:
        """Take an array for its orders."""
        return {"orders": data} if isinstance(data, list) else data


class RejectSchema(Schema):
    """Why a control refused."""

    code = fields.String(required=True)
    detail = fields.String(required=True)
    limit = DecimalField()
    value = DecimalField()


class OrderSchema(Schema):
    """An order as it is shown."""

    id = fields.UUID(required=True)
    account = fields.UUID(required=True)
    symbol = fields.String(required=True)
    side = fields.Enum(Side, required=True, by_value=fields.String)
    order_type = fields.Enum(OrderType, required=True, by_value=fields.String)
    quantity = DecimalField(required=True)
    price = DecimalField(required=True, allow_none=True)
    stop_price = DecimalField(required=True, allow_none=True)
    trail_percent = DecimalField(required=True, allow_none=True)
    trail_price = DecimalField(required=True, allow_none=True)
    time_in_force = fields.Enum(TimeInForce, required=True, by_value=fields.String)
    client_order_id = fields.String(required=True, allow_none=True)
    strategy = fields.UUID(required=True, allow_none=True)
    reduce_only = fields.Boolean(required=True)
    take_profit = fields.Nested(TakeProfitSchema, required=True, allow_none=True)
    stop_loss = fields.Nested(StopLossSchema, required=True, allow_none=True)
    parent = fields.UUID(required=True, allow_none=True)
    oco = fields.UUID(required=True, allow_none=True)
    triggered = fields.Boolean(required=True)
    status = fields.Enum(Status, required=True, by_value=fields.String)
    filled_quantity = DecimalField(required=True)
    avg_fill_price = DecimalField(required=True, allow_none=True)
    commission = DecimalField(required=True)
    reject = fields.Nested(RejectSchema, required=True, allow_none=True)
    expires_at = InstantField(required=True, allow_none=True)
    created_by = fields.UUID(required=True)
    created_at = InstantField(required=True)
    updated_at = InstantField(required=True)
    version = fields.Integer(required=True)


class BulkResultSchema(Schema):
    """What became of one order of many: its status as a single order's, and the order or why there is none."""

    status = fields.Integer(required=True)
    order = fields.Nested(OrderSchema)
    code = fields.String()
    detail = fields.String()
    limit = DecimalField()
    value = DecimalField()
    order_id = fields.UUID()
    client_order_id = fields.String(allow_none=True)
    errors = fields.Dict(keys=fields.String(), values=fields.List(fields.String()))


class BulkResultsSchema(Schema):
    """What became of each order, in the order they were given."""

    count = fields.Integer(required=True)
    accepted = fields.Integer(required=True)
    results = fields.List(fields.Nested(BulkResultSchema), required=True)


class ExecutionSchema(Schema):
    """An execution as it is shown."""

    id = fields.UUID(required=True)
    order = fields.UUID(required=True)
    account = fields.UUID(required=True)
    symbol = fields.String(required=True)
    side = fields.Enum(Side, required=True, by_value=fields.String)
    quantity = DecimalField(required=True)
    price = DecimalField(required=True)
    commission = DecimalField(required=True)
    execution_time = InstantField(required=True)
    external_execution_id = fields.String(required=True)


class PositionSchema(Schema):
    """A position as it is shown."""

    account = fields.UUID(required=True)
    symbol = fields.String(required=True)
    quantity = DecimalField(required=True)
    avg_cost = DecimalField(required=True, allow_none=True)
    cost = DecimalField(required=True)
    market_price = DecimalField(required=True, allow_none=True)
    market_value = DecimalField(required=True, allow_none=True)
    realized_pnl = DecimalField(required=True)
    unrealized_pnl = DecimalField(required=True, allow_none=True)
    updated_at = InstantField(required=True)


class MemberSchema(Schema):
    """Another user than the owner, who may look at the account or trade on it."""

    user = fields.UUID(required=True)
    access = fields.Enum(Access, required=True, by_value=fields.String)


class AccountSchema(Schema):
    """An account as it is shown."""

    id = fields.UUID(required=True)
    name = fields.String(required=True)
    currency = fields.String(required=True)
    cash = DecimalField(required=True)
    reserved = DecimalField(required=True)
    equity = DecimalField(required=True)
    buying_power = DecimalField(required=True)
    long_value = DecimalField(required=True)
    short_value = DecimalField(required=True)
    realized_pnl = DecimalField(required=True)
    unrealized_pnl = DecimalField(required=True)
    commission = DecimalField(required=True)
    day_pnl = DecimalField(required=True)
    is_active = fields.Boolean(required=True)
    permissions = fields.List(fields.Enum(Permission, by_value=fields.String), required=True)
    members = fields.List(fields.Nested(MemberSchema), required=True)
    reset_at = InstantField(required=True, allow_none=True)
    created_at = InstantField(required=True)
    updated_at = InstantField(required=True)


class AccountQuerySchema(Schema):
    """Which account."""

    account = fields.UUID()


class CancelAllSchema(Schema):
    """Which orders to cancel."""

    account = fields.UUID()
    symbol = fields.String(validate=SYMBOL)


class CancelledSchema(Schema):
    """The orders that were cancelled."""

    count = fields.Integer(required=True)
    results = fields.List(fields.Nested(OrderSchema), required=True)
