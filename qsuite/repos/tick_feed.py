"""Live ticks from one process to the others on its database, in the order they were stored there.

    tick_feed
    { "_id": "0199…:17", "source": UUID("0199…"), "ticks": [ { …as in ``ticks``… }, … ] }

A time series has no change stream and keeps no order of arrival, so what a process stored it also appends here: to a
capped collection, which forgets the oldest by itself and is read by a cursor that waits at its end. Nothing is appended
while nobody else is there to read it. Invariant: a reader gets every batch of every other process once, in order, or
is told that it lost its place.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from uuid import UUID

from pymongo import CursorType, WriteConcern
from pymongo.collection import Collection
from pymongo.cursor import Cursor
from pymongo.errors import DuplicateKeyError
from pymongo.read_concern import ReadConcern

from qsuite.domain.market import Tick
from qsuite.repos.database import Database, Document, translated
from qsuite.repos.schema import CollectionSpec
from qsuite.repos.tick_documents import decode_tick, encode_ticks

NAME = "tick_feed"
SPEC = CollectionSpec(NAME, options={"capped": True, "size": 32 * 1_048_576})
AWAIT_MS = 500


class PlaceLost(Exception):
    """Some of what came since the last reading is gone."""


class TickFeed:
    """Append to the feed, and read what others appended. ``source`` names this process."""

    def __init__(self, database: Database, source: UUID) -> None:
        self.watched = False
        """Whether another process is there to read."""
        self._database = database
        self._source = source
        self._of_others: Document = {"source": {"$ne": source}}
        self._number = 0
        self._after: str | None = None
        self._cursor: Cursor[Document] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="qsuite-feed")

    async def start(self) -> None:
        """Begin behind what is there now."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._find_end)

    async def stop(self) -> None:
        """Read no more."""
        await asyncio.to_thread(self._thread.shutdown)

    async def read(self) -> list[Tick]:
        """Return the next batch of another process; none when there is none for half a second. PlaceLost, rarely."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read)

    # -- for threads --------------------------------------------------------------------------------------------

    def append(self, ticks: Sequence[Tick]) -> None:
        """Append ticks that were stored. After an error the same ones may be appended again."""
        if not self.watched:
            return
        document = {"_id": f"{self._source}:{self._number}", "source": self._source, "ticks": encode_ticks(ticks)}
        with translated("ticks"), suppress(DuplicateKeyError):
            self._collection.insert_one(document)
        self._number += 1

    @property
    def _collection(self) -> Collection[Document]:
        # The ticks themselves are durable: a reader may miss some of the feed where the primary changes. And a majority
        # read is woken by an insert before it may show it, and then waits to the end of its time.
        return self._database.sync.get_collection(
            NAME, write_concern=WriteConcern(w=1), read_concern=ReadConcern("local")
        )

    def _find_end(self) -> None:
        with translated("ticks"):
            feed = self._collection
            last = feed.find_one(self._of_others, {"_id": 1}, sort=[("$natural", -1)])
            if last is None and feed.find_one() is None:  # no cursor waits at the end of an empty collection
                feed.insert_one({"_id": f"{self._source}:first", "source": self._source, "ticks": []})
        self._after = None if last is None else last["_id"]

    def _read(self) -> list[Tick]:
        cursor, self._cursor = self._cursor, None  # after an error it is opened again
        with translated("ticks"):
            if cursor is None or not cursor.alive:
                cursor = self._open()
            document = next(cursor, None)
        self._cursor = cursor
        if document is None:
            return []
        self._after = document["_id"]
        return list(map(decode_tick, document["ticks"]))

    def _open(self) -> Cursor[Document]:
        """Open a cursor behind what was read last."""
        cursor = self._collection.find(self._of_others, cursor_type=CursorType.TAILABLE_AWAIT)
        cursor.max_await_time_ms(AWAIT_MS)
        if self._after is None or any(document["_id"] == self._after for document in cursor):
            return cursor
        self._find_end()
        raise PlaceLost
