"""Ticks of the time series as columns: documents are cut into numbers as the driver got them, none is decoded.

    batch of BSON ──> documents of one length and layout ──> a matrix of bytes ──> the columns at their places

A tick's document has few layouts: its fields come in whatever order the server's bucket has, and a quote may lack a
side. What a layout's values do not fill (types, names, the symbol, the kind) must be the same bytes in all its
documents. A batch with a document of another make, such as one that was typed into a shell, is decoded row by row.

Invariant: the columns hold the ticks of ``iterate_ticks``, in its order.
"""

import struct
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeAlias

import bson
import numpy as np
import numpy.typing as npt
from bson.codec_options import CodecOptions
from bson.decimal128 import Decimal128

from qsuite.domain.market import QUOTE, TRADE
from qsuite.domain.tick_columns.columns import (
    DIGITS,
    OF_QUOTES,
    OF_TRADES,
    MoneyColumn,
    TickColumns,
    fixed_point,
    to_columns,
)
from qsuite.domain.tick_columns.runs import between, digits_of, in_order, joined
from qsuite.domain.times import NS_PER_MS
from qsuite.repos.database import Database, translated
from qsuite.repos.decimals import decode_decimal
from qsuite.repos.tick_documents import decode_tick
from qsuite.repos.tick_queries import TickQuery, condition_of, iterate_ticks

SLICE_TICKS = 30_000
"""Ticks read by one cursor, as all of them are held at once."""
CURSOR_S = 4.0
"""What one cursor may take: the server ends it after five seconds of work, over its whole life."""
BATCH_TICKS = 5_000

Bytes: TypeAlias = npt.NDArray[np.uint8]
Words: TypeAlias = npt.NDArray[np.uint64]

_LENGTH = struct.Struct("<i")
_DATE, _LONG, _MONEY, _TEXT = 0x09, 0x12, 0x13, 0x02
_WIDTHS = {_DATE: 8, _LONG: 8, _MONEY: 16}
_TYPES = {"ts": _DATE, "ts_ns": _LONG, "seq": _LONG} | dict.fromkeys(OF_TRADES + OF_QUOTES, _MONEY)
_NEEDED = {TRADE: {"ts_ns", "seq", *OF_TRADES}, QUOTE: {"ts_ns", "seq"}}
_BIAS, _EXPONENT_AT, _EXPONENT = 6176, 49, 0x3FFF
_ROWS: CodecOptions[Any] = CodecOptions(tz_aware=True)


class OtherMake(Exception):
    """A document is not as a tick is written."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the values lie in documents of one make; ``same`` are the places of all other bytes."""

    trade: bool
    places: dict[str, int]
    same: npt.NDArray[np.intp]


def series_columns(database: Database, series: str, query: TickQuery) -> Generator[TickColumns, None, None]:
    """Yield a query's ticks in order, about ``SLICE_TICKS`` at a time and no instant parted, none of them empty.

    No cursor is open while a run is worked on.
    """
    more = True
    while more:
        run, more = first_slice(database, series, query, SLICE_TICKS)
        if len(run):
            yield run
            query = query._replace(start_ns=int(run.ts_ns[-1]) + 1)


def first_slice(database: Database, series: str, query: TickQuery, about: int) -> tuple[TickColumns, bool]:
    """Return about so many ticks from a query's first on, no instant parted, and whether more follow.

    A slow server gives fewer. Ticks that are there twice are twice in it.
    """
    if not database.transactions:
        with closing(iterate_ticks(database.sync[series], query)) as ticks:
            return to_columns(query.symbol, list(ticks)), False
    runs: list[TickColumns] = []
    count = 0
    times = [time.monotonic()]
    with translated("tick"), closing(_batches(database, series, query)) as batches:
        for batch in batches:
            runs.append(batch_columns(query.symbol, batch))
            count += len(runs[-1])
            times.append(time.monotonic())
            # Documents are in order by the millisecond only: the last one may not be whole yet.
            whole_ns = int(runs[-1].ts_ns.max()) // NS_PER_MS * NS_PER_MS
            if (count >= about or _late(times)) and int(runs[0].ts_ns.min()) < whole_ns:
                return between(in_order(joined(runs)), None, whole_ns), True
    return (in_order(joined(runs)) if runs else to_columns(query.symbol, [])), False


def _late(times: list[float]) -> bool:
    """Say whether another batch like the last would come too late; the first one takes what the server has to sort."""
    return len(times) > 2 and 2 * times[-1] - times[-2] - times[0] > CURSOR_S


def _batches(database: Database, series: str, query: TickQuery) -> Generator[bytes, None, None]:
    found: Any = database.sync[series].find_raw_batches(condition_of(query), {"_id": 0}, batch_size=BATCH_TICKS)
    with closing(found.sort("ts", 1)) as batches:
        yield from filter(None, batches)


# -- a batch ----------------------------------------------------------------------------------------------------------


def batch_columns(symbol: str, batch: bytes) -> TickColumns:
    """Return the ticks of documents behind each other, as columns in their order."""
    try:
        return _Batch(symbol, batch).columns()
    except OtherMake:
        documents = bson.decode_all(batch, _ROWS)
        return to_columns(symbol, [decode_tick(document) for document in documents])


