"""Indicators over HTTP: plain numbers, since statistics are not money."""

from marshmallow import Schema, fields, validate

from qsuite.domain.analytics.catalog import FAMILIES
from qsuite.domain.errors import Invalid
from qsuite.domain.roles import EVERY_ROLE
from qsuite.domain.times import format_rfc3339
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.fields import InstantField
from qsuite.handlers.market_fields import EdgeField, IntervalField
from qsuite.handlers.operations import operation
from qsuite.services.price_history import BarsAsked

NAMES_MAX = 25
LIMIT, LIMIT_MAX = 500, 10_000
NAMES = "; ".join(
    "_".join([family.name, *(parameter.name.upper() for parameter in family.parameters)]) + f": {family.title}"
    for family in FAMILIES.values()
)


class IndicatorsQuerySchema(Schema):
    """Which indicators of which bars: the newest ``limit`` that are closed, or the first from ``start`` on."""

    names = fields.String(
        required=True,
        validate=validate.Length(1, 400),
        metadata={"description": f"Comma-separated, such as sma_20,macd_12_26_9. {NAMES}", "example": "sma_20,rsi_14"},
    )
    interval = IntervalField(load_default="1d")
    start = EdgeField()
    end = EdgeField()
    limit = fields.Integer(load_default=LIMIT, validate=validate.Range(1, LIMIT_MAX))
    adjusted = fields.Boolean(load_default=False, metadata={"description": "As in `bars/`"})


class IndicatorsSchema(Schema):
    """The starts of bars, and for each name a number or null at each of them."""

    symbol = fields.String(required=True)
    interval = fields.String(required=True)
    timestamps = fields.List(InstantField(), required=True)
    values = fields.Dict(
        keys=fields.String(), values=fields.List(fields.Float(allow_none=True), required=True), required=True
    )
    next = InstantField(
        required=True,
        allow_none=True,
        metadata={"description": "With `start`: where the next answer begins, null at the end"},
    )


class IndicatorsHandler(ApiHandler):
    """Indicators of one symbol."""

    @operation(
        "Compute indicators at closed bars; null where there are too few bars before one",
        roles=EVERY_ROLE,
        query=IndicatorsQuerySchema(),
        returns={200: IndicatorsSchema()},
    )
    async def get(self, symbol: str) -> None:
        """Compute them."""
        asked = self.query
        names = list(dict.fromkeys(name.strip() for name in asked["names"].split(",")))
        if len(names) > NAMES_MAX:
            raise Invalid("the query string has errors", errors={"names": [f"at most {NAMES_MAX}"]})
        wanted = BarsAsked(
            self.services.reference.require(symbol).symbol,
            asked["interval"],
            asked.get("start"),
            asked.get("end"),
            adjusted=asked["adjusted"],
        )
        found = await self.services.indicators.values(wanted, names, asked["limit"])
        self.answer(
            {
                "symbol": wanted.symbol,
                "interval": wanted.interval,
                "timestamps": [format_rfc3339(ts_ns) for ts_ns in found.starts_ns],
                "values": found.values,
                "next": None if found.next_ns is None else format_rfc3339(found.next_ns),
            }
        )


routes = [(r"/api/v1/indicators/([^/]+)/?", IndicatorsHandler)]
