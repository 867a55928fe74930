"""Up to when each symbol's ticks are in blocks, so that every tick is read once, whatever is going on.

    tick_seals
    { _id: "IBM", sealing_to: NumberLong("1381158000000000000"), sealed_to: NumberLong("1381158000000000000") }

    sealing   1 announce  sealing_to = the end of the hours that are over
              2 read      the series from sealed_to on, a block's worth
              3 store     those that are in no block yet as a block
              4 move      sealed_to behind it; 2 to 4 again up to sealing_to
    writing   1 insert    into the series
              2 look      at sealing_to
              3 late      what lies before that, into a block of its own as well
    importing             into blocks alone, on either side of the bounds (``tick_column_additions``)
    reading               all blocks, and the series from sealed_to on; what is in both is one tick

A time series takes no transactions, so neither sealing nor writing can lock the other out. They need not: either the
insert was there when sealing read the series, or it was not, and then the announcement was there when the writer
looked. So every tick that was acknowledged is in a block before ``sealed_to`` has passed it, and killing either of them
at any point leaves nothing to repair. The bounds only rise; who was overtaken moves nothing.

Nor are 3 and 4 one transaction: a process that is killed inside one leaves it open for a minute, and all that has to
pass the same seal waits for that.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from bson import Int64
from pymongo.collection import Collection

from qsuite.domain.market import Tick
from qsuite.repos.database import Database, Document, translated
from qsuite.repos.schema import CollectionSpec, schema
from qsuite.repos.tick_blocks import BLOCK_TICKS, TickBlocks
from qsuite.repos.tick_queries import order_of

NAME = "tick_seals"
NEVER_NS = -(2**63)

SPEC = CollectionSpec(
    NAME,
    schema(
        "_id sealing_to sealed_to",
        {"_id": {"bsonType": "string"}, "sealing_to": {"bsonType": "long"}, "sealed_to": {"bsonType": "long"}},
    ),
)


class Seal(NamedTuple):
    """One symbol's bounds, in nanoseconds since 1970; ``sealed_to <= sealing_to``."""

    sealing_to: int
    sealed_to: int


class TickSeals:
    """Read and move the bounds, and put what is late behind them into blocks. For threads."""

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
        with translated("tick seals"):
            self._seals.update_one(
                {"_id": symbol},
                {"$max": {"sealing_to": Int64(to_ns)}, "$setOnInsert": {"sealed_to": Int64(NEVER_NS)}},
                upsert=True,
            )
        return self.find([symbol])[symbol]

    def move(self, symbol: str, *, from_ns: int, to_ns: int) -> bool:
        """Say that all ticks before ``to_ns`` are in blocks; False when ``from_ns`` is not the bound any more."""
        with translated("tick seals"):
            moved = self._seals.update_one({"_id": symbol, "sealed_to": from_ns}, {"$set": {"sealed_to": Int64(to_ns)}})
        return moved.matched_count == 1

    def put_late(self, ticks: Iterable[Tick], *, in_series: bool) -> None:
        """Write ticks that lie before the bounds of their symbols into blocks of their own."""
        in_order = sorted(ticks, key=lambda tick: (tick.symbol, order_of(tick)))
        for _, group in groupby(in_order, key=lambda tick: tick.symbol):
            of_symbol = list(group)
            for start in range(0, len(of_symbol), BLOCK_TICKS):
                self._blocks.insert(of_symbol[start : start + BLOCK_TICKS], in_series=in_series)

    @property
    def _seals(self) -> Collection[Document]:
        return self._database.sync[NAME]
