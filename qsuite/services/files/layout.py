"""What a file's columns mean: which kind of market data it is, and where each field stands.

    bars         open high low close [volume adjusted_close vwap trades]      one interval's trades
    quote bars   bid_open .. bid_close ask_open .. ask_close [sizes]          one interval's quotes
    trades       price size                                                   one event a line
    quotes       bid and/or ask [sizes]                                       one event a line
    ticks        kind price size bid ask ..                                   trades and quotes, one event a line

Names are matched without regard to case, blanks and brackets; the user's own mapping goes first. A file that is none
of these is refused with its columns listed, never read as the nearest thing.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from qsuite.domain.errors import SetupError
from qsuite.services.files.clocks import spec_from_name


class FileKind(StrEnum):
    """What one line of a file is."""

    BARS = "bars"
    QUOTE_BARS = "quote bars"
    TRADES = "trades"
    QUOTES = "quotes"
    TICKS = "ticks"


ALIASES: Mapping[str, tuple[str, ...]] = {
    "symbol": ("symbol", "ticker", "instrument", "sym"),
    "interval": ("interval", "timeframe"),
    "kind": ("kind",),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c"),
    "volume": ("volume", "vol", "v", "volume_usd"),
    "adjusted_close": ("adjusted_close", "adj_close"),
    "vwap": ("vwap",),
    "trades": ("trades", "trade_count"),
    "price": ("price", "px", "trade_price"),
    "size": ("size", "qty", "quantity", "amount", "trade_size"),
    "bid": ("bid", "bid_price", "best_bid"),
    "ask": ("ask", "ask_price", "best_ask", "offer"),
    "bid_size": ("bid_size", "bid_qty", "bid_volume"),
    "ask_size": ("ask_size", "ask_qty", "ask_volume"),
    **{f"{side}_{part}": (f"{side}_{part}",) for side in ("bid", "ask") for part in ("open", "high", "low", "close")},
}
FIELDS = ("ts", *ALIASES)

_OHLC = ("open", "high", "low", "close")
_QUOTE_OHLC = tuple(f"{side}_{part}" for side in ("bid", "ask") for part in _OHLC)
# Messages of an order book also have a price and a quantity, but are no trades.
_BOOK_COLUMNS = frozenset({"order_id", "queue_pos", "first_update_id", "last_update_id", "before_seq"})
# Where several columns are times, the event's own goes before the moment somebody received it.
_TIME_ORDER = ("ts", "timestamp", "datetime", "ts_", "trade_ts", "txn_ts", "event_ts", "timestamp_", "datetime_")


@dataclass(frozen=True)
class Layout:
    """A file's kind, the position of each field, and of its time (``clock_index`` joins a date with a time)."""

    kind: FileKind
    at: Mapping[str, int]
    ts_column: str
    ts_index: int
    clock_index: int | None
    notes: tuple[str, ...] = ()


def read_layout(
    columns: Sequence[str],
    sample: Sequence[Sequence[str]],
    mapping: Mapping[str, str],
    name: str,
    kind: FileKind | None = None,
) -> Layout:
    """Work out what the columns of the file ``name`` mean; ``mapping`` gives columns for fields by hand.

    Of several time columns the sample tells which are filled. SetupError when a mapped column or field does not
    exist, or the file is no market data.
    """
    at = _mapped(columns, mapping, name)
    plain = [plain_name(column) for column in columns]
    for field, aliases in ALIASES.items():
        for alias in aliases:
            if field not in at and alias in plain:
                at[field] = plain.index(alias)
    times = _time_columns(plain, sample) if "ts" not in at else [at.pop("ts")]
    found = kind or _kind_of(at, plain)
    if not times or found is None or not _serves(found, at):
        raise SetupError(_refusal(name, columns, bool(times), kind))
    notes = []
    if "volume" in at and plain[at["volume"]] == "volume_usd":
        notes.append("volume is a value in USD, not a quantity")
    if found in (FileKind.TRADES, FileKind.QUOTES) and "bid" in at and "price" in at:
        notes.append("lines hold a trade and a quote; only the trade is read")
    first = times[0]
    clock_index = plain.index("time") if plain[first] == "date" and "time" in plain else None
    return Layout(found, at, plain[first], first, clock_index, tuple(notes))


def plain_name(column: str) -> str:
    """Return a column's name in snake case: ``Adj Close`` and ``<OPEN>`` become ``adj_close`` and ``open``."""
    return re.sub(r"[^a-z0-9]+", "_", column.strip().lower()).strip("_")


def _mapped(columns: Sequence[str], mapping: Mapping[str, str], name: str) -> dict[str, int]:
    at = {}
    for field, column in mapping.items():
        if field not in FIELDS:
            raise SetupError(f"no field is called {field[:60]!r}; there are: {', '.join(FIELDS)}")
        if column not in columns:
            raise SetupError(f"{name} has no column {column[:60]!r}; it has: {', '.join(columns)[:400]}")
        at[field] = columns.index(column)
    return at


def _time_columns(plain: Sequence[str], sample: Sequence[Sequence[str]]) -> list[int]:
    def empty(index: int) -> bool:
        return not any(cells[index].strip() for cells in sample if len(cells) > index)

    found = [index for index, column in enumerate(plain) if spec_from_name(column) is not None]
    return sorted(found, key=lambda index: (empty(index), _rank(plain[index]), index))


def _rank(column: str) -> int:
    for rank, start in enumerate(_TIME_ORDER):
        if column == start or (start.endswith(("_", "_ts")) and column.startswith(start)):
            return rank
    return len(_TIME_ORDER) + (column.startswith("recv"))


def _kind_of(at: Mapping[str, int], plain: Sequence[str]) -> FileKind | None:
    if all(field in at for field in _QUOTE_OHLC):
        return FileKind.QUOTE_BARS
    if all(field in at for field in _OHLC):
        return FileKind.BARS
    if "kind" in at and ("price" in at or "bid" in at or "ask" in at):
        return FileKind.TICKS
    if "price" in at and "size" in at and not _BOOK_COLUMNS & set(plain):
        return FileKind.TRADES
    if ("bid" in at or "ask" in at) and "price" not in at:
        return FileKind.QUOTES
    return None


def _serves(kind: FileKind, at: Mapping[str, int]) -> bool:
    needed = {FileKind.BARS: _OHLC, FileKind.QUOTE_BARS: _QUOTE_OHLC, FileKind.TRADES: ("price", "size")}
    if kind in needed:
        return all(field in at for field in needed[kind])
    return "bid" in at or "ask" in at or (kind is FileKind.TICKS and "price" in at)


def _refusal(name: str, columns: Sequence[str], has_time: bool, kind: FileKind | None) -> str:
    wanted = f"not {kind}" if kind else "not market data"
    missing = "" if has_time else "; no column is a time (ts, timestamp, date, ts_utc_ms, ..)"
    return (
        f"{name} is {wanted}: it needs open, high, low and close, or price and size, or bid and ask (one line is one "
        f"bar or tick){missing}; its columns are: {', '.join(columns)[:400]}"
    )
