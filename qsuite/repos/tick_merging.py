"""Many small blocks into one: ticks that come late make a block with every batch.

The new block is stored before those it is made of are removed. In between its ticks are there twice, and read once; a
reader that finds one of them gone looks again. So this too may end at any point.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from qsuite.repos.database import Database
from qsuite.repos.tick_blocks import BLOCK_TICKS, BlockGone, Span, TickBlocks
from qsuite.repos.tick_queries import TickQuery

if TYPE_CHECKING:
    from qsuite.domain.tick_columns.columns import TickColumns

SMALL = BLOCK_TICKS // 10
FEW = 16
"""As many small blocks are left alone: each merging writes all of them again."""


class TickMerging:
    """Merge the small blocks of a symbol; for threads."""

    def __init__(self, database: Database) -> None:
        self._blocks = TickBlocks(database)

    def merge(self, symbol: str) -> int:
        """Merge what is small and much; return how many blocks there are less."""
        small = [span for span in self._blocks.spans(symbol) if span.trades + span.quotes <= SMALL]
        merged = 0
        for in_series in (True, False):
            for group in _groups([span for span in small if span.in_series == in_series]):
                try:
                    ticks = self._of_blocks(symbol, group)
                except BlockGone:  # somebody else merges them
                    continue
                self._blocks.insert_columns(ticks, in_series=in_series)
                self._blocks.remove(group)
                merged += len(group) - 1
        return merged

    def _of_blocks(self, symbol: str, spans: Sequence[Span]) -> "TickColumns":
        """Return the ticks of blocks in order, each once."""
        from qsuite.domain.tick_columns.runs import each_once, joined
        from qsuite.repos.tick_column_reads import block_columns

        with closing(block_columns(self._blocks, spans, TickQuery(symbol))) as runs:
            return each_once(joined(list(runs)))


def _groups(spans: Sequence[Span]) -> Iterator[list[Span]]:
    """Yield runs of blocks that make one block together, and are not few."""
    group: list[Span] = []
    count = 0
    for span in spans:
        if count + span.trades + span.quotes > BLOCK_TICKS:
            yield group  # ten of them at least: none has more than a tenth
            group, count = [], 0
        group.append(span)
        count += span.trades + span.quotes
    if len(group) > FEW:
        yield group
