"""What data sources and tickers look like over HTTP: one schema for what may be sent, one for what is shown."""

from decimal import Decimal
from typing import Any

from marshmallow import Schema, fields, validate

from qsuite.domain.money import show, show_all
from qsuite.domain.reference import ALWAYS_OPEN, DataSource, Ticker
from qsuite.domain.times import format_rfc3339
from qsuite.domain.trading.commission import Model
from qsuite.domain.trading.paper.rules import LIMIT_FILLS, MOST_LATENCY_MS, MOST_SLIPPAGE_BPS
from qsuite.handlers.fields import DecimalField, FlagField, InstantField
from qsuite.handlers.market_fields import SYMBOL, EdgeField, IntervalField

CODE = validate.Regexp(r"[a-z0-9][a-z0-9_.-]{0,63}\Z", error="1 to 64 lower case letters, digits or _ . -")
CALENDAR = validate.Regexp(r"[A-Za-z0-9_/]{1,32}\Z", error="the name of a calendar, such as 24/7 or XNYS")
CURRENCY = validate.Regexp(r"[A-Z][A-Z0-9]{1,9}\Z", error="a currency's code in capitals, such as USD")
MODES = ("paper", "book")  # how orders of a ticker are executed: against the market, or among users


def _text(most: int, **kwargs: Any) -> fields.String:
    return fields.String(validate=validate.Length(0, most), **kwargs)


# -- data sources ---------------------------------------------------------------------------------------------------


class DataSourceInputSchema(Schema):
    """A data source as it is sent; ``code`` is unique, in lower case."""

    name = fields.String(required=True, validate=validate.Length(1, 200))
    code = fields.String(required=True, validate=CODE)
    url = _text(2_000, load_default="")
    is_active = FlagField(load_default=True)


class DataSourceSchema(Schema):
    """A data source."""

    id = fields.UUID(required=True)
    name = fields.String(required=True)
    code = fields.String(required=True)
    url = fields.String(required=True)
    is_active = fields.Boolean(required=True)
    created_at = InstantField(required=True)
    updated_at = InstantField(required=True)
    version = fields.Integer(required=True)


def shown_data_source(source: DataSource) -> dict[str, Any]:
    """Show a data source."""
    return {
        "id": str(source.id),
        "name": source.name,
        "code": source.code,
        "url": source.url,
        "is_active": source.is_active,
        "created_at": format_rfc3339(source.created_at),
        "updated_at": format_rfc3339(source.updated_at),
        "version": source.version,
    }


# -- tickers --------------------------------------------------------------------------------------------------------


class TierSchema(Schema):
    """What each unit costs until an order has traded ``up_to`` units; the last tier has no end."""

    up_to = DecimalField(above=0)
    per_share = DecimalField(required=True, least=0)


class CommissionSchema(Schema):
    """What an order costs: by the unit, in per cent of its value, or by the unit in tiers; never rounded."""

    model = fields.Enum(Model, required=True, by_value=fields.String)
    per_share = DecimalField(least=0)
    percent = DecimalField(least=0)
    tiers = fields.List(fields.Nested(TierSchema), validate=validate.Length(1, 50))
    minimum = DecimalField(least=0)
    maximum = DecimalField(least=0)


class FillSchema(Schema):
    """What a ticker changes of how paper orders fill."""

    limit_fill = fields.String(validate=validate.OneOf(LIMIT_FILLS))
    participation = DecimalField(above=0, most=1)
    slippage_min_bps = DecimalField(least=0, most=MOST_SLIPPAGE_BPS)
    slippage_max_bps = DecimalField(least=0, most=MOST_SLIPPAGE_BPS)
    latency_ms = DecimalField(least=0, most=MOST_LATENCY_MS)


