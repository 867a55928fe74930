"""Ticks into storage, each once, although MongoDB keeps no unique index on a time series.

    add ──> the series ──> sealed meanwhile? ──> a block as well        (``tick_seals`` says why)
     └───────── late, as far as is known ──────> a block

Identity: ``(symbol, kind, ts_ns, seq)``. Invariant: ``add_new`` may be given the same ticks again and again, after any
failure, and each is stored once.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import bson
from bson.codec_options import CodecOptions

from qsuite.domain.market import Tick, kind_of
from qsuite.repos.database import Database, Document, translated
from qsuite.repos.tick_documents import decode_tick, encode_tick, encode_ticks
from qsuite.repos.tick_queries import TickQuery, condition_of
from qsuite.repos.tick_tiers import TickTiers

Identity = tuple[str, str, int, int]

INSERT_SIZE = 20_000
FEW = 1_000
"""Ticks looked up one by one instead of by reading the span they lie in."""
# A tick whose identity belongs to another tick takes the next free number this far up: the place among the ticks of one
# instant stays readable in the low digits, and live numbers (microseconds since 1970, about 2^51) are never reached.
DISPLACEMENT = 1 << 40

# {ts_ns: NumberLong(…)} as bytes: length, type, name, value, end.
_ONLY_TIME = struct.Struct("<iB6sqB")
_IN_MEMORY: CodecOptions[Document] = CodecOptions(tz_aware=True)


class AddedTicks(NamedTuple):
    """How many ticks were stored now, and how many had been there already."""

    created: int
    unchanged: int


class TickAdditions:
    """Add ticks to one collection; for threads."""

    def __init__(self, database: Database, name: str, tiers: TickTiers) -> None:
        self._database = database
        self._name = name
        self._tiers = tiers

    def add(self, ticks: Sequence[Tick]) -> None:
        """Store ticks that cannot be there yet."""
        if not self._database.transactions:
            self._insert(ticks)
            return
        seals = self._tiers.seals
        late = seals.late(ticks)
        known_late = set(map(id, late))
        live = [tick for tick in ticks if id(tick) not in known_late]
        self._insert(live)
        if live:
            seals.find({tick.symbol for tick in live})
        seals.put_late(late, in_series=False)
        seals.put_late(seals.late(live), in_series=True)

    def _insert(self, ticks: Sequence[Tick]) -> None:
        collection = self._database.sync[self._name]
        with translated("tick"):
            for start in range(0, len(ticks), INSERT_SIZE):
                part = ticks[start : start + INSERT_SIZE]
                if self._database.transactions:
                    collection.insert_many(encode_ticks(part), ordered=False)
                else:
                    collection.insert_many([bson.decode(encode_tick(tick), _IN_MEMORY) for tick in part])

    def add_new(self, ticks: Sequence[Tick]) -> AddedTicks:
        """Store those that are not there yet."""
        known, in_blocks = self._known(ticks)
        if not known:
            self.add(ticks)
            return AddedTicks(len(ticks), 0)
        placed = [_place(tick, known) for tick in ticks]
        fresh = [tick for tick in placed if _identity(tick) not in known]
        # Of a tick that is only in the series nobody may have looked yet whether sealing passed it by.
        there = [tick for tick in placed if _identity(tick) in known and _identity(tick) not in in_blocks]
        self.add(fresh)
        if self._database.transactions:
            self._tiers.seals.put_late(self._tiers.seals.late(there), in_series=True)
        return AddedTicks(len(fresh), len(ticks) - len(fresh))

    def _known(self, ticks: Iterable[Tick]) -> tuple[dict[Identity, Tick], set[Identity]]:
        """Return the stored ticks of the same symbols, kinds and times, and which of them are in blocks."""
        groups: dict[tuple[str, str], set[int]] = {}
        for tick in ticks:
            groups.setdefault((tick.symbol, kind_of(tick)), set()).add(tick.ts_ns)
        known, in_blocks = {}, set()
        with translated("tick"):
            for (symbol, kind), times in groups.items():
                # The bound before the series, the blocks last: a tick may be met twice, but is not missed in between.
                sealed_to = self._tiers.sealed_to(symbol)
                for tick in self._at(symbol, kind, {ts_ns for ts_ns in times if ts_ns >= sealed_to}):
                    known[_identity(tick)] = tick
                for tick in self._tiers.in_blocks(symbol, kind, times):
                    known[_identity(tick)] = tick
                    in_blocks.add(_identity(tick))
        return known, in_blocks

    def _at(self, symbol: str, kind: str, times: set[int]) -> Iterator[Tick]:
        """Yield a symbol's stored ticks at these times, and perhaps others between them."""
        if not times:
            return
        collection = self._database.sync[self._name]
        condition = condition_of(TickQuery(symbol, min(times), max(times) + 1, kind))
        # Mostly there is nothing in the whole span, and that is found out from the index alone.
        if collection.find_one(condition) is None:
            return
        conditions = [condition]
        if self._database.transactions:
            there = self._times_in(condition) & times
            if not there:
                return
            conditions = [condition_of(TickQuery(symbol, min(there), max(there) + 1, kind))]
            if len(there) <= FEW:
                conditions = [condition_of(TickQuery(symbol, ts_ns, ts_ns + 1, kind)) for ts_ns in there]
        for each in conditions:
            yield from map(decode_tick, collection.find(each, {"_id": 0, "ts": 0}))

    def _times_in(self, condition: Document) -> set[int]:
        """Return the times of ticks, six times as fast as reading them: a sparse file may span a dense market.

        (An ``$in`` of that many times stops mongod 6.0 for minutes: it is tried on every bucket.)
        """
        batches: Any = self._database.sync[self._name].find_raw_batches(condition, {"_id": 0, "ts_ns": 1})
        return {ts_ns for batch in batches for *_, ts_ns, _ in _ONLY_TIME.iter_unpack(batch)}


def _place(tick: Tick, known: dict[Identity, Tick]) -> Tick:
    """Return the tick under an identity that is free, or under its own when it is there already."""
    while (there := known.get(_identity(tick))) is not None and there != tick:
        tick = tick._replace(seq=tick.seq + DISPLACEMENT)
    return tick


def _identity(tick: Tick) -> Identity:
    return tick.symbol, kind_of(tick), tick.ts_ns, tick.seq
