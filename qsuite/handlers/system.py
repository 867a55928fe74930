"""``/api/v1/system-metrics/``: how busy the system is."""

from marshmallow import Schema, fields

from qsuite.domain.roles import EVERY_ROLE
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.operations import operation


class StoredSchema(Schema):
    """How much is stored; null while it could not be counted."""

    market_data_records = fields.Integer(allow_none=True)
    total_orders = fields.Integer(allow_none=True)
    ticks = fields.Integer(allow_none=True)


class PerformanceSchema(Schema):
    """Orders of the last minute, and how long they took from the receipt of their request to its durable answer.

    Null where none was answered in that minute. Percentiles are estimated within steps of a tenth of a decade.
    """

    orders_per_minute = fields.Integer()
    avg_execution_latency_ms = fields.Float(allow_none=True)
    p50_ms = fields.Float(allow_none=True)
    p99_ms = fields.Float(allow_none=True)


class EngineSchema(Schema):
    """The engine: batches committed since the start, size of the last one, commands waiting."""

    batches = fields.Integer()
    batch_size = fields.Integer()
    queue = fields.Integer()


class StreamsSchema(Schema):
    """The stream."""

    clients = fields.Integer()
    messages_per_second = fields.Float()


class SystemMetricsSchema(Schema):
    """All of it."""

    database = fields.Nested(StoredSchema)
    performance = fields.Nested(PerformanceSchema)
    engine = fields.Nested(EngineSchema)
    streams = fields.Nested(StreamsSchema)
    timestamp = fields.String()


class SystemMetricsHandler(ApiHandler):
    """``/api/v1/system-metrics/``."""

    @operation(
        "How busy the system is",
        roles=EVERY_ROLE,
        returns={200: SystemMetricsSchema()},
        tag="operations",
    )
    async def get(self) -> None:
        self.answer(await self.services.system.now())


routes = [(r"/api/v1/system-metrics/?", SystemMetricsHandler)]
