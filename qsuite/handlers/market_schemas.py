"""What market data looks like over HTTP: one schema for what may be sent, one for what is shown."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from qsuite.domain.intervals import parse_interval
from qsuite.domain.market import Bar, Tick, Trade
from qsuite.domain.market_record import MarketRecord
from qsuite.domain.money import ZERO, show
from qsuite.domain.reference import DataSource, Ticker
from qsuite.domain.times import format_rfc3339
from qsuite.handlers.fields import DecimalField, InstantField
from qsuite.services.market_records import BulkResult

SYMBOL = r"[A-Za-z0-9^.=@#][A-Za-z0-9^.=@#/_:&+-]{0,63}\Z"
CODE = r"[a-z0-9][a-z0-9_.-]{0,63}\Z"
CURRENCY = r"[A-Z][A-Z0-9]{1,9}\Z"
MODES = ("paper", "book")


class IntervalField(fields.String):
    """The length of a bar, in its one spelling: ``60m`` is read as ``1h``."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        try:
            return parse_interval(super()._deserialize(value, attr, data, **kwargs)).name
        except ValueError as error:
            if isinstance(error, ValidationError):
                raise
            raise ValidationError(str(error)) from None


class FlagField(fields.Boolean):
    """True or false, and no number or word that could mean either."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(truthy={True}, falsy={False}, **kwargs)


def _text(most: int, **kwargs: Any) -> fields.String:
    return fields.String(validate=validate.Length(0, most), **kwargs)


# -- data sources ---------------------------------------------------------------------------------------------------


class DataSourceInputSchema(Schema):
    """A data source as it is sent; ``code`` is unique, in lower case."""

    name = fields.String(required=True, validate=validate.Length(1, 200))
    code = fields.String(required=True, validate=validate.Regexp(CODE))
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


class TickerInputSchema(Schema):
    """A ticker as it is sent. The symbol never changes afterwards."""

    symbol = fields.String(required=True, validate=validate.Regexp(SYMBOL))
    name = fields.String(required=True, validate=validate.Length(1, 200))
    description = _text(2_000, load_default="")
    currency = fields.String(load_default="USD", validate=validate.Regexp(CURRENCY))
    data_source = fields.UUID(allow_none=True, load_default=None)
    is_active = FlagField(load_default=True)
    tick_size = DecimalField(above=0, load_default=Decimal("0.01"))
    lot_size = DecimalField(above=0, load_default=Decimal(1))
    execution_mode = fields.String(load_default="paper", validate=validate.OneOf(MODES))


class TickerSchema(Schema):
    """A ticker."""

    id = fields.UUID(required=True)
    symbol = fields.String(required=True)
    name = fields.String(required=True)
    description = fields.String(required=True)
    currency = fields.String(required=True)
    data_source = fields.UUID(required=True, allow_none=True)
    is_active = fields.Boolean(required=True)
    tick_size = DecimalField(required=True)
    lot_size = DecimalField(required=True)
    execution_mode = fields.String(required=True, validate=validate.OneOf(MODES))
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
        "tick_size": show(ticker.tick_size),
        "lot_size": show(ticker.lot_size),
        "execution_mode": ticker.execution_mode,
        "created_at": format_rfc3339(ticker.created_at),
        "updated_at": format_rfc3339(ticker.updated_at),
        "version": ticker.version,
    }


class LatestPriceSchema(Schema):
    """What a ticker costs now; ``source`` says whether that is a trade, a quote's middle or a bar's close."""

    symbol = fields.String(required=True)
    price = DecimalField(required=True)
    bid = DecimalField(required=True, allow_none=True)
    ask = DecimalField(required=True, allow_none=True)
    timestamp = InstantField(required=True)
    source = fields.String(required=True, validate=validate.OneOf(("trade", "quote", "bar")))


class StatisticsQuerySchema(Schema):
    """Which stored bars to describe; all of them by default."""

    interval = IntervalField()
    start = InstantField()
    end = InstantField()


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


# -- bars -----------------------------------------------------------------------------------------------------------


class MarketDataInputSchema(Schema):
    """A bar as it is sent, with ``symbol`` or ``ticker`` (an id or symbol) or both; ``timestamp`` is its start."""

    ticker = fields.String(validate=validate.Length(1, 64))
    symbol = fields.String(validate=validate.Regexp(SYMBOL))
    interval = IntervalField(required=True)
    timestamp = InstantField(required=True)
    open = DecimalField(required=True, above=0)
    high = DecimalField(required=True, above=0)
    low = DecimalField(required=True, above=0)
    close = DecimalField(required=True, above=0)
    volume = DecimalField(least=0, load_default=ZERO)
    adjusted_close = DecimalField(above=0, allow_none=True)
    vwap = DecimalField(above=0, allow_none=True)
    trades = fields.Integer(strict=True, allow_none=True, validate=validate.Range(0, 2**53))


class BarSchema(Schema):
    """A bar. It is final once its interval is over."""

    symbol = fields.String(required=True)
    interval = fields.String(required=True)
    timestamp = InstantField(required=True)
    open = DecimalField(required=True)
    high = DecimalField(required=True)
    low = DecimalField(required=True)
    close = DecimalField(required=True)
    volume = DecimalField(required=True)
    adjusted_close = DecimalField(required=True, allow_none=True)
    vwap = DecimalField(required=True, allow_none=True)
    trades = fields.Integer(required=True, allow_none=True)


class MadeBarSchema(BarSchema):
    """A bar made from what there is."""

    final = fields.Boolean(required=True)


class MarketDataSchema(BarSchema):
    """A stored bar."""

    id = fields.UUID(required=True)
    ticker = fields.UUID(required=True)
    created_at = InstantField(required=True)
    updated_at = InstantField(required=True)
    version = fields.Integer(required=True)


class FeedBarSchema(MadeBarSchema):
    """A bar of the last five minutes; ``ticker`` is its ticker's id, ``received_at`` when it last changed."""

    ticker = fields.UUID(required=True, allow_none=True)
    received_at = InstantField(required=True)


