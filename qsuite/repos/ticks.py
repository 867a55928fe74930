"""Trades and quotes: live ones in a time series that ops can look at, those of the past in blocks.

    add ──> series ``ticks`` (``tick_documents``) ──seal──> ``tick_blocks`` <── add_columns (history)
                  └───────────── read as one (``tick_tiers``) ────┘

MongoDB gives a time series no unique index, no transactions and no order finer than a millisecond, so both identity
(``tick_additions``) and order (``tick_queries``) are kept here.
"""

import asyncio
from collections.abc import Generator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import pymongo
from pymongo import IndexModel
from pymongo.errors import PyMongoError

from qsuite.domain.errors import Invalid, Unavailable
from qsuite.domain.listing import Page
from qsuite.domain.market import NO_MARKET, Snapshot, Tick
from qsuite.domain.times import datetime_to_ns
from qsuite.repos.cursors import cursor_after, read_cursor
from qsuite.repos.database import Database, Document, translated
from qsuite.repos.schema import CollectionSpec
from qsuite.repos.tick_additions import AddedTicks, TickAdditions
from qsuite.repos.tick_column_additions import TickColumnAdditions, blocks_of
from qsuite.repos.tick_feed import TickFeed
from qsuite.repos.tick_merging import TickMerging
from qsuite.repos.tick_queries import Order, TickQuery, condition_of, newest_of, order_of
from qsuite.repos.tick_sealing import TickSealing
from qsuite.repos.tick_tiers import TickTiers

if TYPE_CHECKING:
    from qsuite.domain.tick_columns.columns import TickColumns

__all__ = ["AddedTicks", "TickQuery", "TicksRepo"]

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

SKIPPED_MAX = 100_000
"""Ticks that a numbered page may lie behind; each of them is read on the way."""
COUNT_S = 1.0


