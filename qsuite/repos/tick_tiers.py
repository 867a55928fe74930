"""The time series and the blocks read as one: blocks for what is sealed, the series for what came since.

Invariant: at every moment of sealing (``tick_seals``) each stored tick is read once and in order. The bound is read
before the blocks are listed, so a block that comes in between repeats ticks of the series, which are the same ticks.
Where a block goes away in between, because it was merged into another, the blocks are listed again.
"""

import heapq
from collections.abc import Generator, Sequence
from contextlib import closing
from functools import partial
from itertools import pairwise

from qsuite.domain.market import QUOTE, TRADE, Quote, Snapshot, Tick, Trade, kind_of
from qsuite.repos.database import Database
from qsuite.repos.tick_block_reads import iterate_blocks, once
from qsuite.repos.tick_blocks import BlockGone, Span, TickBlocks, as_they_are
from qsuite.repos.tick_queries import Order, TickQuery, iterate_ticks, order_of
from qsuite.repos.tick_seals import NEVER_NS, TickSeals


class TickTiers:
    """Read ticks wherever they are; for threads."""

    def __init__(self, database: Database, series: str) -> None:
        self.seals = TickSeals(database)
        self._blocks = TickBlocks(database)
        self._database = database
        self._series = series

    def sealed_to(self, symbol: str) -> int:
        """Return the time before which all of a symbol's ticks are in blocks."""
        if not self._database.transactions:
            return NEVER_NS
        seal = self.seals.find([symbol]).get(symbol)
        return NEVER_NS if seal is None else seal.sealed_to

    def iterate(self, query: TickQuery, after: Order | None = None) -> Generator[Tick, None, None]:
        """Yield ticks in order, behind ``after``."""
        last_ns: int | None = None
        of_instant: list[Tick] = []
        while True:
            try:
                with closing(self._iterate(_from(query, last_ns), after)) as ticks:
                    for tick in ticks:
                        if tick.ts_ns != last_ns:
                            last_ns, of_instant = tick.ts_ns, []
                        elif tick in of_instant:
                            continue
                        of_instant.append(tick)
                        yield tick
                return
            except BlockGone:  # go on with the instant reached, in the blocks as they are now
                continue

    def _iterate(self, query: TickQuery, after: Order | None) -> Generator[Tick, None, None]:
        start_ns, sealed_to = _start(query, after), self.sealed_to(query.symbol)
        spans = self.spans(query.symbol, start_ns, query.end_ns)
        live = _from(query, sealed_to)
        with (
            closing(iterate_blocks(self._blocks, spans, query, after)) as sealed,
            closing(iterate_ticks(self._database.sync[self._series], live, after)) as ticks,
        ):
            if any(span.last_ns >= sealed_to for span in spans):
                yield from once(heapq.merge(sealed, ticks, key=order_of))
                return
            yield from sealed
            if query.end_ns is None or query.end_ns > sealed_to:
                yield from ticks

    def counted(self, query: TickQuery) -> tuple[int | None, TickQuery]:
        """Return how many of a query's ticks are in blocks, None where blocks overlap, and what to count beside them.

        Where they overlap the same tick may be in two, and only reading tells.
        """
        return as_they_are(lambda: self._counted(query))

    def _counted(self, query: TickQuery) -> tuple[int | None, TickQuery]:
        sealed_to, spans = self.sealed_to(query.symbol), self.spans(query.symbol, query.start_ns, query.end_ns)
        live = _from(query, sealed_to)
        if any(one.last_ns >= next_one.first_ns for one, next_one in pairwise(spans)):
            return None, live
        # Imported blocks may lie behind the bound, where the series may have the same ticks.
        behind = [span for span in spans if span.last_ns >= sealed_to]
        if behind and self._any_live(_from(live, behind[0].first_ns)._replace(end_ns=behind[-1].last_ns + 1)):
            return None, live
        whole = [span for span in spans if _holds(query, span)]
        parts = [span for span in spans if not _holds(query, span)]
        sealed = sum(_of_kind(query.kind, span.trades, span.quotes) for span in whole)
        return sealed + sum(1 for _ in iterate_blocks(self._blocks, parts, query)), live

    def _any_live(self, query: TickQuery) -> bool:
        with closing(iterate_ticks(self._database.sync[self._series], query)) as ticks:
            return next(ticks, None) is not None

    def most_in_blocks(self, query: TickQuery) -> int:
        """Return how many of a query's ticks there are in blocks at most: as many as its blocks hold of the kind."""
        spans = self.spans(query.symbol, query.start_ns, query.end_ns)
        return sum(_of_kind(query.kind, span.trades, span.quotes) for span in spans)

    def count_beside_series(self) -> int:
        """Return how many ticks are in blocks and were never in the series."""
        return self._blocks.count_alone() if self._database.transactions else 0

    def drop_blocks(self, symbol: str, before_ns: int) -> None:
        """Delete a symbol's blocks that end before a time."""
        self._blocks.drop(symbol, before_ns)

    def in_blocks(self, symbol: str, kind: str, times: set[int]) -> list[Tick]:
        """Return the ticks in blocks of one kind at these times."""
        if not times or not self._database.transactions:
            return []
        import numpy as np

        from qsuite.domain.tick_columns.columns import to_ticks

        wanted = np.fromiter(sorted(times), np.int64, len(times))
        runs = as_they_are(lambda: list(self._blocks.at(symbol, wanted)))
        return [tick for run in runs for tick in to_ticks(run) if kind_of(tick) == kind]

    def newest(self, symbol: str, live: Snapshot) -> Snapshot:
        """Return a symbol's last trade and quote, given those of the series."""
        trade, quote = live
        for kind, known in ((TRADE, trade), (QUOTE, quote)):
            found = as_they_are(partial(self._newest, symbol, kind, known))
            if isinstance(found, Trade):
                trade = found
            elif isinstance(found, Quote):
                quote = found
        return Snapshot(trade, quote)

    def with_blocks(self, symbols: Sequence[str]) -> set[str]:
        """Return those of the symbols that have blocks."""
        return set(self.seals.find(symbols)) if self._database.transactions else set()

    def any_in_blocks(self, symbol: str) -> bool:
        """Say whether a symbol has ticks in blocks."""
        return bool(self.spans(symbol, None, None))

    def _newest(self, symbol: str, kind: str, found: Tick | None) -> Tick | None:
        """Return the last tick of a kind. Mostly it is the one found already, and no block is opened."""
        known: list[tuple[int, Span]] = []
        for span in self.spans(symbol, None if found is None else found.ts_ns, None):
            last_ns = span.last_trade_ns if kind == TRADE else span.last_quote_ns
            if last_ns is not None and (found is None or last_ns > found.ts_ns):
                known.append((last_ns, span))
        end_ns = max((last_ns for last_ns, _ in known), default=NEVER_NS)
        lasts = (self._last_of(span, kind) for last_ns, span in known if last_ns == end_ns)
        return max((tick for tick in lasts if tick is not None), key=order_of, default=found)

    def _last_of(self, span: Span, kind: str) -> Tick | None:
        columns = self._blocks.open(span)
        import numpy as np

        from qsuite.domain.tick_columns.columns import take, to_ticks

        rows = np.flatnonzero(columns.trades == (kind == TRADE))[-1:]
        return next(iter(to_ticks(take(columns, rows))), None)

    def spans(self, symbol: str, start_ns: int | None, end_ns: int | None) -> list[Span]:
        """Return a symbol's blocks that reach into a range, by when they begin."""
        return self._blocks.spans(symbol, start_ns, end_ns) if self._database.transactions else []


def _start(query: TickQuery, after: Order | None) -> int | None:
    starts = [start for start in (query.start_ns, None if after is None else after[0]) if start is not None]
    return max(starts, default=None)


def _from(query: TickQuery, start_ns: int | None) -> TickQuery:
    """Return the part of a query from a time on."""
    if start_ns is None or start_ns == NEVER_NS:
        return query
    return query._replace(start_ns=start_ns if query.start_ns is None else max(start_ns, query.start_ns))


def _holds(query: TickQuery, span: Span) -> bool:
    starts_before = query.start_ns is None or query.start_ns <= span.first_ns
    return starts_before and (query.end_ns is None or span.last_ns < query.end_ns)


def _of_kind(kind: str | None, trades: int, quotes: int) -> int:
    return (trades if kind != QUOTE else 0) + (quotes if kind != TRADE else 0)
