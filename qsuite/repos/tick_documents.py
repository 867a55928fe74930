"""A tick as BSON, written field by field: at import rates the driver's general encoder is the largest single cost.

    { ts: ISODate("2013-10-07T13:30:00.123Z"), symbol: "IBM", kind: "trade", ts_ns: NumberLong("1381152600123000000"),
      seq: NumberLong(0), price: Decimal128("181.52"), size: Decimal128("283") }

    { …, kind: "quote", …, bid: Decimal128("181.50"), ask: Decimal128("181.53"), bid_size: …, ask_size: … }

``ts`` is what MongoDB buckets and finds by, cut to its milliseconds; ``ts_ns`` is the time. A side or size that a quote
lacks is left out. There is no ``_id``: a time series needs none, and without it inserts are twice as fast (measured).
"""

import struct
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from bson.raw_bson import RawBSONDocument

from qsuite.domain.market import QUOTE, TRADE, Quote, Tick, Trade
from qsuite.domain.times import NS_PER_MS, ns_to_datetime
from qsuite.repos.decimals import decode_decimal, decode_optional, encode_decimal

_INT64 = struct.Struct("<q").pack
_INT32 = struct.Struct("<i").pack
_HEAD = b"\x09ts\x00"
_SEQ = b"\x12seq\x00"


def encode_ticks(ticks: Iterable[Tick]) -> list[RawBSONDocument]:
    """Write ticks as documents that the driver passes on untouched."""
    return [RawBSONDocument(encode_tick(tick)) for tick in ticks]


def encode_tick(tick: Tick) -> bytes:
    """Write one tick as BSON bytes."""
    if isinstance(tick, Trade):
        kind, money = TRADE, _field("price", str(tick.price)) + _field("size", str(tick.size))
    else:
        kind = QUOTE
        money = (
            _side("bid", tick.bid) + _side("ask", tick.ask)
            + _side("bid_size", tick.bid_size) + _side("ask_size", tick.ask_size)
        )  # fmt: skip
    ts_ns = tick.ts_ns
    body = (
        _HEAD + _INT64(ts_ns // NS_PER_MS) + _names(tick.symbol, kind)
        + _INT64(ts_ns) + _SEQ + _INT64(tick.seq) + money + b"\x00"
    )  # fmt: skip
    return _INT32(len(body) + 4) + body


def decode_tick(document: dict[str, Any]) -> Tick:
    """Read a stored tick."""
    if document["kind"] == TRADE:
        return Trade(
            document["symbol"],
            int(document["ts_ns"]),
            decode_decimal(document["price"]),
            decode_decimal(document["size"]),
            int(document["seq"]),
        )
    return Quote(
        document["symbol"],
        int(document["ts_ns"]),
        decode_optional(document.get("bid")),
        decode_optional(document.get("ask")),
        decode_optional(document.get("bid_size")),
        decode_optional(document.get("ask_size")),
        int(document["seq"]),
    )


def stored_date(ts_ns: int) -> datetime:
    """Return the date an instant is found by: its whole milliseconds, rounded down also before 1970."""
    return ns_to_datetime(ts_ns - ts_ns % NS_PER_MS)


@lru_cache(maxsize=4096)
def _names(symbol: str, kind: str) -> bytes:
    return b"\x02symbol\x00" + _text(symbol) + b"\x02kind\x00" + _text(kind) + b"\x12ts_ns\x00"


def _text(value: str) -> bytes:
    raw = value.encode() + b"\x00"
    return _INT32(len(raw)) + raw


def _side(name: str, value: Decimal | None) -> bytes:
    return b"" if value is None else _field(name, str(value))


# Keyed by text for the same reason as in ``decimals``: 1.5 and 1.50 are equal keys and different documents.
@lru_cache(maxsize=1 << 16)
def _field(name: str, text: str) -> bytes:
    return b"\x13" + name.encode() + b"\x00" + encode_decimal(Decimal(text)).bid
