"""Bars that were given to us, one document each.

    { _id: UUID("0192f8a0-…"), ticker: UUID("0192f89f-…"), symbol: "AAPL", interval: "1d",
      timestamp: ISODate("2000-03-01T00:00:00.000Z"), open: Decimal128("118.56"), high: Decimal128("132.06"),
      low: Decimal128("118.5"), close: Decimal128("130.31"), volume: Decimal128("9616100"),
      adjusted_close: Decimal128("4.186662803811"), vwap: null, trades: null,
      created_at: ISODate("…"), updated_at: ISODate("…"), version: 1 }

Invariant: one bar for each symbol, interval and timestamp; a second one that says something else never replaces it
silently.
"""

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from typing import NamedTuple

from pymongo import IndexModel
from pymongo.errors import BulkWriteError

from qsuite.domain.market import Bar
from qsuite.domain.market_record import MarketRecord, same_bar
from qsuite.domain.statistics import BarStatistics, average, describe_bars
from qsuite.domain.times import datetime_to_ns, ns_to_datetime
from qsuite.repos.database import Database, Document, translated
from qsuite.repos.decimals import decode_decimal
from qsuite.repos.documents import DocumentRepo
from qsuite.repos.listing import decimal, instant, plain
from qsuite.repos.market_documents import to_bar, to_document, to_domain
from qsuite.repos.schema import CollectionSpec, money, schema

NAME = "market_data"
DUPLICATE_KEY = 11000
INSERT_SIZE = 5_000

SPEC = CollectionSpec(
    NAME,
    schema(
        ["_id", "ticker", "symbol", "interval", "timestamp", "open", "high", "low", "close", "volume", "version"],
        {
            "_id": {"bsonType": "binData"},
            "ticker": {"bsonType": "binData"},
            "symbol": {"bsonType": "string"},
            "interval": {"bsonType": "string"},
            "timestamp": {"bsonType": "date"},
            "open": money(),
            "high": money(),
            "low": money(),
            "close": money(),
            "volume": money(),
            "adjusted_close": money(nullable=True),
            "vwap": money(nullable=True),
            "trades": {"bsonType": ["int", "long", "null"]},
            "created_at": {"bsonType": "date"},
            "updated_at": {"bsonType": "date"},
            "version": {"bsonType": ["int", "long"], "minimum": 1},
        },
    ),
    (
        IndexModel([("symbol", 1), ("interval", 1), ("timestamp", 1)], name="unique_bar", unique=True),
        IndexModel([("symbol", 1), ("timestamp", -1), ("_id", -1)], name="newest_of_symbol"),
        IndexModel([("timestamp", -1), ("_id", -1)], name="newest"),
    ),
)

FIELDS = {
    "id": plain("_id"),
    "ticker": plain("ticker"),
    "symbol": plain("symbol"),
    "interval": plain("interval"),
    "timestamp": instant("timestamp"),
    "close": decimal("close"),
    "volume": decimal("volume"),
    "created_at": instant("created_at"),
    "updated_at": instant("updated_at"),
}


class BarQuery(NamedTuple):
    """Ask for one symbol's bars with ``start_ns <= ts_ns < end_ns``; each bound and the interval may be open."""

    symbol: str
    interval: str | None = None
    start_ns: int | None = None
    end_ns: int | None = None


class AddedBars(NamedTuple):
    """What became of a batch: how many were stored or there already, and the places of those that contradict."""

    created: int
    unchanged: int
    conflicts: list[int]


