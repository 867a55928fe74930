"""Trades and quotes in a time series that ops can look at; ``tick_documents`` draws one.

MongoDB gives a time series no unique index, no transactions and no order finer than the millisecond of ``ts``, so
both are kept here. Identity: ``(symbol, kind, ts_ns, seq)``. Order: ``(ts_ns, seq)``, a quote before the trade it met.
Invariant: ``add_new`` may be given the same ticks again and again, after any failure, and each is stored once.
"""

import struct
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import groupby, islice
from typing import Any, NamedTuple

import bson
from bson.codec_options import CodecOptions
from pymongo import IndexModel

from qsuite.domain.listing import Page
from qsuite.domain.market import NO_MARKET, Quote, Snapshot, Tick, Trade
from qsuite.domain.times import DAY_NS, NS_PER_S, datetime_to_ns
from qsuite.repos.cursors import cursor_after, read_cursor
from qsuite.repos.database import Database, Document, translated
from qsuite.repos.schema import CollectionSpec
from qsuite.repos.tick_documents import QUOTE, TRADE, decode_tick, encode_tick, encode_ticks, kind_of, stored_date

NAME = "ticks"

# Both directions: on 6.0 the first and the last instant of a symbol are found without a scan only by an index each.
SPEC = CollectionSpec(
    NAME,
    indexes=(
        IndexModel([("symbol", 1), ("ts", 1)], name="by_time"),
        IndexModel([("symbol", 1), ("ts", -1)], name="newest"),
    ),
    options={"timeseries": {"timeField": "ts", "metaField": "symbol", "granularity": "seconds"}},
)

INSERT_SIZE = 20_000
READ_SIZE = 5_000
FEW = 1_000
"""Ticks looked up one by one instead of by reading the span they lie in."""
# A tick whose identity belongs to another tick takes the next free number this far up: the place among the ticks of one
# instant stays readable in the low digits, and live numbers (microseconds since 1970, about 2^51) are never reached.
DISPLACEMENT = 1 << 40
# {ts_ns: NumberLong(…)} as bytes: length, type, name, value, end.
_ONLY_TIME = struct.Struct("<iB6sqB")
_IN_MEMORY: CodecOptions[Document] = CodecOptions(tz_aware=True)
# How far back to look for the newest trade of a symbol that ends in quotes, and the reverse.
_LOOK_BACK_NS = (60 * NS_PER_S, 3_600 * NS_PER_S, DAY_NS, 7 * DAY_NS)


class TickQuery(NamedTuple):
    """Ask for one symbol's ticks with ``start_ns <= ts_ns < end_ns``; each bound and the kind may be open."""

    symbol: str
    start_ns: int | None = None
    end_ns: int | None = None
    kind: str | None = None


class AddedTicks(NamedTuple):
    """How many ticks were stored now, and how many had been there already."""

    created: int
    unchanged: int


