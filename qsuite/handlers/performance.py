"""How trading went, over HTTP."""

from marshmallow import Schema, fields

from qsuite.domain.roles import TRADING_READERS
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.fields import DecimalField
from qsuite.handlers.market_fields import SYMBOL, EdgeField
from qsuite.handlers.operations import operation


class PerformanceQuerySchema(Schema):
    """Whose trading, in what, and when; ``to`` is not included."""

    account = fields.UUID()
    symbol = fields.String(validate=SYMBOL)
    strategy = fields.UUID()
    from_ = EdgeField(data_key="from")
    to = EdgeField()


class PerformanceMetricsSchema(Schema):
    """Orders placed, fills and round trips closed in the period. Null: nothing to measure it by.

    ``total_volume`` is a quantity, ``total_value`` money. A round trip goes from flat to flat; ``success_rate`` is the
    share that made money after commission. ``avg_slippage_bps`` is against the middle of the quote or the price shown
    when it filled, weighted by value. ``avg_execution_ms`` is from placing to the last fill, of filled orders;
    ``fill_rate`` the part of what reached the market that traded. ``unrealized_pnl`` is as of now.
    """

    total_orders = fields.Integer(required=True)
    by_status = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    fill_rate = fields.Float(required=True, allow_none=True)
    avg_execution_ms = fields.Float(required=True, allow_none=True)
    executions = fields.Integer(required=True)
    total_volume = DecimalField(required=True)
    total_value = DecimalField(required=True)
    commission = DecimalField(required=True)
    realized_pnl = DecimalField(required=True)
    unrealized_pnl = DecimalField(required=True, allow_none=True)
    avg_slippage_bps = fields.Float(required=True, allow_none=True)
    round_trips = fields.Integer(required=True)
    winning = fields.Integer(required=True)
    losing = fields.Integer(required=True)
    success_rate = fields.Float(required=True, allow_none=True)


class PerformanceMetricsHandler(ApiHandler):
    """Figures of orders and executions."""

    @operation(
        "Show how trading went",
        roles=TRADING_READERS,
        query=PerformanceQuerySchema(),
        returns={200: PerformanceMetricsSchema()},
    )
    async def get(self) -> None:
        """Show it."""
        asked = dict(self.query)
        found = await self.services.performance.metrics(
            self.caller,
            account=asked.get("account"),
            symbol=asked.get("symbol"),
            strategy=asked.get("strategy"),
            from_ns=asked.get("from_"),
            to_ns=asked.get("to"),
        )
        self.answer(found)


routes = [(r"/api/v1/orders/performance_metrics/?", PerformanceMetricsHandler)]