class MarketDataRepo(DocumentRepo[MarketRecord]):
    """Keep bars."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, NAME, "bar", to_document=to_document, to_domain=to_domain, fields=FIELDS)

    async def add_new(self, records: Sequence[MarketRecord]) -> AddedBars:
        """Store those of the bars that are not there yet; the same batch again changes nothing.

        A bar whose place is taken by other figures, in storage or earlier in the batch, is a conflict.
        """
        return await self.database.in_thread(self._add_new, records)

    async def read(self, query: BarQuery, limit: int, *, newest_first: bool = False) -> list[Bar]:
        """Return up to ``limit`` bars by time, from the oldest or from the newest on."""
        return await self.database.in_reader(self._read, query, limit, newest_first)

    async def newest(self, symbol: str) -> Bar | None:
        """Return the symbol's bar that starts last, of whatever interval."""
        found = await self.read(BarQuery(symbol), 1, newest_first=True)
        return found[0] if found else None

    async def recent(self, since_ns: int, limit: int) -> list[MarketRecord]:
        """Return the newest bars that start at or after an instant, newest first."""
        with translated(self.what):
            found = self.collection.find({"timestamp": {"$gte": ns_to_datetime(since_ns)}})
            documents = await found.sort([("timestamp", -1), ("_id", -1)]).limit(limit).to_list(limit)
        return [to_domain(document) for document in documents]

    async def intervals(self, symbol: str) -> list[str]:
        """Return the intervals of which a symbol has bars."""
        with translated(self.what):
            return sorted(await self.collection.distinct("interval", {"symbol": symbol}))

    async def any_of(self, symbol: str) -> bool:
        """Say whether a symbol has bars."""
        with translated(self.what):
            return await self.collection.find_one({"symbol": symbol}, {"_id": 1}) is not None

    async def count_of(self, query: BarQuery) -> int:
        """Count the bars of a query."""
        with translated(self.what):
            return int(await self.collection.count_documents(_condition(query)))

    async def statistics(self, query: BarQuery) -> BarStatistics:
        """Describe the bars of a query; MongoDB sums them in decimals, so that no history has to come here."""
        if not self.database.transactions:  # the in-memory database knows no decimal arithmetic
            return describe_bars(await self.read(query, 1_000_000))
        with translated(self.what):
            found = await self.collection.aggregate([{"$match": _condition(query)}, _SUMMARY]).to_list(1)
        return _to_statistics(found[0]) if found else BarStatistics()

    # -- for threads ------------------------------------------------------------------------------------------------

    def iterate(self, query: BarQuery) -> Generator[Bar, None, None]:
        """Yield bars by time, in a thread only; memory holds one batch."""
        with (
            translated(self.what),
            closing(self.database.sync[NAME].find(_condition(query)).sort("timestamp", 1)) as found,
        ):
            for document in found:
                yield to_bar(document)

    def newest_before(self, query: BarQuery, limit: int) -> list[Bar]:
        """Return up to ``limit`` of a query's bars, newest first; in a thread only."""
        return self._read(query, limit, newest_first=True)

    def _add_new(self, records: Sequence[MarketRecord]) -> AddedBars:
        known = self._known(records)
        fresh: list[int] = []
        unchanged, conflicts = 0, []
        for index, record in enumerate(records):
            there = known.setdefault(_place(record.bar), record.bar)
            if there is record.bar:
                fresh.append(index)
            elif same_bar(there, record.bar):
                unchanged += 1
            else:
                conflicts.append(index)
        for start in range(0, len(fresh), INSERT_SIZE):
            part = fresh[start : start + INSERT_SIZE]
            lost = self._insert([records[index] for index in part])
            if lost:  # another process was first: whether with the same figures shows when we look again
                again = self._add_new([records[part[place]] for place in lost])
                unchanged += again.unchanged
                conflicts += [part[lost[place]] for place in again.conflicts]
        return AddedBars(len(records) - unchanged - len(conflicts), unchanged, sorted(conflicts))

    def _insert(self, records: Sequence[MarketRecord]) -> list[int]:
        """Insert bars; return the places of those whose own place was taken."""
        with translated(self.what):
            try:
                self.database.sync[NAME].insert_many([to_document(record) for record in records], ordered=False)
            except BulkWriteError as error:
                faults = error.details.get("writeErrors") or []
                if not faults or any(fault["code"] != DUPLICATE_KEY for fault in faults):
                    raise
                return sorted(fault["index"] for fault in faults)
        return []

    def _known(self, records: Iterable[MarketRecord]) -> dict[tuple[str, str, int], Bar]:
        """Return the stored bars of the same symbols and intervals, from the first time to the last."""
        spans: dict[tuple[str, str], list[int]] = {}
        for bar in (record.bar for record in records):
            span = spans.setdefault((bar.symbol, bar.interval), [bar.ts_ns, bar.ts_ns])
            span[0], span[1] = min(span[0], bar.ts_ns), max(span[1], bar.ts_ns)
        known = {}
        with translated(self.what):
            for (symbol, interval), (first_ns, last_ns) in spans.items():
                condition = _condition(BarQuery(symbol, interval, first_ns, last_ns + 1))
                for document in self.database.sync[NAME].find(condition):
                    bar = to_bar(document)
                    known[_place(bar)] = bar
        return known

    def _read(self, query: BarQuery, limit: int, newest_first: bool) -> list[Bar]:
        with translated(self.what):
            found = self.database.sync[NAME].find(_condition(query))
            return [to_bar(document) for document in found.sort("timestamp", -1 if newest_first else 1).limit(limit)]


_SUMMARY: Document = {
    "$group": {
        "_id": None,
        "count": {"$sum": 1},
        "first": {"$min": "$timestamp"},
        "last": {"$max": "$timestamp"},
        "last_close": {"$top": {"sortBy": {"timestamp": -1, "_id": -1}, "output": "$close"}},
        "closes": {"$sum": "$close"},
        "high": {"$max": "$high"},
        "low": {"$min": "$low"},
        "volume": {"$sum": "$volume"},
    }
}


def _to_statistics(found: Document) -> BarStatistics:
    count, volume = found["count"], decode_decimal(found["volume"])
    return BarStatistics(
        record_count=count,
        first_ns=datetime_to_ns(found["first"]),
        last_ns=datetime_to_ns(found["last"]),
        last_close=decode_decimal(found["last_close"]),
        avg_close=average(decode_decimal(found["closes"]), count),
        max_high=decode_decimal(found["high"]),
        min_low=decode_decimal(found["low"]),
        avg_volume=average(volume, count),
        total_volume=volume,
    )


def _condition(query: BarQuery) -> Document:
    condition: Document = {"symbol": query.symbol}
    if query.interval is not None:
        condition["interval"] = query.interval
    times = {}
    # Stored times are whole milliseconds: rounding a bound up keeps exactly those that are not before it.
    if query.start_ns is not None:
        times["$gte"] = ns_to_datetime(_ceil_ms(query.start_ns))
    if query.end_ns is not None:
        times["$lt"] = ns_to_datetime(_ceil_ms(query.end_ns))
    return condition | ({"timestamp": times} if times else {})


def _ceil_ms(ts_ns: int) -> int:
    return -(-ts_ns // 1_000_000) * 1_000_000


def _place(bar: Bar) -> tuple[str, str, int]:
    return bar.symbol, bar.interval, bar.ts_ns
