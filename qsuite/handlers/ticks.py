"""Trades and quotes over HTTP: taken in from feeds, read back in order."""

from marshmallow import Schema, fields, validate

from qsuite.domain.roles import ADMINS, EVERY_ROLE
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.listing import ListingSpec
from qsuite.handlers.market_fields import EdgeField
from qsuite.handlers.market_schemas import AcceptedSchema, TickSchema, shown_errors, shown_tick
from qsuite.handlers.operations import ARROW, CSV, JSON, NDJSON, operation
from qsuite.services.price_history import TicksAsked


class TicksQuerySchema(Schema):
    """Whose ticks: ``start`` and later, before ``end``."""

    symbol = fields.String(required=True)
    start = EdgeField()
    end = EdgeField()
    kind = fields.String(validate=validate.OneOf(("trade", "quote")))


class TicksHandler(ApiHandler):
    """Ticks of one symbol."""

    @operation(
        "List a symbol's ticks by time",
        roles=EVERY_ROLE,
        query=TicksQuerySchema(),
        listing=ListingSpec(cursor=True),
        returns={200: TickSchema()},
    )
    async def get(self) -> None:
        """List them."""
        asked, listing = self.query, self.listing()
        symbol = self.services.reference.require(asked["symbol"]).symbol
        page = await self.services.history.ticks(
            TicksAsked(symbol, asked.get("start"), asked.get("end"), asked.get("kind")),
            page=listing.page,
            page_size=listing.page_size,
            cursor=listing.cursor,
        )
        self.answer_page(page, [shown_tick(tick) for tick in page.items])

    @operation(
        "Make ticks the live market; answered when they are durably stored",
        roles=ADMINS,
        returns={200: AcceptedSchema()},
        media=(JSON, NDJSON, CSV, ARROW),
        bulk=True,
    )
    async def post(self) -> None:
        """Take them in."""
        result = await self.services.ingest.take(self.request.body, self.media)
        self.answer({"accepted": result.created, "rejected": result.rejected, "errors": shown_errors(result)})


routes = [(r"/api/v1/ticks/?", TicksHandler)]
