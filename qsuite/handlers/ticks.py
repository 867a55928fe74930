"""Trades and quotes over HTTP: taken in from feeds, read back in order, by the page or all of a range at once."""

from marshmallow import Schema, fields, validate

from qsuite.domain.errors import Invalid
from qsuite.domain.roles import ADMINS, EVERY_ROLE
from qsuite.domain.throttling import ThrottleScope
from qsuite.handlers.listing import ListingSpec
from qsuite.handlers.market_fields import EdgeField
from qsuite.handlers.market_schemas import AcceptedSchema, TickSchema, shown_errors, shown_quoted_trade, shown_tick
from qsuite.handlers.market_tables import QUOTED_TRADES, tick_table
from qsuite.handlers.operations import ARROW, CSV, JSON, NDJSON, operation
from qsuite.handlers.row_formats import tick_writer
from qsuite.handlers.rows import ROW_TYPES, RowsHandler
from qsuite.services.price_history import TicksAsked
from qsuite.services.quoted_trades import QuotedTradesAsked

QUOTE, EARLIER_QUOTE = ASOF = ("quote", "earlier_quote")


class TicksQuerySchema(Schema):
    """Whose ticks: ``start`` and later, before ``end``."""

    symbol = fields.String(required=True)
    start = EdgeField()
    end = EdgeField()
    kind = fields.String(validate=validate.OneOf(("trade", "quote")))
    asof = fields.String(
        validate=validate.OneOf(ASOF),
        metadata={
            "description": (
                "Trades only, each with the quote that prevailed: `quote`, the last one at the trade's own time or "
                "earlier; `earlier_quote`, the last one strictly earlier. None older than seven days; pages by cursor"
            )
        },
    )


class TicksHandler(RowsHandler):
    """Ticks of one symbol."""

    @operation(
        "List a symbol's ticks by time; pages of JSON, or the whole range as NDJSON, CSV or Arrow by Accept",
        roles=EVERY_ROLE,
        query=TicksQuerySchema(),
        listing=ListingSpec(cursor=True),
        returns={200: TickSchema()},
        shows=ROW_TYPES,
    )
    async def get(self) -> None:
        """List them."""
        asked, listing = self.query, self.listing()
        symbol = self.services.reference.require(asked["symbol"]).symbol
        if "asof" in asked:
            await self._quoted_trades(symbol)
            return
        wanted = TicksAsked(symbol, asked.get("start"), asked.get("end"), asked.get("kind"))
        table = tick_table(wanted.kind)
        if self.shown_as == ARROW:
            await self.answer_batches(self.services.history.tick_runs(wanted), lambda: tick_writer(table))
            return
        if self.shown_as != JSON:
            await self.answer_rows(self.services.history.tick_batches(wanted), table)
            return
        page = await self.services.history.ticks(
            wanted, page=listing.page, page_size=listing.page_size, cursor=listing.cursor
        )
        self.answer_page(page, [shown_tick(tick) for tick in page.items])

    async def _quoted_trades(self, symbol: str) -> None:
        asked, listing = self.query, self.listing()
        if asked.get("kind") == "quote":
            raise Invalid("the query string has errors", errors={"asof": ["quotes are given to trades"]})
        wanted = QuotedTradesAsked(symbol, asked.get("start"), asked.get("end"), asked["asof"] == EARLIER_QUOTE)
        quoted = self.services.quoted_trades
        if self.shown_as != JSON:
            await self.answer_rows(quoted.batches(wanted), QUOTED_TRADES)
            return
        page = await quoted.page(wanted, page_size=listing.page_size, cursor=self.cursor_only("trades with quotes"))
        self.answer_page(page, [shown_quoted_trade(each) for each in page.items])

    @operation(
        "Make ticks the live market; answered when they are durably stored",
        roles=ADMINS,
        returns={200: AcceptedSchema()},
        media=(JSON, NDJSON, CSV, ARROW),
        bulk=True,
        scope=ThrottleScope.MARKET_DATA,
    )
    async def post(self) -> None:
        """Take them in."""
        result = await self.services.ingest.take(self.request.body, self.media)
        self.answer({"accepted": result.created, "rejected": result.rejected, "errors": shown_errors(result)})


routes = [(r"/api/v1/ticks/?", TicksHandler)]
