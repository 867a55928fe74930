"""What a source sends, in our terms: which field of its messages is which of a tick, by configuration.

    frame ──JSON──> items ──paths──> our names ──> Message(key, seq, ts_ns, tick)

Invariant: prices and sizes are read from the text of their numbers, so what the source wrote is what is stored. A
message that cannot be read raises nothing but ``RowError``; what is neither trade nor quote is no mistake: sources
greet, confirm and keep alive.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple, NoReturn, TypeVar

from qsuite.domain.errors import SetupError
from qsuite.domain.market import Quote, Tick, Trade
from qsuite.domain.times import NS_PER_S, parse_rfc3339
from qsuite.services.files.parts import Number
from qsuite.services.files.rows import RowError, check_time, read_amount, read_price, read_symbol
from qsuite.settings import SourceSettings

NAMES = ("kind", "key", "seq", "symbol", "ts", "price", "size", "bid", "ask", "bid_size", "ask_size")
NS_PER = {"s": NS_PER_S, "ms": 1_000_000, "us": 1_000, "ns": 1}
SEQ_DIGITS_MAX = 18
KEY_MAX = 200

Path = tuple[str, ...]
T = TypeVar("T")


class Message(NamedTuple):
    """One numbered message of a source; ``tick`` is None where it is nothing that was asked for."""

    key: str
    seq: int | None
    ts_ns: int
    tick: Tick | None


class FieldMap:
    """Read a source's messages. SetupError for settings that make no sense; ``symbols`` are ours."""

    def __init__(self, settings: SourceSettings, symbols: Sequence[str]) -> None:
        self._items, self._fill_items = _path(settings.items), _path(settings.fill_items)
        self._paths = {name: _path(path) for name, path in pairs("source.fields", settings.fields).items()}
        for name in self._paths.keys() - set(NAMES):
            raise SetupError(f"source.fields: {name!r} is none of {', '.join(NAMES)}")
        self._kinds = {settings.trade: "trade", settings.quote: "quote"}
        self._rename = pairs("source.rename", settings.rename)
        self._symbols = frozenset(symbols)
        self._unit_ns = NS_PER.get(settings.time_unit)

    def read_frame(self, frame: str | bytes) -> list[Any]:
        """Return the items of a frame of the stream. RowError when it is none."""
        return _items(frame, self._items)

    def read_answer(self, body: bytes) -> list[Any]:
        """Return the items of an answer to a request. RowError when it is none."""
        return _items(body, self._fill_items)

    def read(self, item: Any) -> Message | None:
        """Read one item; None for one without a place in the sequence and without a tick. RowError when it is wrong."""
        if not isinstance(item, (dict, list)):
            raise RowError("not an object")
        fields = {name: _at(item, path) for name, path in self._paths.items()}
        seq, kind = _seq(fields.get("seq")), self._kind(fields)
        key = _text(fields, "key") if fields.get("key") is not None else ""
        symbol = self._symbol(fields) if kind is not None else ""
        if kind is None or symbol not in self._symbols:
            return None if seq is None else Message(key, seq, 0, None)
        ts_ns = self._time(fields)
        return Message(key, seq, ts_ns, _tick(kind, symbol, ts_ns, fields))

    def _kind(self, fields: Mapping[str, Any]) -> str | None:
        """Return what a message is: as it says itself, else by the fields it has."""
        if "kind" in self._paths:
            said = fields["kind"]
            return self._kinds.get(said) if isinstance(said, str) else None
        if fields.get("price") is not None:
            return "trade"
        return "quote" if fields.get("bid") is not None or fields.get("ask") is not None else None

    def _symbol(self, fields: Mapping[str, Any]) -> str:
        theirs = _text(fields, "symbol")
        return _read("symbol", read_symbol, self._rename.get(theirs, theirs))

    def _time(self, fields: Mapping[str, Any]) -> int:
        text = _text(fields, "ts")
        if self._unit_ns is None:
            return _read("ts", lambda each: check_time(parse_rfc3339(each)), text)
        unit_ns = self._unit_ns
        return _read("ts", lambda each: check_time(int(read_amount(each) * unit_ns)), text)


def _items(frame: str | bytes, path: Path) -> list[Any]:
    try:
        value = json.loads(frame, parse_float=Number, parse_int=Number, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise RowError("not JSON") from None
    found = _at(value, path)
    return found if isinstance(found, list) else [] if found is None else [found]


def _tick(kind: str, symbol: str, ts_ns: int, fields: Mapping[str, Any]) -> Tick:
    def number(name: str, read: Callable[[str], Decimal]) -> Decimal | None:
        return None if fields.get(name) is None else _read(name, read, _text(fields, name))

    if kind == "trade":
        price, size = number("price", read_price), number("size", read_price)
        if price is None or size is None:
            raise RowError("missing", "price" if price is None else "size")
        return Trade(symbol, ts_ns, price, size)
    bid, ask = number("bid", read_price), number("ask", read_price)
    if bid is None and ask is None:
        raise RowError("neither a bid nor an ask", "bid")
    bid_size = None if bid is None else number("bid_size", read_amount)
    return Quote(symbol, ts_ns, bid, ask, bid_size, None if ask is None else number("ask_size", read_amount))


def _read(name: str, read: Callable[[str], T], text: str) -> T:
    try:
        return read(text)
    except ValueError as wrong:
        raise RowError(str(wrong), name) from wrong


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or len(value) > KEY_MAX:
        raise RowError("missing, or neither a text nor a number", name)
    return value


def _seq(value: Any) -> int | None:
    if value is None:
        return None
    if not (isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= SEQ_DIGITS_MAX):
        raise RowError("not a whole number of zero or more", "seq")
    return int(value)


def _at(value: Any, path: Path) -> Any:
    for step in path:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def _path(text: str) -> Path:
    return tuple(text.split(".")) if text else ()


def pairs(setting: str, given: Sequence[str]) -> dict[str, str]:
    """Read settings of the form ``name = value``. SetupError names the setting that is none."""
    split = [each.partition("=") for each in given]
    for name, _, value in split:
        if not name or not value:
            raise SetupError(f"{setting}: write {name or 'NAME'}=VALUE, several of them with commas between")
    return {name.strip(): value.strip() for name, _, value in split}


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")
