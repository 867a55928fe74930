"""Ticks of hours that are over, out of the time series into blocks; ``tick_seals`` says why nothing is lost by it."""

from contextlib import closing
from itertools import islice

from qsuite.domain.market import Tick
from qsuite.repos.database import Database
from qsuite.repos.tick_block_reads import once
from qsuite.repos.tick_blocks import BLOCK_TICKS, TickBlocks, as_they_are
from qsuite.repos.tick_queries import TickQuery, iterate_ticks
from qsuite.repos.tick_seals import NEVER_NS, Seal, TickSeals


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
        fresh = self._not_in_blocks(symbol, ticks)
        if fresh:
            self._blocks.insert(fresh, in_series=True)
        return len(ticks) if self._seals.move(symbol, from_ns=sealed_to, to_ns=end_ns) else 0

    def _any(self, query: TickQuery) -> bool:
        with closing(iterate_ticks(self._database.sync[self._series], query)) as ticks:
            return next(ticks, None) is not None

    def _first_of(self, query: TickQuery) -> tuple[list[Tick], int]:
        """Return a block's worth of the series, no instant parted, and the time before which that is all."""
        assert query.end_ns is not None
        with closing(iterate_ticks(self._database.sync[self._series], query)) as found:
            ticks = list(islice(found, self._block_ticks))
            for tick in found:
                if tick.ts_ns != ticks[-1].ts_ns:
                    return ticks, ticks[-1].ts_ns + 1
                ticks.append(tick)
        return ticks, query.end_ns

    def _not_in_blocks(self, symbol: str, ticks: list[Tick]) -> list[Tick]:
        """Return the ticks that no block has yet: imported and late ones are, and those of a life that ended before it
        moved the bound. A day of live ticks may lie among years of imported ones: only their instants are compared."""
        times = {tick.ts_ns for tick in ticks}
        there = set(as_they_are(lambda: list(self._blocks.at(symbol, times))))
        return [tick for tick in once(iter(ticks)) if tick not in there]
