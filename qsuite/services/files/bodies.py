"""Request bodies of bars and ticks: a JSON array, NDJSON, CSV or an Arrow stream, into validated domain rows.

    bytes ── parts.py ──> (line, fields) ── here ──> Trade, Quote, Bar with their lines, and the rows left out

Field names are the API's own and an unknown one is refused. Every number is read from its text, so what the client
wrote is what is stored. Pure functions of their arguments: call them in a thread or process pool when the body is
large. They raise only ``Invalid`` (a column no row may have), its ``Malformed`` (not readable at all), ``TooLarge``
and ``UnsupportedMedia``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TypeVar

from qsuite.domain.intervals import parse_interval
from qsuite.domain.market import Bar, Quote, Tick, Trade
from qsuite.domain.money import ZERO
from qsuite.domain.times import parse_rfc3339
from qsuite.services.files.parts import Fields, Number, Part, object_part, read_parts
from qsuite.services.files.rows import (
    BadRow,
    Decoded,
    MarketRow,
    RowError,
    check_range,
    check_time,
    read_amount,
    read_price,
    read_symbol,
)

ROWS_MAX = 1_000_000

TICK_FIELDS = ("symbol", "ts", "timestamp", "kind", "price", "size", "bid", "ask", "bid_size", "ask_size", "seq")
BAR_FIELDS = (
    "symbol",
    "ticker",
    "interval",
    "timestamp",
    "ts",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "adjusted_close",
    "vwap",
    "trades",
)
_TRADE_ONLY = ("price", "size")
_QUOTE_ONLY = ("bid", "ask", "bid_size", "ask_size")

_RowT = TypeVar("_RowT", bound=MarketRow)
_T = TypeVar("_T")


def decode_ticks(body: bytes, content_type: str, *, rows_max: int = ROWS_MAX) -> Decoded[Tick]:
    """Read trades and quotes. Without ``kind`` a row with a price is a trade; without ``seq`` it is 0."""
    return _decode(body, content_type, TICK_FIELDS, read_tick, rows_max)


def decode_tick_objects(rows: Sequence[object]) -> Decoded[Tick]:
    """Read trades and quotes from what a JSON array held, its numbers exact; lines are places in it, from 1."""
    return _decode_parts((object_part(number, row) for number, row in enumerate(rows, 1)), TICK_FIELDS, read_tick)


def decode_bars(
    body: bytes, content_type: str, *, default_interval: str | None = None, rows_max: int = ROWS_MAX
) -> Decoded[Bar]:
    """Read bars. ``default_interval`` serves rows that give none; a missing volume is zero."""
    return _decode(body, content_type, BAR_FIELDS, lambda fields: read_bar(fields, default_interval), rows_max)


def read_tick(fields: Fields) -> Tick:
    """Read one tick of the API's fields, of which absent ones and nulls are missing. RowError when it is none."""
    symbol = _need(fields, "symbol", _text(read_symbol))
    ts_ns = _time(fields)
    seq = _count(fields, "seq") or 0
    kind = fields.get("kind")
    if kind is None:
        kind = "trade" if fields.get("price") is not None else "quote"
    if kind == "trade":
        _refuse(fields, _QUOTE_ONLY, "a trade has none")
        return Trade(symbol, ts_ns, _need(fields, "price", _price), _need(fields, "size", _price), seq)
    if kind != "quote":
        raise RowError("neither trade nor quote", "kind")
    _refuse(fields, _TRADE_ONLY, "a quote has none")
    bid, ask = _find(fields, "bid", _price), _find(fields, "ask", _price)
    if bid is None and ask is None:
        raise RowError("neither a bid nor an ask", "bid")
    if bid is None:
        _refuse(fields, ("bid_size",), "there is no bid")
    if ask is None:
        _refuse(fields, ("ask_size",), "there is no ask")
    bid_size, ask_size = _find(fields, "bid_size", _amount), _find(fields, "ask_size", _amount)
    return Quote(symbol, ts_ns, bid, ask, bid_size, ask_size, seq)


