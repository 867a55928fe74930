"""Ticks of the past in blocks: up to a hundred thousand ticks of one symbol in one document, as compressed columns.

    tick_blocks
    { _id: ObjectId("…"), symbol: "IBM", first: ISODate("2013-10-07T13:30:00.123Z"), last: ISODate("…"),
      first_ns: NumberLong("1381152600123000000"), first_seq: NumberLong(0), last_ns: …, last_seq: …,
      last_trade_ns: …, last_quote_ns: null,
      count: 100000, trades: 100000, quotes: 0, in_series: true, codec: 1, checksum: "9f2c…", data: BinData(0, "…") }

``first`` and ``last`` are for people, cut to milliseconds; the numbers are exact. In a block ticks are in order; blocks
may overlap, where ticks came late. ``in_series`` says whether the ticks were in the time series as well.

Invariant: a block never changes; many small ones are merged into one (``tick_merging``), and then removed. What is not
what was written, by its checksum, is never read: the error names the block. Who writes blocks is in ``tick_seals``.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from bson import Binary, Int64, ObjectId
from pymongo import IndexModel

from qsuite.domain.errors import Unavailable
from qsuite.domain.market import Tick
from qsuite.repos.database import Database, Document, translated
from qsuite.repos.schema import CollectionSpec, schema
from qsuite.repos.tick_documents import stored_date

if TYPE_CHECKING:
    from qsuite.domain.tick_columns.columns import Integers, TickColumns

T = TypeVar("T")

NAME = "tick_blocks"
BLOCK_TICKS = 100_000

_COUNT = {"bsonType": ["int", "long"], "minimum": 0}
_LONG = {"bsonType": "long"}

KNOWN = ("last_ns", "first_ns", "trades", "quotes", "last_trade_ns", "last_quote_ns", "in_series", "_id")
"""What a reader must know before it opens a block."""

SPEC = CollectionSpec(
    NAME,
    schema(
        "_id symbol first last first_ns first_seq last_ns last_seq count trades quotes in_series codec checksum data",
        {
            "_id": {"bsonType": "objectId"},
            "symbol": {"bsonType": "string"},
            "first": {"bsonType": "date"},
            "last": {"bsonType": "date"},
            "first_ns": _LONG,
            "first_seq": _LONG,
            "last_ns": _LONG,
            "last_seq": _LONG,
            "last_trade_ns": {"bsonType": ["long", "null"]},
            "last_quote_ns": {"bsonType": ["long", "null"]},
            "count": {"bsonType": ["int", "long"], "minimum": 1},
            "trades": _COUNT,
            "quotes": _COUNT,
            "in_series": {"bsonType": "bool"},
            "codec": _COUNT,
            "checksum": {"bsonType": "string", "minLength": 32},
            "data": {"bsonType": "binData"},
        },
    ),
    # With them nobody who looks for blocks or counts them opens any.
    indexes=(
        IndexModel([(name, 1) for name in ("symbol", *KNOWN)], name="spans"),
        IndexModel([("in_series", 1), ("count", 1)], name="counts"),
    ),
)


class Span(NamedTuple):
    """What is known of a block without opening it."""

    last_ns: int
    first_ns: int
    trades: int
    quotes: int
    last_trade_ns: int | None
    last_quote_ns: int | None
    in_series: bool
    id: ObjectId


class BlockGone(Exception):
    """A block was merged into another, or dropped, since it was found: look for blocks again."""


def as_they_are(read: Callable[[], T]) -> T:
    """Return what a reading of blocks gives, once more where one went away in between."""
    while True:
        try:
            return read()
        except BlockGone:
            continue


class TickBlocks:
    """Write, find and open blocks; for threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, ticks: Sequence[Tick], *, in_series: bool) -> None:
        """Write a block of one symbol's ticks, which are in order."""
        from qsuite.domain.tick_columns.columns import to_columns

        self.insert_columns(to_columns(ticks[0].symbol, ticks), in_series=in_series)

    def insert_columns(self, columns: "TickColumns", *, in_series: bool) -> None:
        """Write a block of columns, which are in order."""
        with translated("tick blocks"):
            self._database.sync[NAME].insert_one(to_document(columns, in_series=in_series))

    def remove(self, spans: Sequence[Span]) -> None:
        """Delete blocks whose ticks are in another one."""
        with translated("tick blocks"):
            self._database.sync[NAME].delete_many({"_id": {"$in": [span.id for span in spans]}})

    def drop(self, symbol: str, before_ns: int) -> None:
        """Delete a symbol's blocks that end before a time."""
        with translated("tick blocks"):
            self._database.sync[NAME].delete_many({"symbol": symbol, "last_ns": {"$lt": before_ns}})

    def count_alone(self) -> int:
        """Return how many ticks are in blocks and were never in the series."""
        alone: list[Document] = [
            {"$match": {"in_series": False}},
            {"$group": {"_id": None, "count": {"$sum": "$count"}}},
        ]
        with translated("tick blocks"):
            found = list(self._database.sync[NAME].aggregate(alone))
        return int(found[0]["count"]) if found else 0

    def spans(self, symbol: str, start_ns: int | None = None, end_ns: int | None = None) -> list[Span]:
        """Return the blocks that reach into a range, by when they begin."""
        condition: Document = {"symbol": symbol}
        if start_ns is not None:
            condition["last_ns"] = {"$gte": start_ns}
        if end_ns is not None:
            condition["first_ns"] = {"$lt": end_ns}
        with translated("tick blocks"):
            found = self._database.sync[NAME].find(condition, dict.fromkeys(KNOWN, 1))
            spans = [_span(each) for each in found]
        return sorted(spans, key=lambda span: (span.first_ns, span.id))

    def at(self, symbol: str, times: "Integers") -> "Iterator[TickColumns]":
        """Yield the ticks at these times, which are in order, block by block; BlockGone."""
        import numpy as np

        from qsuite.domain.tick_columns.columns import take

        for span in self.spans(symbol, int(times[0]), int(times[-1]) + 1) if len(times) else []:
            start, stop = times.searchsorted(span.first_ns), times.searchsorted(span.last_ns, side="right")
            if start == stop:
                continue
            columns = self.open(span)
            rows = np.flatnonzero(np.isin(columns.ts_ns, times[start:stop]))
            if len(rows):
                yield take(columns, rows)

    def open(self, span: Span) -> "TickColumns":
        """Return a block's columns. BlockGone; Unavailable, naming the block, when it is not what was written."""
        with translated("tick blocks"):
            document = self._database.sync[NAME].find_one({"_id": span.id})
        if document is None:
            raise BlockGone
        return to_block_columns(document)


