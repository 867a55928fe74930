"""Tickers over HTTP: what can be traded, what it costs, what its stored bars amount to.

``{id}`` is a ticker's id or its symbol.
"""

from marshmallow import fields, validate

from qsuite.domain.roles import ADMINS, EVERY_ROLE
from qsuite.domain.times import format_rfc3339
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.fields import InstantField
from qsuite.handlers.listing import COMPARISONS, EQUALITY, ListingSpec
from qsuite.handlers.operations import operation
from qsuite.handlers.reference_schemas import (
    MODES,
    LatestPriceSchema,
    StatisticsQuerySchema,
    StatisticsSchema,
    TickerInputSchema,
    TickerSchema,
    shown_ticker,
)

TICKERS = ListingSpec(
    filters={
        "symbol": (fields.String(), EQUALITY),
        "currency": (fields.String(), EQUALITY),
        "data_source": (fields.UUID(), EQUALITY),
        "is_active": (fields.Boolean(), ("eq",)),
        "execution_mode": (fields.String(validate=validate.OneOf(MODES)), EQUALITY),
        "calendar": (fields.String(), EQUALITY),
        "created_at": (InstantField(), COMPARISONS),
    },
    search=True,
    orderings=("symbol", "name", "created_at"),
    default_order=("symbol",),
)


class TickersHandler(ApiHandler):
    """All tickers."""

    @operation("List tickers", roles=EVERY_ROLE, listing=TICKERS, returns={200: TickerSchema()})
    async def get(self) -> None:
        """List them."""
        page = await self.services.reference.list_tickers(self.listing())
        self.answer_page(page, [shown_ticker(ticker) for ticker in page.items])

    @operation("Add a ticker", roles=ADMINS, body=TickerInputSchema(), returns={201: TickerSchema()}, raises=(409,))
    async def post(self) -> None:
        """Add one."""
        ticker = await self.services.reference.create_ticker(self.body)
        self.set_header("Location", f"/api/v1/tickers/{ticker.id}/")
        self.answer_resource(shown_ticker(ticker), ticker.version, 201)


class TickerHandler(ApiHandler):
    """One ticker."""

    @operation("Show a ticker", roles=EVERY_ROLE, returns={200: TickerSchema()})
    async def get(self, name: str) -> None:
        """Show it."""
        ticker = self.services.reference.require(name)
        self.answer_resource(shown_ticker(ticker), ticker.version)

    @operation(
        "Replace a ticker; its symbol stays",
        roles=ADMINS,
        body=TickerInputSchema(),
        returns={200: TickerSchema()},
        raises=(409, 412),
    )
    async def put(self, name: str) -> None:
        """Replace it."""
        await self._change(name)

    @operation(
        "Change fields of a ticker; its symbol stays",
        roles=ADMINS,
        body=TickerInputSchema(partial=True),
        returns={200: TickerSchema()},
        raises=(409, 412),
    )
    async def patch(self, name: str) -> None:
        """Change it."""
        await self._change(name)

    @operation(
        "Delete a ticker that no prices or orders refer to", roles=ADMINS, returns={204: None}, raises=(409, 412)
    )
    async def delete(self, name: str) -> None:
        """Delete it."""
        known = self.services.reference.require(name)
        await self.services.reference.delete_ticker(name, self.expected_version(known.id))
        self.answer_nothing()

    async def _change(self, name: str) -> None:
        reference = self.services.reference
        version = self.expected_version(reference.require(name).id)
        ticker = await reference.change_ticker(name, self.body, version)
        self.answer_resource(shown_ticker(ticker), ticker.version)


class LatestPriceHandler(ApiHandler):
    """What a ticker costs now."""

    @operation(
        "Show the last price; 404 with the code ticker.no_price before the first",
        roles=EVERY_ROLE,
        returns={200: LatestPriceSchema()},
    )
    async def get(self, name: str) -> None:
        """Show it."""
        found = self.services.market.latest_price(self.services.reference.require(name).symbol)
        self.answer(
            {
                "symbol": found.symbol,
                "price": found.price,
                "bid": found.bid,
                "ask": found.ask,
                "timestamp": format_rfc3339(found.ts_ns),
                "source": found.source,
                "stale": found.mark.stale,
                "suspect": found.mark.suspect,
            }
        )


class StatisticsHandler(ApiHandler):
    """What a ticker's stored bars amount to."""

    @operation(
        "Describe the stored bars of a ticker, of all intervals unless one is given",
        roles=EVERY_ROLE,
        query=StatisticsQuerySchema(),
        returns={200: StatisticsSchema()},
    )
    async def get(self, name: str) -> None:
        """Describe them."""
        symbol = self.services.reference.require(name).symbol
        interval = self.query.get("interval")
        records = self.services.records
        found = await records.statistics(symbol, interval, self.query.get("start"), self.query.get("end"))
        self.answer(
            {
                "symbol": symbol,
                "interval": interval,
                "intervals": await records.intervals(symbol),
                "record_count": found.record_count,
                "avg_close": found.avg_close,
                "max_high": found.max_high,
                "min_low": found.min_low,
                "avg_volume": found.avg_volume,
                "total_volume": found.total_volume,
                "last_close": found.last_close,
                "first_timestamp": None if found.first_ns is None else format_rfc3339(found.first_ns),
                "last_timestamp": None if found.last_ns is None else format_rfc3339(found.last_ns),
            }
        )


routes = [
    (r"/api/v1/tickers/?", TickersHandler),
    (r"/api/v1/tickers/([^/]+)/?", TickerHandler),
    (r"/api/v1/tickers/([^/]+)/latest_price/?", LatestPriceHandler),
    (r"/api/v1/tickers/([^/]+)/statistics/?", StatisticsHandler),
]
