"""A stored bar between the domain and MongoDB; ``market_data`` draws one."""

from typing import Any

from qsuite.domain.market import Bar
from qsuite.domain.market_record import MarketRecord
from qsuite.domain.times import datetime_to_ns, ns_to_datetime
from qsuite.repos.database import Document
from qsuite.repos.decimals import decode_decimal, decode_optional, encode_decimal, encode_optional


def to_document(record: MarketRecord) -> Document:
    """Write a bar as it is stored."""
    bar = record.bar
    return {
        "_id": record.id,
        "ticker": record.ticker,
        "symbol": bar.symbol,
        "interval": bar.interval,
        "timestamp": ns_to_datetime(bar.ts_ns),
        "open": encode_decimal(bar.open),
        "high": encode_decimal(bar.high),
        "low": encode_decimal(bar.low),
        "close": encode_decimal(bar.close),
        "volume": encode_decimal(bar.volume),
        "adjusted_close": encode_optional(bar.adjusted_close),
        "vwap": encode_optional(bar.vwap),
        "trades": bar.trades,
        "created_at": ns_to_datetime(record.created_at),
        "updated_at": ns_to_datetime(record.updated_at),
        "version": record.version,
    }


def to_bar(document: dict[str, Any]) -> Bar:
    """Read the bar of a stored record."""
    return Bar(
        document["symbol"],
        document["interval"],
        datetime_to_ns(document["timestamp"]),
        decode_decimal(document["open"]),
        decode_decimal(document["high"]),
        decode_decimal(document["low"]),
        decode_decimal(document["close"]),
        decode_decimal(document["volume"]),
        vwap=decode_optional(document.get("vwap")),
        trades=document.get("trades"),
        adjusted_close=decode_optional(document.get("adjusted_close")),
    )


def to_domain(document: dict[str, Any]) -> MarketRecord:
    """Read a stored record."""
    return MarketRecord(
        id=document["_id"],
        ticker=document["ticker"],
        bar=to_bar(document),
        created_at=datetime_to_ns(document["created_at"]),
        updated_at=datetime_to_ns(document["updated_at"]),
        version=document["version"],
    )