class _Batch:
    """Documents that are being cut into columns."""

    def __init__(self, symbol: str, batch: bytes) -> None:
        self._symbol = symbol
        self._bytes = np.frombuffer(batch, dtype=np.uint8)
        self._starts, self._lengths = _documents(batch)
        count = len(self._starts)
        self._ts_ns, self._seq = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
        self._trades = np.zeros(count, dtype=np.bool_)
        self._there = {name: np.zeros(count, dtype=np.bool_) for name in OF_TRADES + OF_QUOTES}
        self._words: dict[str, Words] = {}

    def columns(self) -> TickColumns:
        """Return the columns. OtherMake when a document is not as ticks are written."""
        for length in np.unique(self._lengths).tolist():
            left = np.flatnonzero(self._lengths == length)
            while len(left):
                left = self._take(left, length)
        money = {name: self._money(name, self._trades) for name in OF_TRADES}
        money |= {name: self._money(name, ~self._trades) for name in OF_QUOTES}
        return TickColumns(self._symbol, self._ts_ns, self._seq, self._trades, money)

    def _take(self, rows: npt.NDArray[np.intp], length: int) -> npt.NDArray[np.intp]:
        """Take those of the rows that are laid out like the first of them; return the others."""
        documents = self._matrix(rows, length)
        layout = layout_of(documents[0].tobytes(), self._symbol)
        like = (documents[:, layout.same] == documents[0, layout.same]).all(axis=1)
        taken = rows if like.all() else rows[like]
        documents = documents if like.all() else documents[like]
        self._trades[taken] = layout.trade
        for name, place in layout.places.items():
            self._put(name, taken, np.ascontiguousarray(documents[:, place : place + _WIDTHS[_TYPES[name]]]))
        left: npt.NDArray[np.intp] = rows[~like]
        return left

    def _put(self, name: str, rows: npt.NDArray[np.intp], found: Bytes) -> None:
        if name == "ts_ns":
            self._ts_ns[rows] = found.view("<i8")[:, 0]
        elif name == "seq":
            self._seq[rows] = found.view("<i8")[:, 0]
        elif name in self._there:
            self._words.setdefault(name, np.zeros((len(self._starts), 2), dtype=np.uint64))[rows] = found.view("<u8")
            self._there[name][rows] = True

    def _matrix(self, rows: npt.NDArray[np.intp], length: int) -> Bytes:
        if len(rows) == len(self._starts):
            return self._bytes.reshape(-1, length)
        documents: Bytes = self._bytes[self._starts[rows][:, None] + np.arange(length)]
        return documents

    def _money(self, name: str, of_kind: npt.NDArray[np.bool_]) -> MoneyColumn:
        missing = ~self._there[name][of_kind]
        words = self._words.get(name)
        return money_column(np.zeros((len(missing), 2), np.uint64) if words is None else words[of_kind], missing)


def _documents(batch: bytes) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return where each document begins, and how long it is."""
    length = _LENGTH.unpack_from(batch)[0]
    if len(batch) % length == 0:  # mostly all are of one length
        firsts = np.frombuffer(batch, dtype=np.uint8).reshape(-1, length)[:, :4]
        if (firsts == firsts[0]).all():
            starts = np.arange(0, len(batch), length, dtype=np.intp)
            return starts, np.full(len(starts), length, dtype=np.intp)
    found, at = [], 0
    while at < len(batch):
        found.append(at)
        at += _LENGTH.unpack_from(batch, at)[0]
    begins = np.array(found, dtype=np.intp)
    return begins, np.diff(begins, append=len(batch))


def layout_of(document: bytes, symbol: str) -> Layout:
    """Return the layout of a document. OtherMake where it is not that of a tick."""
    places: dict[str, int] = {}
    words: dict[str, str] = {}
    same = np.ones(len(document), dtype=np.bool_)
    for kind, name, at, end in _elements(document):
        if kind == _TEXT:
            words[name] = document[at + 4 : end - 1].decode()
        elif _TYPES.get(name) == kind:
            places[name] = at
            same[at:end] = False
        else:
            raise OtherMake(name)
    kind_word = words.get("kind", "")
    figures = {TRADE: OF_TRADES, QUOTE: OF_QUOTES}.get(kind_word, ())
    if words != {"symbol": symbol, "kind": kind_word} or not places.keys() >= _NEEDED.get(kind_word, {"kind"}):
        raise OtherMake(kind_word)
    if not places.keys() <= {"ts", "ts_ns", "seq", *figures}:
        raise OtherMake(kind_word)
    return Layout(kind_word == TRADE, places, np.flatnonzero(same))


def _elements(document: bytes) -> Iterator[tuple[int, str, int, int]]:
    """Yield type, name, and where the value begins and ends. OtherMake for a type that no tick has."""
    at = 4
    while kind := document[at]:
        named = document.index(0, at + 1)
        name, at = document[at + 1 : named].decode(), named + 1
        if kind == _TEXT:
            end = at + 4 + _LENGTH.unpack_from(document, at)[0]
        elif kind in _WIDTHS:
            end = at + _WIDTHS[kind]
        else:
            raise OtherMake(name)
        yield kind, name, at, end
        at = end


def money_column(words: Words, missing: npt.NDArray[np.bool_]) -> MoneyColumn:
    """Return Decimal128s, each its low and its high word, as a column. OtherMake for infinities and NaN."""
    low, high = words[:, 0], words[:, 1]
    if ((high >> 61) & 3 == 3).any():
        raise OtherMake("not a finite number of up to 34 digits")
    negative = (high >> 63).astype(np.bool_)
    fits = ((high & ((1 << _EXPONENT_AT) - 1)) == 0) & (low < 10**DIGITS) & ~(negative & (low == 0))
    units = np.where(fits, low, 0).astype(np.int64)
    digits = np.where(fits, digits_of(units), DIGITS + 1)
    units[negative] *= -1
    exponents = ((high >> _EXPONENT_AT) & _EXPONENT).astype(np.int64) - _BIAS
    exponents[missing] = 0
    return fixed_point(
        units, exponents, digits, missing, lambda row: str(decode_decimal(Decimal128.from_bid(words[row].tobytes())))
    )