class TicksRepo:
    """Keep ticks. Everything runs in the database's threads: a page of ticks is too much work for the event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counted: tuple[int, int] | None = None

    async def add(self, ticks: Sequence[Tick]) -> None:
        """Store ticks that cannot be there yet. After an error some of them may be stored: go on with ``add_new``."""
        await self._database.in_thread(self._add, ticks)

    async def add_new(self, ticks: Sequence[Tick]) -> AddedTicks:
        """Store those of the ticks that are not there yet.

        A tick is there when one of the same symbol, kind, time, number and figures is. Where the figures differ the
        two are different ticks of one instant, and the new one takes a number of its own.
        """
        return await self._database.in_thread(self._add_new, ticks)

    async def page(
        self, query: TickQuery, *, page: int = 1, page_size: int = 100, cursor: str | None = None
    ) -> Page[Tick]:
        """Return one page in order: by number and counted, or by cursor (``""`` is the first) at a cost that stays."""
        if cursor is None:
            return await self._database.in_thread(self._numbered_page, query, page, page_size)
        return await self._database.in_thread(self._cursor_page, query, page_size, cursor)

    async def read(self, query: TickQuery, limit: int) -> list[Tick]:
        """Return the first ``limit`` ticks in order."""
        return await self._database.in_thread(lambda: list(islice(self.iterate(query), limit)))

    async def newest(self, symbols: Sequence[str]) -> dict[str, Snapshot]:
        """Return the last trade and quote by time of those symbols that have ticks.

        The rarer kind is looked for in the seven days before the last tick.
        """
        return await self._database.in_thread(self._newest, symbols)

    async def any_of(self, symbol: str) -> bool:
        """Say whether a symbol has ticks."""
        with translated("tick"):
            return await self._database.collection(NAME).find_one({"symbol": symbol}) is not None

    async def count(self) -> int:
        """Return how many ticks there are: counted once, then followed by MongoDB's own books, which cost nothing."""
        return await self._database.in_thread(self._count)

    async def keep_days(self, days: int) -> None:
        """Let MongoDB drop ticks that are older than this by their own time; 0 keeps them for ever."""
        if self._database.transactions:
            await self._database.in_thread(self._keep_days, days)

    # -- for threads ------------------------------------------------------------------------------------------------

    def iterate(self, query: TickQuery, *, after: tuple[int, int, str] | None = None) -> Generator[Tick, None, None]:
        """Yield ticks in order, in a thread only; memory holds one batch and the ticks of one millisecond.

        ``after`` is the ``(ts_ns, seq, kind)`` to go on behind.
        """
        condition = _condition(query)
        if after is not None:
            condition["ts"] = {**condition.get("ts", {}), "$gte": stored_date(after[0])}
        found = self._database.sync[NAME].find(condition, {"_id": 0}).sort("ts", 1)
        with translated("tick"), closing(found.batch_size(READ_SIZE)) as documents:
            # The server sorts by date as it unpacks its buckets; finer than that nothing is sorted but equal dates.
            for _, same_date in groupby(documents, key=lambda document: document["ts"]):
                for tick in sorted(map(decode_tick, same_date), key=_order):
                    if after is None or _order(tick) > after:
                        yield tick

    def _add(self, ticks: Sequence[Tick]) -> None:
        collection = self._database.sync[NAME]
        with translated("tick"):
            for start in range(0, len(ticks), INSERT_SIZE):
                part = ticks[start : start + INSERT_SIZE]
                if self._database.transactions:
                    collection.insert_many(encode_ticks(part), ordered=False)
                else:
                    collection.insert_many([bson.decode(encode_tick(tick), _IN_MEMORY) for tick in part])

    def _add_new(self, ticks: Sequence[Tick]) -> AddedTicks:
        known = self._known(ticks)
        if not known:
            self._add(ticks)
            return AddedTicks(len(ticks), 0)
        fresh = [tick for tick in (_place(tick, known) for tick in ticks) if tick is not None]
        if fresh:
            self._add(fresh)
        return AddedTicks(len(fresh), len(ticks) - len(fresh))

    def _known(self, ticks: Iterable[Tick]) -> dict[tuple[str, str, int, int], Tick]:
        """Return the stored ticks of the same symbols, kinds and times."""
        groups: dict[tuple[str, str], set[int]] = {}
        for tick in ticks:
            groups.setdefault((tick.symbol, kind_of(tick)), set()).add(tick.ts_ns)
        known = {}
        with translated("tick"):
            for (symbol, kind), times in groups.items():
                for tick in self._at(symbol, kind, times):
                    known[_identity(tick)] = tick
        return known

    def _at(self, symbol: str, kind: str, times: set[int]) -> Iterator[Tick]:
        """Yield a symbol's stored ticks at these times, and perhaps others between them."""
        collection = self._database.sync[NAME]
        condition = _condition(TickQuery(symbol, min(times), max(times) + 1, kind))
        # Mostly there is nothing in the whole span, and that is found out from the index alone.
        if collection.find_one(condition) is None:
            return
        conditions = [condition]
        if self._database.transactions:
            there = self._times_in(condition) & times
            if not there:
                return
            conditions = [_condition(TickQuery(symbol, min(there), max(there) + 1, kind))]
            if len(there) <= FEW:
                conditions = [_condition(TickQuery(symbol, ts_ns, ts_ns + 1, kind)) for ts_ns in there]
        for each in conditions:
            yield from map(decode_tick, collection.find(each, {"_id": 0, "ts": 0}))

    def _times_in(self, condition: Document) -> set[int]:
        """Return the times of ticks, six times as fast as reading them: a sparse file may span a dense market.

        (An ``$in`` of that many times stops mongod 6.0 for minutes: it is tried on every bucket.)
        """
        batches = self._database.sync[NAME].find_raw_batches(condition, {"_id": 0, "ts_ns": 1})
        return {ts_ns for batch in batches for *_, ts_ns, _ in _ONLY_TIME.iter_unpack(batch)}

    def _numbered_page(self, query: TickQuery, page: int, page_size: int) -> Page[Tick]:
        skip = (page - 1) * page_size
        with translated("tick"):
            count = self._database.sync[NAME].count_documents(_condition(query))
        items = list(islice(self.iterate(query), skip, skip + page_size)) if skip < count else []
        return Page(items, count, has_next=skip + len(items) < count)

    def _cursor_page(self, query: TickQuery, page_size: int, cursor: str) -> Page[Tick]:
        scope = repr(("ticks", query))
        ts_ns, seq, kind = read_cursor(cursor, scope, 3) if cursor else (None, 0, "")
        after = None if ts_ns is None else (int(ts_ns), int(seq), str(kind))
        items = list(islice(self.iterate(query, after=after), page_size + 1))
        if len(items) <= page_size:
            return Page(items, None)
        items.pop()
        return Page(items, None, cursor_after(list(_order(items[-1])), scope), has_next=True)

    def _count(self) -> int:
        with translated("tick"):
            committed = self._committed()
            if committed is None or self._counted is None or committed < self._counted[1]:
                found = list(self._database.sync[NAME].aggregate([{"$count": "n"}]))
                self._counted = (found[0]["n"] if found else 0, committed or 0)
        total, before = self._counted
        return int(total) + ((committed or 0) - before)

    def _committed(self) -> int | None:
        """Return how many ticks mongod took in since it started, None where it does not say."""
        if not self._database.transactions:
            return None
        stats: Document = self._database.sync.command("collStats", NAME).get("timeseries", {})
        return stats.get("numMeasurementsCommitted")

    def _keep_days(self, days: int) -> None:
        wanted: Any = days * 86_400 if days else "off"
        with translated("tick"):
            (listed,) = self._database.sync.list_collections(filter={"name": NAME})
            # Changing a collection waits behind every transaction under way, so it is done only when it changes.
            if listed["options"].get("expireAfterSeconds", "off") != wanted:
                self._database.sync.command({"collMod": NAME, "expireAfterSeconds": wanted})

    def _newest(self, symbols: Sequence[str]) -> dict[str, Snapshot]:
        pipeline: list[Document] = [
            {"$match": {"symbol": {"$in": list(symbols)}}},
            {"$sort": {"symbol": 1, "ts": -1}},
            {"$group": {"_id": "$symbol", "ts": {"$first": "$ts"}}},
        ]
        with translated("tick"):
            ends = {
                found["_id"]: datetime_to_ns(found["ts"]) for found in self._database.sync[NAME].aggregate(pipeline)
            }
        return {symbol: self._newest_of(symbol, end_ns) for symbol, end_ns in ends.items()}

    def _newest_of(self, symbol: str, end_ns: int) -> Snapshot:
        found = NO_MARKET
        for kind in (TRADE, QUOTE):
            tick = self._newest_of_kind(symbol, kind, end_ns)
            if isinstance(tick, Trade):
                found = found._replace(trade=tick)
            elif isinstance(tick, Quote):
                found = found._replace(quote=tick)
        return found

    def _newest_of_kind(self, symbol: str, kind: str, end_ns: int) -> Tick | None:
        collection = self._database.sync[NAME]
        for back_ns in _LOOK_BACK_NS:
            condition = {"symbol": symbol, "kind": kind, "ts": {"$gte": stored_date(end_ns - back_ns)}}
            with translated("tick"):
                last = list(collection.find(condition, {"_id": 0}).sort("ts", -1).limit(1))
                if last:
                    same_date = collection.find({"symbol": symbol, "kind": kind, "ts": last[0]["ts"]}, {"_id": 0})
                    return max(map(decode_tick, same_date), key=_order)
        return None


def _place(tick: Tick, known: dict[tuple[str, str, int, int], Tick]) -> Tick | None:
    """Return the tick under an identity that is free, or None when it is there already."""
    while (there := known.get(_identity(tick))) is not None:
        if there == tick:
            return None
        tick = tick._replace(seq=tick.seq + DISPLACEMENT)
    return tick


def _identity(tick: Tick) -> tuple[str, str, int, int]:
    return tick.symbol, kind_of(tick), tick.ts_ns, tick.seq


def _order(tick: Tick) -> tuple[int, int, str]:
    return tick.ts_ns, tick.seq, kind_of(tick)


def _condition(query: TickQuery) -> Document:
    condition: Document = {"symbol": query.symbol}
    dates: Document = {}
    exact: Document = {}
    if query.start_ns is not None:
        dates["$gte"], exact["$gte"] = stored_date(query.start_ns), query.start_ns
    if query.end_ns is not None:
        dates["$lte"], exact["$lt"] = stored_date(query.end_ns), query.end_ns
    if dates:
        condition |= {"ts": dates, "ts_ns": exact}
    if query.kind is not None:
        condition["kind"] = query.kind
    return condition
