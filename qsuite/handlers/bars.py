"""Bars of any interval over HTTP, made from stored bars and ticks."""

from marshmallow import Schema, fields, validate

from qsuite.domain.errors import Invalid
from qsuite.domain.roles import EVERY_ROLE
from qsuite.handlers.listing import ListingSpec
from qsuite.handlers.market_fields import EdgeField, IntervalField
from qsuite.handlers.market_schemas import MadeBarSchema, shown_made_bar
from qsuite.handlers.market_tables import BARS
from qsuite.handlers.operations import JSON, operation
from qsuite.handlers.rows import ROW_TYPES, RowsHandler
from qsuite.services.price_history import BarsAsked


class BarsQuerySchema(Schema):
    """Which bars: those that start at ``start`` or later and before ``end``, from trades or one side of the quotes."""

    symbol = fields.String(required=True)
    interval = IntervalField(load_default="1d")
    start = EdgeField()
    end = EdgeField()
    side = fields.String(load_default="trade", validate=validate.OneOf(("trade", "bid", "ask", "mid")))
    adjusted = fields.Boolean(
        load_default=False,
        metadata={
            "description": (
                "Prices times adjusted_close / close, larger bars made of such ones; volume stays. Bars without an "
                "adjusted close, such as those made of ticks, stay as they are"
            )
        },
    )


class BarsHandler(RowsHandler):
    """Bars of one symbol."""

    @operation(
        "List a symbol's bars by time; pages of JSON by cursor, or the whole range as NDJSON, CSV or Arrow by Accept",
        roles=EVERY_ROLE,
        query=BarsQuerySchema(),
        listing=ListingSpec(cursor=True),
        returns={200: MadeBarSchema()},
        shows=ROW_TYPES,
    )
    async def get(self) -> None:
        """List them."""
        asked, listing = self.query, self.listing()
        cursor = self.cursor_only("bars")
        symbol = self.services.reference.require(asked["symbol"]).symbol
        if asked["adjusted"] and asked["side"] != "trade":
            raise Invalid("the query string has errors", errors={"adjusted": ["bars of quotes are not adjusted"]})
        bounds = asked.get("start"), asked.get("end")
        wanted = BarsAsked(symbol, asked["interval"], *bounds, asked["side"], asked["adjusted"])
        if self.shown_as != JSON:
            await self.answer_rows(self.services.history.bar_batches(wanted), BARS)
            return
        page = await self.services.history.bars(wanted, page_size=listing.page_size, cursor=cursor)
        self.answer_page(page, [shown_made_bar(bar) for bar in page.items])


routes = [(r"/api/v1/bars/?", BarsHandler)]