def read_bar(fields: Fields, default_interval: str | None = None) -> Bar:
    """Read one bar of the API's fields, of which absent ones and nulls are missing. RowError when it is none."""
    interval = _find(fields, "interval", _text(lambda text: parse_interval(text).name)) or default_interval
    if interval is None:
        raise RowError("missing", "interval")
    open_, high = _need(fields, "open", _price), _need(fields, "high", _price)
    low, close = _need(fields, "low", _price), _need(fields, "close", _price)
    check_range(open_, high, low, close)
    return Bar(
        _bar_symbol(fields),
        interval,
        _time(fields),
        open_,
        high,
        low,
        close,
        _find(fields, "volume", _amount) or ZERO,
        vwap=_find(fields, "vwap", _price),
        trades=_count(fields, "trades"),
        adjusted_close=_find(fields, "adjusted_close", _price),
    )


def _decode(
    body: bytes, content_type: str, allowed: tuple[str, ...], read: Callable[[Fields], _RowT], rows_max: int
) -> Decoded[_RowT]:
    return _decode_parts(read_parts(body, content_type, allowed, rows_max), allowed, read)


def _decode_parts(parts: Iterable[Part], allowed: tuple[str, ...], read: Callable[[Fields], _RowT]) -> Decoded[_RowT]:
    decoded: Decoded[_RowT] = Decoded([], [], [])
    for part in parts:
        if isinstance(part, BadRow):
            decoded.bad.append(part)
            continue
        line, fields = part
        try:
            _check_names(fields, allowed)
            decoded.rows.append(read(fields))
            decoded.lines.append(line)
        except RowError as wrong:
            reason = f"{wrong.field}: {wrong.reason}" if wrong.field else wrong.reason
            decoded.bad.append(BadRow(line, reason, wrong.field))
    return decoded


def _check_names(fields: Fields, allowed: tuple[str, ...]) -> None:
    for name in fields:
        if name not in allowed:
            raise RowError(f"unknown field {ascii(name)[:80]}")


def _bar_symbol(fields: Fields) -> str:
    """Read ``symbol``, or ``ticker``, which may be a symbol or an id; given both they may not be two symbols."""
    symbol = _find(fields, "symbol", _text(read_symbol))
    ticker = _find(fields, "ticker", _text(read_symbol))
    if symbol is None and ticker is None:
        raise RowError("missing", "symbol")
    # An id is a UUID, 36 characters; whether it is this symbol's, the caller knows.
    if symbol is not None and ticker is not None and symbol != ticker and len(ticker) != 36:
        raise RowError("differs from the symbol", "ticker")
    return symbol or ticker or ""


def _time(fields: Fields) -> int:
    if fields.get("ts") is not None and fields.get("timestamp") is not None:
        raise RowError("given twice, as ts and as timestamp", "ts")
    name = "ts" if fields.get("ts") is not None else "timestamp"
    return _need(fields, name, _text(lambda text: check_time(parse_rfc3339(text))))


def _find(fields: Fields, name: str, read: Callable[[object], _T]) -> _T | None:
    value = fields.get(name)
    if value is None:
        return None
    try:
        return read(value)
    except ValueError as wrong:
        raise RowError(str(wrong), name) from wrong


def _need(fields: Fields, name: str, read: Callable[[object], _T]) -> _T:
    value = _find(fields, name, read)
    if value is None:
        raise RowError("missing", name)
    return value


def _refuse(fields: Fields, names: tuple[str, ...], reason: str) -> None:
    for name in names:
        if fields.get(name) is not None:
            raise RowError(reason, name)


def _text(read: Callable[[str], _T]) -> Callable[[object], _T]:
    def of(value: object) -> _T:
        if not isinstance(value, str) or isinstance(value, Number):
            raise RowError("must be a string")
        return read(value)

    return of


def _price(value: object) -> Decimal:
    return read_price(_number_text(value))


def _amount(value: object) -> Decimal:
    return read_amount(_number_text(value))


def _number_text(value: object) -> str:
    if not isinstance(value, str) or value != value.strip():
        raise RowError("not a decimal number")
    return value


def _count(fields: Mapping[str, object], name: str) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not (value.isascii() and value.isdigit()) or len(value) > 18:
        raise RowError("not a whole number of zero or more", name)
    return int(value)
