"""Ticks of any range, read by as many database cursors as it takes.

A cursor's time is limited over its whole life, so that one cannot read millions of ticks, and the pace of a slow client
must not keep one open for an hour. A new one begins behind the last tick, at a cost that does not grow with how far
that is. For threads only, as all reading of ticks.
"""

from collections.abc import Generator
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING

from qsuite.domain.market import Tick
from qsuite.repos.tick_queries import Order, order_of
from qsuite.repos.ticks import TickQuery, TicksRepo

if TYPE_CHECKING:
    from qsuite.domain.tick_columns.columns import TickColumns

SLICE_TICKS = 100_000
BATCH_TICKS = 5_000
PIECE_TICKS = 10_000


def in_slices(ticks: TicksRepo, query: TickQuery, after: Order | None = None) -> Generator[Tick, None, None]:
    """Yield a query's ticks in order, behind ``after``."""
    more = True
    while more:
        more = False
        with closing(ticks.iterate(query, after=after)) as found:
            for number, tick in enumerate(islice(found, SLICE_TICKS), 1):
                yield tick
                if number == SLICE_TICKS:
                    more, after = True, order_of(tick)


def in_batches(ticks: Generator[Tick, None, None]) -> Generator[list[Tick], None, None]:
    """Yield ticks by the thousand."""
    with closing(ticks):
        while batch := list(islice(ticks, BATCH_TICKS)):
            yield batch


def in_pieces(runs: "Generator[TickColumns, None, None]") -> "Generator[TickColumns, None, None]":
    """Yield runs of columns in pieces that are sent at once; they are views, nothing is copied."""
    from qsuite.domain.tick_columns.runs import cut

    with closing(runs):
        for run in runs:
            for start in range(0, len(run), PIECE_TICKS):
                yield cut(run, start, min(start + PIECE_TICKS, len(run)))
