"""Up to when each symbol's ticks are in blocks, so that every tick is read once, whatever is going on.

    tick_seals
    { _id: "IBM", sealing_to: NumberLong("1381158000000000000"), sealed_to: NumberLong("1381158000000000000"),
      blocks: 12, ticks: 1103204, moved: 1103200 }

    sealing   1 announce  sealing_to = the end of the hours that are over
              2 read      the series from sealed_to on, a block's worth
              3 commit    the block, and sealed_to behind it, in one transaction; 2 and 3 again up to sealing_to
    writing   1 insert    into the series
              2 look      at sealing_to
              3 late      what lies before that, into a block of its own as well
    reading               all blocks, and the series from sealed_to on; what is in both is one tick

A time series takes no transactions, so neither sealing nor writing can lock the other out. They need not: either the
insert was there when sealing read the series, or it was not, and then the announcement was there when the writer
looked. So every tick that was acknowledged is in a block before ``sealed_to`` has passed it, and killing either of them
at any point leaves nothing to repair. The bounds only rise; the commit of one who was overtaken changes nothing.

``ticks`` are those in ``blocks``, and ``moved`` as many of the series as they stand for.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

import pymongo
from bson import Int64
from pymongo.client_session import ClientSession
from pymongo.collection import Collection

from qsuite.domain.market import Tick
from qsuite.repos.database import Database, Document, translated
from qsuite.repos.schema import CollectionSpec, schema
from qsuite.repos.tick_blocks import BLOCK_TICKS, TickBlocks
from qsuite.repos.tick_blocks import NAME as BLOCKS
from qsuite.repos.tick_queries import order_of

NAME = "tick_seals"
NEVER_NS = -(2**63)
COMMIT_S = 10.0

_LONG = {"bsonType": "long"}
_COUNT = {"bsonType": ["int", "long"], "minimum": 0}

SPEC = CollectionSpec(
    NAME,
    schema(
        "_id sealing_to sealed_to blocks ticks moved",
        {
            "_id": {"bsonType": "string"},
            "sealing_to": _LONG,
            "sealed_to": _LONG,
            "blocks": _COUNT,
            "ticks": _COUNT,
            "moved": _COUNT,
        },
    ),
)


class Seal(NamedTuple):
    """One symbol's bounds, in nanoseconds since 1970; ``sealed_to <= sealing_to``."""

    sealing_to: int
    sealed_to: int


class Overtaken(Exception):
    """Another process sealed this symbol further in the meantime."""


class TickSeals:
    """Read and move the bounds; write blocks so that they count. For threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._blocks = TickBlocks(database)
        self._sealing_to: dict[str, int] = {}

    def find(self, symbols: Iterable[str]) -> dict[str, Seal]:
        """Return the seals of those symbols that have one."""
        with translated("tick seals"):
            found = self._seals.find({"_id": {"$in": list(symbols)}}, {"sealing_to": 1, "sealed_to": 1})
            seals = {each["_id"]: Seal(int(each["sealing_to"]), int(each["sealed_to"])) for each in found}
        self._sealing_to |= {symbol: seal.sealing_to for symbol, seal in seals.items()}
        return seals

    def late(self, ticks: Sequence[Tick]) -> list[Tick]:
        """Return those of the ticks that belong into blocks, by what was last read: the bounds only rise."""
        known = self._sealing_to
        if not known:
            return []
        return [tick for tick in ticks if tick.ts_ns < known.get(tick.symbol, NEVER_NS)]

    def announce(self, symbol: str, to_ns: int) -> Seal:
        """Say that ticks before ``to_ns`` are going to be sealed; return the seal as it is now."""
        first: Document = {"sealed_to": Int64(NEVER_NS), "blocks": 0, "ticks": 0, "moved": 0}
        with translated("tick seals"):
            self._seals.update_one(
                {"_id": symbol}, {"$max": {"sealing_to": Int64(to_ns)}, "$setOnInsert": first}, upsert=True
            )
        return self.find([symbol])[symbol]

    def seal(self, symbol: str, ticks: Sequence[Tick], *, from_ns: int, to_ns: int, moved: int) -> None:
        """Commit a block of these ticks, in order, and that the symbol is sealed from one bound to the next.

        ``moved`` of the series are in it or were in blocks before. Overtaken when ``from_ns`` is the bound no more.
        """

        def commit(session: ClientSession) -> None:
            if ticks:
                self._blocks.insert(ticks, moved=moved, session=session)
            counted = {"blocks": int(bool(ticks)), "ticks": len(ticks), "moved": moved}
            moves = self._seals.update_one(
                {"_id": symbol, "sealed_to": from_ns},
                {"$set": {"sealed_to": Int64(to_ns)}, "$inc": counted},
                session=session,
            )
            if not moves.matched_count:
                raise Overtaken

        self._commit(commit)

    def put_late(self, ticks: Iterable[Tick]) -> None:
        """Write ticks that lie before the bounds of their symbols into blocks of their own."""
        in_order = sorted(ticks, key=lambda tick: (tick.symbol, order_of(tick)))
        for symbol, group in groupby(in_order, key=lambda tick: tick.symbol):
            of_symbol = list(group)
            for start in range(0, len(of_symbol), BLOCK_TICKS):
                self._commit(self._putting(symbol, of_symbol[start : start + BLOCK_TICKS]))

    def drop(self, symbol: str, before_ns: int) -> None:
        """Delete a symbol's blocks that end before a time."""
        ended = {"symbol": symbol, "last_ns": {"$lt": before_ns}}

        def commit(session: ClientSession) -> None:
            deleted = self._blocks.delete(ended, session=session)
            counted = {"blocks": -deleted.blocks, "ticks": -deleted.ticks, "moved": -deleted.moved}
            self._seals.update_one({"_id": symbol}, {"$inc": counted}, session=session)

        with translated("tick blocks"):
            there = self._database.sync[BLOCKS].find_one(ended, {"_id": 1})
        if there is not None:
            self._commit(commit)

    def totals(self) -> tuple[int, int]:
        """Return how many ticks are in blocks, and how many of the series they stand for."""
        sums = {"$group": {"_id": None, "ticks": {"$sum": "$ticks"}, "moved": {"$sum": "$moved"}}}
        with translated("tick seals"):
            found = list(self._seals.aggregate([sums]))
        return (int(found[0]["ticks"]), int(found[0]["moved"])) if found else (0, 0)

    def _putting(self, symbol: str, ticks: Sequence[Tick]) -> Callable[[ClientSession], None]:
        def commit(session: ClientSession) -> None:
            self._blocks.insert(ticks, moved=0, session=session)
            self._seals.update_one({"_id": symbol}, {"$inc": {"blocks": 1, "ticks": len(ticks)}}, session=session)

        return commit

    def _commit(self, work: Callable[[ClientSession], None]) -> None:
        """Do work in a transaction; the driver repeats it where another one was in the way."""
        client = self._database.sync_client
        with translated("tick blocks"), pymongo.timeout(COMMIT_S), client.start_session() as session:
            session.with_transaction(work)

    @property
    def _seals(self) -> Collection[Document]:
        return self._database.sync[NAME]
