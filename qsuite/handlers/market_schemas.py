"""What prices look like over HTTP: one schema for what may be sent, one for what is shown."""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, fields, validate

from qsuite.domain.analytics.asof import QuotedTrade
from qsuite.domain.market import Bar, Tick, Trade
from qsuite.domain.market_record import MarketRecord
from qsuite.domain.money import ZERO, show
from qsuite.domain.times import format_rfc3339
from qsuite.handlers.fields import DecimalField, InstantField
from qsuite.handlers.market_fields import SYMBOL, BarTimeField, IntervalField
from qsuite.services.market_records import BulkResult

# -- bars -----------------------------------------------------------------------------------------------------------


class MarketDataInputSchema(Schema):
    """A bar as it is sent, with ``symbol`` or ``ticker`` (an id or symbol) or both; ``timestamp`` is its start."""

    ticker = fields.String(validate=validate.Length(1, 64))
    symbol = fields.String(validate=SYMBOL)
    interval = IntervalField(required=True)
    timestamp = BarTimeField(required=True)
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


def shown_made_bar(bar: Bar) -> dict[str, Any]:
    """Show a bar made from what there is."""
    return {**shown_bar(bar), "final": bar.final}


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
    """A trade (``price``, ``size``) or a quote (``bid``, ``ask``, ``bid_size``, ``ask_size``; absent where unknown).

    With ``asof`` a trade has the figures of the quote it met too, and that one's ``quote_ts`` and ``quote_seq``.
    """

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
    quote_ts = InstantField(allow_none=True)
    quote_seq = fields.Integer(allow_none=True)


def shown_tick(tick: Tick) -> dict[str, Any]:
    """Show a tick."""
    head = {"symbol": tick.symbol, "ts": format_rfc3339(tick.ts_ns)}
    if isinstance(tick, Trade):
        return {**head, "kind": "trade", "price": show(tick.price), "size": show(tick.size), "seq": tick.seq}
    sides = {name: getattr(tick, name) for name in ("bid", "ask", "bid_size", "ask_size")}
    shown = {name: None if value is None else show(value) for name, value in sides.items()}
    return {**head, "kind": "quote", **shown, "seq": tick.seq}


def shown_quoted_trade(each: QuotedTrade) -> dict[str, Any]:
    """Show a trade with the quote it met."""
    quote = each.quote
    figures = {name: getattr(quote, name, None) for name in ("bid", "ask", "bid_size", "ask_size")}
    return {
        **shown_tick(each.trade),
        **{name: None if value is None else show(value) for name, value in figures.items()},
        "quote_ts": None if quote is None else format_rfc3339(quote.ts_ns),
        "quote_seq": None if quote is None else quote.seq,
    }


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
