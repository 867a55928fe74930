"""Fills explained over HTTP: what the market showed, which rule, and the same fill computed again."""

from marshmallow import Schema, fields

from qsuite.domain.roles import TRADING_READERS
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.fields import DecimalField, InstantField
from qsuite.handlers.operations import operation
from qsuite.handlers.orders import as_id
from qsuite.handlers.reference_schemas import CommissionSchema
from qsuite.handlers.trading_schemas import ExecutionSchema
from qsuite.services.explain import explain


class MarketShownSchema(Schema):
    """What the market showed: the price dealt on, and the quote or trade it came from."""

    source = fields.String()
    timestamp = InstantField()
    price = DecimalField(required=True)
    bid = DecimalField()
    ask = DecimalField()
    bid_size = DecimalField()
    ask_size = DecimalField()
    size = DecimalField()


class SlippageSchema(Schema):
    """What was paid beyond the last price, in basis points, and the seed it was drawn from."""

    slippage_bps = DecimalField(required=True)
    slippage_min_bps = DecimalField()
    slippage_max_bps = DecimalField()
    seed = fields.String()
    tick_size = DecimalField()


class AvailableSchema(Schema):
    """How much could be had: of what was ``asked``, at most ``most``, a part of the size that was ``available``."""

    asked = DecimalField(required=True)
    available = DecimalField()
    participation = DecimalField()
    lot_size = DecimalField()
    most = DecimalField()


class ChargeSchema(Schema):
    """The commission's schedule, and what the order had traded before this fill."""

    commission = fields.Nested(CommissionSchema, required=True)
    filled_before = DecimalField(required=True)
    value_before = DecimalField(required=True)


class RecomputedSchema(Schema):
    """The fill computed again from what was kept; ``equal`` compares it with what was stored, digit for digit."""

    price = DecimalField(required=True, allow_none=True)
    quantity = DecimalField(required=True, allow_none=True)
    commission = DecimalField(required=True, allow_none=True)
    slippage_bps = DecimalField(required=True, allow_none=True)
    equal = fields.Boolean(required=True)


class WhySchema(Schema):
    """Why an execution has its price, quantity and commission; parts that have no meaning for it are null."""

    execution = fields.Nested(ExecutionSchema, required=True)
    model = fields.String(required=True)
    rule = fields.String(required=True)
    text = fields.String(required=True)
    limit = DecimalField(required=True, allow_none=True)
    latency_ms = fields.Float(required=True, allow_none=True)
    maker = fields.UUID(required=True, allow_none=True)
    market = fields.Nested(MarketShownSchema, required=True, allow_none=True)
    slippage = fields.Nested(SlippageSchema, required=True, allow_none=True)
    available = fields.Nested(AvailableSchema, required=True, allow_none=True)
    charge = fields.Nested(ChargeSchema, required=True, allow_none=True)
    recomputed = fields.Nested(RecomputedSchema, required=True, allow_none=True)


class ExecutionWhyHandler(ApiHandler):
    """Why one fill is as it is."""

    @operation("Explain an execution", roles=TRADING_READERS, returns={200: WhySchema()})
    async def get(self, execution_id: str) -> None:
        """Explain it."""
        execution = await self.services.trading.execution(self.caller, as_id(execution_id))
        self.answer(explain(execution, all_orders=self.caller.reads_all))


routes = [(r"/api/v1/executions/([^/]+)/why/?", ExecutionWhyHandler)]
