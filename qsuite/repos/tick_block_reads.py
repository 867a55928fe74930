"""Ticks out of blocks in order, where blocks may overlap: opened when their time comes, turned to ticks in pieces."""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from qsuite.domain.market import TRADE, Tick
from qsuite.repos.tick_blocks import Span, TickBlocks
from qsuite.repos.tick_queries import Order, TickQuery, order_of

if TYPE_CHECKING:
    from qsuite.domain.tick_columns.columns import TickColumns

AT_ONCE = 2_000
"""Rows turned into ticks at a time: a page costs no whole block."""


def iterate_blocks(
    blocks: TickBlocks, spans: Sequence[Span], query: TickQuery, after: Order | None = None
) -> Generator[Tick, None, None]:
    """Yield the ticks of these blocks in order, behind ``after``, each once; memory holds blocks of one instant.

    BlockGone, behind whole instants, where one of them went away.
    """
    if after is not None:
        query = query._replace(start_ns=after[0] if query.start_ns is None else max(after[0], query.start_ns))
    for tick in _in_order(blocks, deque(spans), query):
        if after is None or order_of(tick) > after:
            yield tick


def once(ticks: Iterator[Tick]) -> Iterator[Tick]:
    """Yield ticks that are in order, the equal ones among those of one place only once."""
    place: Order | None = None
    there: list[Tick] = []
    for tick in ticks:
        if order_of(tick) != place:
            place, there = order_of(tick), []
        if tick not in there:
            there.append(tick)
            yield tick


def _in_order(blocks: TickBlocks, closed: deque[Span], query: TickQuery) -> Iterator[Tick]:
    opened: list[_Opened] = []
    while closed or opened:
        # Whatever begins before the first tick to come has to be open to know which tick that is.
        while closed and (not opened or closed[0].first_ns <= min(each.next_ns for each in opened)):
            block = _Opened(blocks.open(closed.popleft()), query)
            opened += [] if block.done else [block]
        limits = [each.enough_ns for each in opened] + [span.first_ns for span in list(closed)[:1]]
        limit_ns = min((limit for limit in limits if limit is not None), default=None)
        parts = [part for part in [each.until(limit_ns) for each in opened] if part]
        opened = [each for each in opened if not each.done]
        yield from parts[0] if len(parts) == 1 else once(iter(sorted(chain(*parts), key=order_of)))


class _Opened:
    """A block that is being read."""

    def __init__(self, columns: "TickColumns", query: TickQuery) -> None:
        self._columns = columns
        self._kind = query.kind
        times = columns.ts_ns
        self._at = 0 if query.start_ns is None else int(times.searchsorted(query.start_ns))
        self._end = len(times) if query.end_ns is None else int(times.searchsorted(query.end_ns))

    @property
    def done(self) -> bool:
        """Say whether nothing of it is left."""
        return self._at >= self._end

    @property
    def next_ns(self) -> int:
        """Return the time of the next tick."""
        return int(self._columns.ts_ns[self._at])

    @property
    def enough_ns(self) -> int | None:
        """Return a time up to which there are about as many ticks as are made at once, None for the rest."""
        times = self._columns.ts_ns
        # Ticks of one instant are never parted.
        far = int(times.searchsorted(times[min(self._at + AT_ONCE, self._end) - 1], side="right"))
        return int(times[far]) if far < self._end else None

    def until(self, limit_ns: int | None) -> list[Tick]:
        """Take the ticks before a time, None for all."""
        import numpy as np

        from qsuite.domain.tick_columns.columns import take, to_ticks

        times = self._columns.ts_ns[self._at : self._end]
        count = len(times) if limit_ns is None else int(times.searchsorted(limit_ns))
        rows = np.arange(self._at, self._at + count)
        self._at += count
        if self._kind is not None:
            rows = rows[self._columns.trades[rows] == (self._kind == TRADE)]
        return to_ticks(take(self._columns, rows))