class FeedSchema(Schema):
    """The last five minutes."""

    timestamp = InstantField(required=True)
    count = fields.Integer(required=True)
    data = fields.List(fields.Nested(FeedBarSchema), required=True)


def shown_bar(bar: Bar) -> dict[str, Any]:
    """Show a bar's figures."""
    return {
        "symbol": bar.symbol,
        "interval": bar.interval,
        "timestamp": format_rfc3339(bar.ts_ns),
        "open": show(bar.open),
        "high": show(bar.high),
        "low": show(bar.low),
        "close": show(bar.close),
        "volume": show(bar.volume),
        "adjusted_close": None if bar.adjusted_close is None else show(bar.adjusted_close),
        "vwap": None if bar.vwap is None else show(bar.vwap),
        "trades": bar.trades,
    }


def shown_record(record: MarketRecord) -> dict[str, Any]:
    """Show a stored bar."""
    return {
        "id": str(record.id),
        "ticker": str(record.ticker),
        **shown_bar(record.bar),
        "created_at": format_rfc3339(record.created_at),
        "updated_at": format_rfc3339(record.updated_at),
        "version": record.version,
    }


# -- ticks and bulk -------------------------------------------------------------------------------------------------


class TickSchema(Schema):
    """A trade (``price``, ``size``) or a quote (``bid``, ``ask``, ``bid_size``, ``ask_size``; absent where unknown)."""

    symbol = fields.String(required=True)
    ts = InstantField(required=True)
    kind = fields.String(required=True, validate=validate.OneOf(("trade", "quote")))
    seq = fields.Integer(required=True)
    price = DecimalField()
    size = DecimalField()
    bid = DecimalField(allow_none=True)
    ask = DecimalField(allow_none=True)
    bid_size = DecimalField(allow_none=True)
    ask_size = DecimalField(allow_none=True)


def shown_tick(tick: Tick) -> dict[str, Any]:
    """Show a tick."""
    head = {"symbol": tick.symbol, "ts": format_rfc3339(tick.ts_ns)}
    if isinstance(tick, Trade):
        return {**head, "kind": "trade", "price": show(tick.price), "size": show(tick.size), "seq": tick.seq}
    sides = {name: getattr(tick, name) for name in ("bid", "ask", "bid_size", "ask_size")}
    shown = {name: None if value is None else show(value) for name, value in sides.items()}
    return {**head, "kind": "quote", **shown, "seq": tick.seq}


class LineErrorSchema(Schema):
    """Why a line was left out."""

    line = fields.Integer(required=True)
    code = fields.String(required=True)
    detail = fields.String(required=True)
    field = fields.String(required=True, allow_none=True)


class BulkSchema(Schema):
    """What became of the lines of a body; ``errors`` tells of the first thousand rejected."""

    created = fields.Integer(required=True)
    unchanged = fields.Integer(required=True)
    rejected = fields.Integer(required=True)
    errors = fields.List(fields.Nested(LineErrorSchema), required=True)


class AcceptedSchema(Schema):
    """What became of the ticks of a body; ``errors`` tells of the first thousand rejected."""

    accepted = fields.Integer(required=True)
    rejected = fields.Integer(required=True)
    errors = fields.List(fields.Nested(LineErrorSchema), required=True)


def shown_errors(result: BulkResult) -> list[Mapping[str, Any]]:
    """Show the lines that were left out."""
    return [
        {"line": error.line, "code": error.code, "detail": error.detail, "field": error.field}
        for error in result.errors
    ]
