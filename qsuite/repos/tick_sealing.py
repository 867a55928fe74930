"""Ticks of hours that are over, out of the time series into blocks; ``tick_seals`` says why nothing is lost by it.

All of it works on columns: one object for each tick kept the interpreter from answering orders meanwhile.
"""

from typing import TYPE_CHECKING

from qsuite.repos.database import Database, translated
from qsuite.repos.tick_blocks import BLOCK_TICKS, TickBlocks, as_they_are
from qsuite.repos.tick_queries import TickQuery, condition_of
from qsuite.repos.tick_seals import NEVER_NS, Seal, TickSeals

if TYPE_CHECKING:
    from qsuite.domain.tick_columns.columns import TickColumns


class TickSealing:
    """Seal one block after the other; for threads. Any number of processes may, and each may end at any point."""

    def __init__(self, database: Database, series: str, *, block_ticks: int = BLOCK_TICKS) -> None:
        self._seals = TickSeals(database)
        self._blocks = TickBlocks(database)
        self._database = database
        self._series = series
        self._block_ticks = block_ticks

    def seal(self, symbol: str, to_ns: int) -> int:
        """Seal the first block of what is not sealed before ``to_ns``; return how many ticks of the series it takes."""
        sealed_to = self._seals.find([symbol]).get(symbol, Seal(NEVER_NS, NEVER_NS)).sealed_to
        if sealed_to >= to_ns or not self._any(TickQuery(symbol, sealed_to, to_ns)):
            return 0
        # Only what is read after this is sure to be all there is.
        sealed_to = self._seals.announce(symbol, to_ns).sealed_to
        ticks, end_ns = self._first_of(TickQuery(symbol, sealed_to, to_ns))
        if len(ticks):
            fresh = self._not_in_blocks(ticks)
            if len(fresh):
                self._blocks.insert_columns(fresh, in_series=True)
        return len(ticks) if self._seals.move(symbol, from_ns=sealed_to, to_ns=end_ns) else 0

    def _any(self, query: TickQuery) -> bool:
        with translated("tick"):
            return self._database.sync[self._series].find_one(condition_of(query), {"_id": 0, "ts": 1}) is not None

    def _first_of(self, query: TickQuery) -> tuple["TickColumns", int]:
        """Return about a block's worth of the series, no instant parted, and the time before which that is all."""
        from qsuite.domain.tick_columns.runs import cut, joined
        from qsuite.repos.tick_series_columns import first_slice

        to_ns = query.end_ns
        assert to_ns is not None
        runs: list[TickColumns] = []
        wanted, more = self._block_ticks, True
        # One cursor mostly does. A tenth less is no matter: for each the server may have to sort a whole minute.
        while more and wanted > self._block_ticks // 10:
            run, more = first_slice(self._database, self._series, query, wanted)
            runs.append(run)
            wanted -= len(run)
            query = query._replace(start_ns=int(run.ts_ns[-1]) + 1 if len(run) else to_ns)
        ticks = joined(runs)
        times = ticks.ts_ns
        if len(ticks) > self._block_ticks:
            stop = int(times.searchsorted(times[self._block_ticks - 1], side="right"))
            ticks, more = cut(ticks, 0, stop), more or stop < len(times)
        return ticks, int(ticks.ts_ns[-1]) + 1 if more else to_ns

    def _not_in_blocks(self, ticks: "TickColumns") -> "TickColumns":
        """Return the ticks that no block has yet: imported and late ones are, and those of a life that ended before it
        moved the bound. A day of live ticks may lie among years of imported ones: only their instants are compared."""
        from qsuite.domain.tick_columns.runs import each_once, joined, without

        there = as_they_are(lambda: list(self._blocks.at(ticks.symbol, ticks.ts_ns)))
        return without(each_once(ticks), joined(there)) if there else each_once(ticks)