def _span(document: Document) -> Span:
    return Span(*(document[name] for name in KNOWN))


def to_document(columns: "TickColumns", *, in_series: bool) -> Document:
    """Write columns, which are in order, as a document."""
    # Numbers in arrays and compression are loaded when the first block is written or read: a start does without.
    from qsuite.repos.tick_block_codec import VERSION, checksum, encode_columns

    data = encode_columns(columns)
    trades, quotes = columns.ts_ns[columns.trades], columns.ts_ns[~columns.trades]
    first_ns, last_ns = int(columns.ts_ns[0]), int(columns.ts_ns[-1])
    return {
        "_id": ObjectId(),
        "symbol": columns.symbol,
        "first": stored_date(first_ns),
        "last": stored_date(last_ns),
        "first_ns": Int64(first_ns),
        "first_seq": Int64(int(columns.seq[0])),
        "last_ns": Int64(last_ns),
        "last_seq": Int64(int(columns.seq[-1])),
        "last_trade_ns": Int64(int(trades[-1])) if len(trades) else None,
        "last_quote_ns": Int64(int(quotes[-1])) if len(quotes) else None,
        "count": len(columns),
        "trades": len(trades),
        "quotes": len(quotes),
        "in_series": in_series,
        "codec": VERSION,
        "checksum": checksum(data),
        "data": Binary(data),
    }


def to_block_columns(document: Document) -> "TickColumns":
    """Read a block's document. Unavailable, naming the block, when it is not what was written."""
    from qsuite.repos.tick_block_codec import VERSION, DamagedBlock, checksum, decode_columns

    if document["codec"] != VERSION:
        raise damaged(document["_id"], f"codec {document['codec']} is not known here")
    if checksum(document["data"]) != document["checksum"]:
        raise damaged(document["_id"], "its bytes do not match its checksum")
    try:
        columns = decode_columns(document["data"])
    except DamagedBlock as error:
        raise damaged(document["_id"], str(error)) from error
    kept = (document["symbol"], document["count"], document["first_ns"], document["last_ns"])
    if (columns.symbol, len(columns), columns.ts_ns[0], columns.ts_ns[-1]) != kept:
        raise damaged(document["_id"], "it does not hold what its document says")
    return columns


def damaged(block: ObjectId, reason: str) -> Unavailable:
    """Return the error that names a block which cannot be read."""
    return Unavailable(f"the tick block {block} cannot be read: {reason}", code="ticks.damaged_block", block=str(block))
