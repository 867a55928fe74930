"""A small API on the real base and server, with services made by hand: the base is tested on it alone."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

from marshmallow import Schema, fields, validate

from qsuite.domain.errors import Conflict, NotFound, OutcomeUnknown, Unauthenticated
from qsuite.domain.listing import Page
from qsuite.domain.roles import ANYONE, EVERY_ROLE, TRADERS, Caller, Role
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.fields import DecimalField, InstantField
from qsuite.handlers.listing import COMPARISONS, EQUALITY, ListingSpec
from qsuite.handlers.operations import CSV, JSON, operation
from qsuite.handlers.routes import Route, make_application
from qsuite.handlers.server import ApiServer
from qsuite.services.audit_trail import AuditTrail
from qsuite.services.metrics import Metrics
from qsuite.services.throttle import Throttle
from qsuite.settings import HttpSettings, load_settings

THING = UUID(int=7)


class FakeAuth:
    """Know one token per role, named after it; ``slow`` ones are not remembered but can be verified."""

    def remembered(self, header: str) -> Caller | None:
        token = header.removeprefix("Bearer ")
        return self._caller(token) if token in list(Role) else None

    async def authenticate(self, header: str) -> Caller:
        await asyncio.sleep(0)
        kind, _, role = header.removeprefix("Bearer ").partition("-")
        if kind != "slow":
            raise Unauthenticated("the token is not valid")
        return self._caller(role)

    def _caller(self, role: str) -> Caller:
        return Caller(UUID(int=1), role, Role(role))


class ThingSchema(Schema):
    name = fields.String(required=True, validate=validate.Length(max=20))
    price = DecimalField(above=0)
    count = fields.Integer(strict=True, validate=validate.Range(0, 100))
    at = InstantField()
    tags = fields.List(fields.String(), validate=validate.Length(max=3))
    inner = fields.Nested(lambda: InnerSchema())


class InnerSchema(Schema):
    flag = fields.Boolean(required=True, truthy={True}, falsy={False})


class EchoHandler(ApiHandler):
    @operation("Echo", roles=TRADERS, body=ThingSchema(), returns={200: ThingSchema()})
    def post(self) -> None:
        self.answer(ThingSchema().dump(self.body))


class BulkHandler(ApiHandler):
    @operation("Count", roles=ANYONE, media=(JSON, CSV), bulk=True, returns={200: None})
    def post(self) -> None:
        self.answer({"media": self.media, "bytes": len(self.request.body)})


class ThingHandler(ApiHandler):
    """One thing, whose version is 3."""

    @operation("Read", roles=EVERY_ROLE, returns={200: ThingSchema()})
    def get(self, thing: str) -> None:
        if thing != str(THING):
            raise NotFound(f"no thing {thing}")
        self.answer_resource({"id": THING, "name": "one", "price": Decimal("1E+3")}, 3)

    @operation("Change", roles=TRADERS, body=ThingSchema(partial=True), returns={200: ThingSchema()}, raises=(412,))
    async def patch(self, thing: str) -> None:
        await asyncio.sleep(0)
        self.require_match(THING, 3)
        self.answer_resource({"id": THING, "expected": self.expected_version(THING)}, 4)


class ThingsHandler(ApiHandler):
    @operation(
        "List",
        roles=ANYONE,
        listing=ListingSpec(
            filters={"name": (fields.String(), EQUALITY), "price": (DecimalField(), COMPARISONS)},
            search=True,
            orderings=("name", "price"),
            default_order=("-price",),
            cursor=True,
        ),
        returns={200: ThingSchema()},
    )
    def get(self) -> None:
        listing = self.listing()
        page: Page[Any] = Page([], 250, has_next=listing.page < 3)
        if listing.cursor is not None:
            page = Page([], None, next_cursor=f"{listing.cursor}+", has_next=True)
        self.answer_page(page, [repr(listing.conditions), listing.search, listing.order])


class FailingHandler(ApiHandler):
    @operation("Fail", roles=ANYONE, returns={200: None})
    def get(self, how: str) -> None:
        if how == "unexpected":
            raise RuntimeError("the secret is swordfish")
        if how == "unknown":
            raise OutcomeUnknown("ask again", id="o-1", status=200)
        if how == "large":
            self.answer({"text": "x" * 20_000_000})
            return
        raise Conflict("it is there", code="thing.there", value=Decimal("1.50"))


class WaitingHandler(ApiHandler):
    """Answer when the test says so."""

    release = asyncio.Event()
    waiting = 0

    @operation("Wait", roles=ANYONE, returns={200: None})
    async def get(self) -> None:
        WaitingHandler.waiting += 1
        await WaitingHandler.release.wait()
        WaitingHandler.waiting -= 1
        self.answer({"done": True, "ip": self.request.remote_ip, "scheme": self.request.protocol})


class WhoHandler(ApiHandler):
    @operation("Who asks", roles=ANYONE, returns={200: None})
    def get(self) -> None:
        self.answer({"ip": self.request.remote_ip, "scheme": self.request.protocol})


SMALL_ROUTES = [
    Route("/echo/?", EchoHandler),
    Route("/bulk/?", BulkHandler),
    Route("/things/?", ThingsHandler),
    Route("/things/([^/]+)/?", ThingHandler),
    Route("/fail/([^/]+)/?", FailingHandler),
    Route("/wait/?", WaitingHandler),
    Route("/who/?", WhoHandler),
]


@asynccontextmanager
async def small_server(
    limits: HttpSettings, routes: Iterable[Route] = SMALL_ROUTES, *, throttle: Throttle | None = None
) -> AsyncIterator[ApiServer]:
    """Serve the small API on a free port."""
    WaitingHandler.release.clear()
    throttle = throttle or Throttle(load_settings({"QSUITE_PROFILE": "test"}, dotenv=None).throttle)
    services: Any = SimpleNamespace(
        auth=FakeAuth(),
        settings=SimpleNamespace(http=limits),
        throttle=throttle,
        audit=AuditTrail(cast(Any, None)),
        metrics=Metrics(),
        traces=None,
    )
    server = ApiServer(make_application(services, routes=routes), limits)
    server.listen(0, "127.0.0.1")
    try:
        yield server
    finally:
        await server.drain(0)
