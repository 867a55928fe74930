"""Stored bars over HTTP, one by one and in bulk, and the last five minutes of the market."""

from collections.abc import Iterator
from typing import Any

from marshmallow import fields

from qsuite.domain.roles import ADMINS, EVERY_ROLE
from qsuite.domain.throttling import ThrottleScope
from qsuite.domain.times import format_rfc3339
from qsuite.handlers.auth import uuid_of
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.fields import InstantField
from qsuite.handlers.listing import COMPARISONS, EQUALITY, ListingSpec
from qsuite.handlers.market_fields import IntervalField
from qsuite.handlers.market_schemas import (
    BulkSchema,
    FeedSchema,
    MarketDataInputSchema,
    MarketDataSchema,
    shown_bar,
    shown_errors,
    shown_record,
)
from qsuite.handlers.market_tables import RECORDS
from qsuite.handlers.operations import ARROW, CSV, JSON, NDJSON, operation
from qsuite.handlers.rows import ROW_TYPES, RowsHandler

ABSENT = "no such bar"

MARKET_DATA = ListingSpec(
    filters={
        "ticker": (fields.String(), EQUALITY),
        "symbol": (fields.String(), EQUALITY),
        "interval": (IntervalField(), EQUALITY),
        "timestamp": (InstantField(), COMPARISONS),
        "created_at": (InstantField(), COMPARISONS),
        "updated_at": (InstantField(), COMPARISONS),
    },
    orderings=("timestamp",),
    default_order=("-timestamp",),
    cursor=True,
)


class MarketDataHandler(RowsHandler):
    """All stored bars."""

    @operation(
        "List stored bars, newest first; pages of JSON, or all of them as NDJSON, CSV or Arrow by Accept",
        roles=EVERY_ROLE,
        listing=MARKET_DATA,
        returns={200: MarketDataSchema()},
        shows=ROW_TYPES,
    )
    async def get(self) -> None:
        """List them."""
        if self.shown_as != JSON:
            await self.answer_rows(self.services.records.batches(self.listing()), RECORDS)
            return
        page = await self.services.records.page(self.listing())
        self.answer_page(page, [shown_record(record) for record in page.items])

    @operation(
        "Store a bar",
        roles=ADMINS,
        body=MarketDataInputSchema(),
        returns={201: MarketDataSchema()},
        raises=(409,),
        scope=ThrottleScope.MARKET_DATA,
    )
    async def post(self) -> None:
        """Store one."""
        record = await self.services.records.create(self.body)
        self.set_header("Location", f"/api/v1/market-data/{record.id}/")
        self.answer_resource(shown_record(record), record.version, 201)


class MarketRecordHandler(ApiHandler):
    """One stored bar."""

    @operation("Show a stored bar", roles=EVERY_ROLE, returns={200: MarketDataSchema()})
    async def get(self, record_id: str) -> None:
        """Show it."""
        record = await self.services.records.get(uuid_of(record_id, ABSENT))
        self.answer_resource(shown_record(record), record.version)

    @operation(
        "Replace a stored bar",
        roles=ADMINS,
        body=MarketDataInputSchema(),
        returns={200: MarketDataSchema()},
        raises=(409, 412),
    )
    async def put(self, record_id: str) -> None:
        """Replace it; what is not given is gone."""
        optional = dict.fromkeys(("adjusted_close", "vwap", "trades"))
        await self._change(record_id, {**optional, **self.body})

    @operation(
        "Change fields of a stored bar",
        roles=ADMINS,
        body=MarketDataInputSchema(partial=True),
        returns={200: MarketDataSchema()},
        raises=(409, 412),
    )
    async def patch(self, record_id: str) -> None:
        """Change it."""
        await self._change(record_id, self.body)

    @operation("Delete a stored bar", roles=ADMINS, returns={204: None}, raises=(412,))
    async def delete(self, record_id: str) -> None:
        """Delete it."""
        found = uuid_of(record_id, ABSENT)
        await self.services.records.delete(found, self.expected_version(found))
        self.answer_nothing()

    async def _change(self, record_id: str, values: dict[str, Any]) -> None:
        found = uuid_of(record_id, ABSENT)
        record = await self.services.records.change(found, values, self.expected_version(found))
        self.answer_resource(shown_record(record), record.version)


class BulkCreateHandler(ApiHandler):
    """Many bars in one body."""

    @operation(
        "Store the bars of a JSON array, NDJSON, CSV or Arrow stream; the same body again changes nothing",
        roles=ADMINS,
        returns={200: BulkSchema()},
        media=(JSON, NDJSON, CSV, ARROW),
        bulk=True,
        scope=ThrottleScope.MARKET_DATA,
    )
    async def post(self) -> None:
        """Store them."""
        result = await self.services.records.bulk_create(self.request.body, self.media)
        self.answer(
            {
                "created": result.created,
                "unchanged": result.unchanged,
                "rejected": result.rejected,
                "errors": shown_errors(result),
            }
        )


class RealTimeFeedHandler(ApiHandler):
    """The last five minutes."""

    @operation(
        "Show the bars of the last five minutes: the live market's, by arrival, and stored ones, by their time",
        roles=EVERY_ROLE,
        returns={200: FeedSchema()},
    )
    async def get(self) -> None:
        """Show them."""
        data = [*self._live(), *await self._stored()]
        self.answer({"timestamp": format_rfc3339(self.services.market.now()), "count": len(data), "data": data})

    def _live(self) -> Iterator[dict[str, Any]]:
        for arrived in self.services.market.recent_bars():
            ticker = self.services.reference.ticker(arrived.bar.symbol)
            yield {
                "ticker": None if ticker is None else str(ticker.id),
                **shown_bar(arrived.bar),
                "final": arrived.bar.final,
                "received_at": format_rfc3339(arrived.at_ns),
            }

    async def _stored(self) -> list[dict[str, Any]]:
        return [
            {
                "ticker": str(record.ticker),
                **shown_bar(record.bar),
                "final": True,
                "received_at": format_rfc3339(record.created_at),
            }
            for record in await self.services.records.recent()
        ]


routes = [
    (r"/api/v1/market-data/?", MarketDataHandler),
    (r"/api/v1/market-data/bulk_create/?", BulkCreateHandler),
    (r"/api/v1/market-data/real_time_feed/?", RealTimeFeedHandler),
    (r"/api/v1/market-data/([^/]+)/?", MarketRecordHandler),
]