class TicksRepo:
    """Keep ticks, and append new ones to the ``feed`` if there is one.

    Everything runs in the database's threads: a page of ticks is too much work for the event loop.
    """

    def __init__(self, database: Database, feed: TickFeed | None = None) -> None:
        self._database = database
        self._feed = feed
        self._tiers = TickTiers(database, NAME)
        self._sealing = TickSealing(database, NAME)
        self._merging = TickMerging(database)
        self._additions = TickAdditions(database, NAME, self._tiers)
        self._column_additions = TickColumnAdditions(database, NAME, self._tiers, self._additions)
        self._counted: tuple[int, int] | None = None

    @property
    def takes_columns(self) -> bool:
        """Say whether ``add_columns`` can be used: blocks are kept in a real MongoDB alone."""
        return self._database.transactions

    async def add(self, ticks: Sequence[Tick]) -> None:
        """Store ticks that cannot be there yet. After an error some of them may be stored: go on with ``add_new``."""
        await self._database.in_thread(self._add, ticks)

    async def add_new(self, ticks: Sequence[Tick]) -> AddedTicks:
        """Store those of the ticks that are not there yet.

        A tick is there when one of the same symbol, kind, time, number and figures is. Where the figures differ the
        two are different ticks of one instant, and the new one takes a number of its own.
        """
        return await self._database.in_thread(self._add_new, ticks)

    async def add_columns(self, parts: "Sequence[TickColumns]") -> AddedTicks:
        """Store as ``add_new`` does, in blocks: history, of any symbols, which nobody who follows the market is told.

        As many blocks are written at a time as there are threads.
        """
        blocks = await self._database.in_thread(blocks_of, parts)
        bounds = await self._database.in_thread(self._column_additions.sealed_to, {block.symbol for block in blocks})
        added = await asyncio.gather(
            *(
                self._database.in_thread(self._column_additions.add_new, block, bounds[block.symbol])
                for block in blocks
            ),
            # What is written must not go on behind the back of who was told that it failed.
            return_exceptions=True,
        )
        for each in added:
            if isinstance(each, BaseException):
                raise each
        done = [each for each in added if not isinstance(each, BaseException)]
        return AddedTicks(sum(each.created for each in done), sum(each.unchanged for each in done))

    async def page(
        self, query: TickQuery, *, page: int = 1, page_size: int = 100, cursor: str | None = None
    ) -> Page[Tick]:
        """Return one page in order: by number and counted, or by cursor (``""`` is the first) at a cost that stays."""
        if cursor is None:
            return await self._database.in_reader(self._numbered_page, query, page, page_size)
        return await self._database.in_reader(self._cursor_page, query, page_size, cursor)

    async def read(self, query: TickQuery, limit: int) -> list[Tick]:
        """Return the first ``limit`` ticks in order."""
        return await self._database.in_reader(lambda: list(islice(self.iterate(query), limit)))

    async def newest(self, symbols: Sequence[str]) -> dict[str, Snapshot]:
        """Return the last trade and quote by time of those symbols that have ticks.

        The rarer kind is looked for in the seven days before the last tick.
        """
        return await self._database.in_thread(self._newest, symbols)

    async def any_of(self, symbol: str) -> bool:
        """Say whether a symbol has ticks."""
        with translated("tick"):
            if await self._database.collection(NAME).find_one({"symbol": symbol}) is not None:
                return True
        return await self._database.in_thread(self._tiers.any_in_blocks, symbol)

    async def count(self) -> int:
        """Return how many ticks there are: counted once, then followed by MongoDB's own books, which cost nothing."""
        return await self._database.in_reader(self._count)

    async def seal(self, symbol: str, to_ns: int) -> int:
        """Move the oldest ticks before a time, about a block of them, into a block; return how many, 0 at the end."""
        return await self._database.in_reader(self._sealing.seal, symbol, to_ns)

    async def merge_blocks(self, symbol: str) -> None:
        """Make few blocks out of the many small ones that late ticks are in."""
        await self._database.in_reader(self._merging.merge, symbol)

    async def drop_blocks(self, symbol: str, before_ns: int) -> None:
        """Delete a symbol's blocks that end before a time."""
        await self._database.in_thread(self._tiers.drop_blocks, symbol, before_ns)

    async def keep_days(self, days: int) -> None:
        """Let MongoDB drop ticks that are older than this by their own time; 0 keeps them for ever."""
        if self._database.transactions:
            await self._database.in_thread(self._keep_days, days)

    # -- for threads ------------------------------------------------------------------------------------------------

    def iterate(self, query: TickQuery, *, after: Order | None = None) -> Generator[Tick, None, None]:
        """Yield ticks in order, in a thread only; memory holds one batch."""
        return self._tiers.iterate(query, after)

    def columns(self, query: TickQuery) -> "Generator[TickColumns, None, None]":
        """Yield the ticks of ``iterate`` as columns, in a thread only: runs in order, no instant parted, none empty.

        Memory holds a few blocks. A run may be taken as slowly as one likes: between two no database cursor is open.
        """
        # Numbers in arrays are loaded when they are needed: a start does without.
        from qsuite.repos.tick_column_reads import TickColumnReads

        return TickColumnReads(self._database, NAME, self._tiers).iterate(query)

    def as_of(self, symbol: str, ts_ns: int) -> Snapshot:
        """Return a symbol's last trade and quote before an instant, in a thread only."""
        # Numbers in arrays are loaded when they are needed: a start does without.
        from qsuite.repos.ticks_as_of import TicksAsOf

        return TicksAsOf(self._database, NAME, self._tiers).at(symbol, ts_ns)

    def most_in_blocks(self, query: TickQuery) -> int:
        """Return how many of a query's ticks there are in blocks at most, in a thread only; no block is opened."""
        return self._tiers.most_in_blocks(query)

    def _add(self, ticks: Sequence[Tick]) -> None:
        self._additions.add(ticks)
        if self._feed is not None:
            self._feed.append(ticks)

    def _add_new(self, ticks: Sequence[Tick]) -> AddedTicks:
        added = self._additions.add_new(ticks)
        if self._feed is not None:
            self._feed.append(ticks)
        return added

    def _numbered_page(self, query: TickQuery, page: int, page_size: int) -> Page[Tick]:
        skip = (page - 1) * page_size
        if skip > SKIPPED_MAX:
            raise Invalid(
                "the query string has errors", errors={"page": [f"beyond {SKIPPED_MAX:,} ticks use a cursor"]}
            )
        found = list(islice(self.iterate(query), skip, skip + page_size + 1))
        return Page(found[:page_size], self._count_of(query), has_next=len(found) > page_size)

    def _count_of(self, query: TickQuery) -> int | None:
        """Count a query's ticks, or return None where that would take too long."""
        sealed, live = self._tiers.counted(query)
        if sealed is None:
            return None
        try:
            with translated("tick"), pymongo.timeout(COUNT_S):
                return sealed + self._database.sync[NAME].count_documents(condition_of(live))
        except Unavailable as error:
            if isinstance(error.__cause__, PyMongoError) and error.__cause__.timeout:
                return None
            raise

    def _cursor_page(self, query: TickQuery, page_size: int, cursor: str) -> Page[Tick]:
        scope = repr(("ticks", query))
        ts_ns, seq, kind = read_cursor(cursor, scope, 3) if cursor else (None, 0, "")
        after = None if ts_ns is None else (int(ts_ns), int(seq), str(kind))
        items = list(islice(self.iterate(query, after=after), page_size + 1))
        if len(items) <= page_size:
            return Page(items, None)
        items.pop()
        return Page(items, None, cursor_after(list(order_of(items[-1])), scope), has_next=True)

    def _count(self) -> int:
        with translated("tick"):
            committed = self._committed()
            if committed is None or self._counted is None or committed < self._counted[1]:
                found = list(self._database.sync[NAME].aggregate([{"$count": "n"}]))
                self._counted = (found[0]["n"] if found else 0, committed or 0)
        total, before = self._counted
        return int(total) + ((committed or 0) - before) + self._tiers.count_beside_series()

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
            ticks = self._database.sync[NAME]
            live = {symbol: newest_of(ticks, symbol, end_ns) for symbol, end_ns in ends.items()}
        sealed = self._tiers.with_blocks(symbols)
        return live | {symbol: self._tiers.newest(symbol, live.get(symbol, NO_MARKET)) for symbol in sealed}
