"""Health as load balancers, orchestrators and people ask for it: from memory, without a login, at once.

``/health`` says what is the matter, ``/health/live`` only that the event loop turns (restart me if not),
``/health/ready`` that this process takes orders, or as a gateway readers (send me work).
"""

from marshmallow import Schema, fields

from qsuite.domain.roles import ANYONE
from qsuite.domain.throttling import ThrottleScope
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.operations import operation
from qsuite.services.health import Record, State

TAG = "operations"


class ServicesSchema(Schema):
    """The state of each service."""

    database = fields.Enum(State, by_value=True, required=True)
    redis = fields.Enum(State, by_value=True, required=True)
    engine = fields.Enum(State, by_value=True, required=True)
    workers = fields.Enum(State, by_value=True, required=True)
    feed = fields.Enum(State, by_value=True, required=True)
    disk = fields.Enum(State, by_value=True, required=True)
    clock = fields.Enum(State, by_value=True, required=True)


class StreamSourceSchema(Schema):
    """Where the stream's messages come from, and how long the newest ones were under way."""

    source = fields.String(required=True, metadata={"enum": ["engine", "redis", "database"]})
    lag_ms = fields.Float(required=True, allow_none=True)


class HealthSchema(Schema):
    """One reading."""

    status = fields.String(required=True, metadata={"enum": ["ok", "degraded", "down"]})
    role = fields.String(required=True, metadata={"enum": ["all", "gateway"]})
    services = fields.Nested(ServicesSchema, required=True)
    stream = fields.Nested(StreamSourceSchema, required=True)
    audit = fields.Enum(Record, by_value=True, required=True)


class StatusSchema(Schema):
    """One word."""

    status = fields.String(required=True)


class HealthHandler(ApiHandler):
    """``/health``."""

    @operation(
        "State of each service; 503 when orders cannot be taken",
        roles=ANYONE,
        returns={200: HealthSchema(), 503: HealthSchema()},
        tag=TAG,
        scope=ThrottleScope.FREE,
    )
    def get(self) -> None:
        health = self.services.health.now
        services = {name: state.value for name, state in health.services.items()}
        lag_s = health.stream.lag_s
        stream = {"source": health.stream.name, "lag_ms": None if lag_s is None else round(lag_s * 1000, 1)}
        told = {"status": health.status, "role": health.role, "services": services, "stream": stream}
        self.answer(told | {"audit": health.audit.value}, 200 if health.serves else 503)


class LiveHandler(ApiHandler):
    """``/health/live``."""

    @operation("The process answers", roles=ANYONE, returns={200: StatusSchema()}, tag=TAG, scope=ThrottleScope.FREE)
    def get(self) -> None:
        self.answer({"status": "live"})


class ReadyHandler(ApiHandler):
    """``/health/ready``."""

    @operation(
        "This process takes orders, a gateway readers; 503 while it starts, stops, stands by or lacks its database",
        roles=ANYONE,
        returns={200: StatusSchema(), 503: StatusSchema()},
        tag=TAG,
        scope=ThrottleScope.FREE,
    )
    def get(self) -> None:
        ready = self.services.health.ready
        self.answer({"status": "ready" if ready else "not ready"}, 200 if ready else 503)


routes = [
    (r"/health/?", HealthHandler),
    (r"/health/live/?", LiveHandler),
    (r"/health/ready/?", ReadyHandler),
]