class TickerInputSchema(Schema):
    """A ticker as it is sent. The symbol never changes afterwards."""

    symbol = fields.String(required=True, validate=SYMBOL)
    name = fields.String(required=True, validate=validate.Length(1, 200))
    description = _text(2_000, load_default="")
    currency = fields.String(load_default="USD", validate=CURRENCY)
    data_source = fields.UUID(allow_none=True, load_default=None)
    is_active = FlagField(load_default=True)
    restricted = FlagField(load_default=False)
    tick_size = DecimalField(above=0, load_default=Decimal("0.01"))
    lot_size = DecimalField(above=0, load_default=Decimal(1))
    execution_mode = fields.String(load_default="paper", validate=validate.OneOf(MODES))
    calendar = fields.String(load_default=ALWAYS_OPEN, validate=CALENDAR)
    commission = fields.Nested(CommissionSchema, allow_none=True, load_default=None)
    fill = fields.Nested(FillSchema, allow_none=True, load_default=None)


class TickerSchema(Schema):
    """A ticker."""

    id = fields.UUID(required=True)
    symbol = fields.String(required=True)
    name = fields.String(required=True)
    description = fields.String(required=True)
    currency = fields.String(required=True)
    data_source = fields.UUID(required=True, allow_none=True)
    is_active = fields.Boolean(required=True)
    restricted = fields.Boolean(required=True)
    tick_size = DecimalField(required=True)
    lot_size = DecimalField(required=True)
    execution_mode = fields.String(required=True, validate=validate.OneOf(MODES))
    calendar = fields.String(required=True)
    commission = fields.Nested(CommissionSchema, required=True, allow_none=True)
    fill = fields.Nested(FillSchema, required=True, allow_none=True)
    created_at = InstantField(required=True)
    updated_at = InstantField(required=True)
    version = fields.Integer(required=True)


def shown_ticker(ticker: Ticker) -> dict[str, Any]:
    """Show a ticker."""
    return {
        "id": str(ticker.id),
        "symbol": ticker.symbol,
        "name": ticker.name,
        "description": ticker.description,
        "currency": ticker.currency,
        "data_source": None if ticker.data_source is None else str(ticker.data_source),
        "is_active": ticker.is_active,
        "restricted": ticker.restricted,
        "tick_size": show(ticker.tick_size),
        "lot_size": show(ticker.lot_size),
        "execution_mode": ticker.execution_mode,
        "calendar": ticker.calendar,
        "commission": show_all(ticker.commission),
        "fill": show_all(ticker.fill),
        "created_at": format_rfc3339(ticker.created_at),
        "updated_at": format_rfc3339(ticker.updated_at),
        "version": ticker.version,
    }


class LatestPriceSchema(Schema):
    """What a ticker costs now; ``source`` says whether that is a trade, a quote's middle or a bar's close.

    ``stale``: no live price arrived for a while, or storage is away; ``suspect``: it jumped and nothing confirmed it,
    or its quote is crossed. Orders are refused on either where those limits are on.
    """

    symbol = fields.String(required=True)
    price = DecimalField(required=True)
    bid = DecimalField(required=True, allow_none=True)
    ask = DecimalField(required=True, allow_none=True)
    timestamp = InstantField(required=True)
    source = fields.String(required=True, validate=validate.OneOf(("trade", "quote", "bar")))
    stale = fields.Boolean(required=True)
    suspect = fields.Boolean(required=True)


class StatisticsQuerySchema(Schema):
    """Which stored bars to describe; all of them by default."""

    interval = IntervalField()
    start = EdgeField()
    end = EdgeField()


class StatisticsSchema(Schema):
    """What stored bars amount to; all but the count are null where there are none."""

    symbol = fields.String(required=True)
    interval = fields.String(required=True, allow_none=True)
    intervals = fields.List(fields.String(), required=True)
    record_count = fields.Integer(required=True)
    avg_close = DecimalField(required=True, allow_none=True)
    max_high = DecimalField(required=True, allow_none=True)
    min_low = DecimalField(required=True, allow_none=True)
    avg_volume = DecimalField(required=True, allow_none=True)
    total_volume = DecimalField(required=True, allow_none=True)
    last_close = DecimalField(required=True, allow_none=True)
    first_timestamp = InstantField(required=True, allow_none=True)
    last_timestamp = InstantField(required=True, allow_none=True)
