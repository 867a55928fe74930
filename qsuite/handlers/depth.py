"""Depth of a ticker's market over HTTP: the price levels of its book, or the last quote where there is none."""

from marshmallow import Schema, fields, validate

from qsuite.domain.roles import EVERY_ROLE
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.fields import InstantField
from qsuite.handlers.operations import operation

MOST_LEVELS = 1_000


class DepthQuerySchema(Schema):
    """How many levels of each side are shown."""

    levels = fields.Integer(load_default=20, validate=validate.Range(1, MOST_LEVELS))


class DepthSchema(Schema):
    """Bids and asks, best first, each [price, quantity, orders]; what nobody knows is null."""

    symbol = fields.String(required=True)
    ts = InstantField(required=True)
    bids = fields.List(fields.List(fields.Raw(allow_none=True)), required=True)
    asks = fields.List(fields.List(fields.Raw(allow_none=True)), required=True)


class DepthHandler(ApiHandler):
    """What stands in a ticker's market now."""

    @operation(
        "Show the best price levels of a ticker's market",
        roles=EVERY_ROLE,
        query=DepthQuerySchema(),
        returns={200: DepthSchema()},
    )
    async def get(self, name: str) -> None:
        """Show them."""
        self.answer(await self.services.depth.show(name, self.query["levels"]))


routes = [(r"/api/v1/tickers/([^/]+)/depth/?", DepthHandler)]
