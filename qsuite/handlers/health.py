"""Health as load balancers, orchestrators and people ask for it: from memory, without a login, at once.

``/health`` says what is the matter, ``/health/live`` only that the event loop turns (restart me if not),
``/health/ready`` that this process takes orders (send me work).
"""

from marshmallow import Schema, fields

from qsuite.domain.roles import ANYONE
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.operations import operation
from qsuite.services.health import State

TAG = "operations"


class ServicesSchema(Schema):
    """The state of each service."""

    database = fields.Enum(State, by_value=True, required=True)
    redis = fields.Enum(State, by_value=True, required=True)
    engine = fields.Enum(State, by_value=True, required=True)
    workers = fields.Enum(State, by_value=True, required=True)
    feed = fields.Enum(State, by_value=True, required=True)


class HealthSchema(Schema):
    """One reading."""

    status = fields.String(required=True, metadata={"enum": ["ok", "degraded", "down"]})
    services = fields.Nested(ServicesSchema, required=True)


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
    )
    def get(self) -> None:
        health = self.services.health.now
        services = {name: state.value for name, state in health.services.items()}
        self.answer({"status": health.status, "services": services}, 200 if health.serves else 503)


class LiveHandler(ApiHandler):
    """``/health/live``."""

    @operation("The process answers", roles=ANYONE, returns={200: StatusSchema()}, tag=TAG)
    def get(self) -> None:
        self.answer({"status": "live"})


class ReadyHandler(ApiHandler):
    """``/health/ready``."""

    @operation(
        "This process takes orders; 503 while it starts, stops, stands by or lacks its database",
        roles=ANYONE,
        returns={200: StatusSchema(), 503: StatusSchema()},
        tag=TAG,
    )
    def get(self) -> None:
        ready = self.services.health.ready
        self.answer({"status": "ready" if ready else "not ready"}, 200 if ready else 503)


routes = [
    (r"/health/?", HealthHandler),
    (r"/health/live/?", LiveHandler),
    (r"/health/ready/?", ReadyHandler),
]
