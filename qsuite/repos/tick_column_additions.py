"""Columns of ticks straight into blocks, each tick once: history that is imported never passes through the series.

    columns ──> in order, cut into blocks ──> is something there?  no ──────────────────> a block
                                              blocks ─── compared as columns, the rest ──> a block
                                              the series ──> ticks, one by one (``tick_additions``)

What is stored here may lie on either side of a symbol's bound: readers take all blocks, and sealing leaves out what a
block has (``tick_seals``). Identity and invariant are those of ``tick_additions``; a cut of the same columns into the
same blocks is the same every time, so that what is repeated after a death meets whole blocks.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from qsuite.repos.database import Database, translated
from qsuite.repos.tick_additions import DISPLACEMENT, AddedTicks, TickAdditions
from qsuite.repos.tick_blocks import BLOCK_TICKS, TickBlocks, as_they_are
from qsuite.repos.tick_queries import TickQuery, condition_of
from qsuite.repos.tick_seals import NEVER_NS
from qsuite.repos.tick_tiers import TickTiers

if TYPE_CHECKING:
    from qsuite.domain.tick_columns.columns import TickColumns


def blocks_of(parts: "Sequence[TickColumns]", size: int = BLOCK_TICKS) -> "list[TickColumns]":
    """Return columns of any symbols in order, each as much as one block holds."""
    from qsuite.domain.tick_columns.known import cut_into
    from qsuite.domain.tick_columns.runs import in_order, joined

    of_symbol: dict[str, list[TickColumns]] = {}
    for part in parts:
        of_symbol.setdefault(part.symbol, []).append(part)
    return [block for each in of_symbol.values() for block in cut_into(in_order(joined(each)), size)]


class TickColumnAdditions:
    """Add columns to blocks; for threads, any number of them at once."""

    def __init__(self, database: Database, series: str, tiers: TickTiers, additions: TickAdditions) -> None:
        self._database = database
        self._series = series
        self._tiers = tiers
        self._blocks = TickBlocks(database)
        self._additions = additions

    def sealed_to(self, symbols: Iterable[str]) -> dict[str, int]:
        """Return the bounds of symbols. Each gets one here: whoever looks for its newest tick goes by that."""
        wanted = set(symbols)
        seals = self._tiers.seals.find(wanted)
        seals |= {symbol: self._tiers.seals.announce(symbol, NEVER_NS) for symbol in wanted - seals.keys()}
        return {symbol: seal.sealed_to for symbol, seal in seals.items()}

    def add_new(self, block: "TickColumns", sealed_to: int) -> AddedTicks:
        """Store those ticks of one symbol that are not there yet; they are in order and make up one block.

        ``sealed_to`` is the symbol's bound as it was: the bound before the series, the blocks last (as in
        ``tick_additions``).
        """
        if self._in_series(block, sealed_to):
            from qsuite.domain.tick_columns.columns import to_ticks

            return self._additions.add_new(to_ticks(block))
        fresh = as_they_are(lambda: self._fresh(block))
        if len(fresh):
            self._blocks.insert_columns(fresh, in_series=False)
        return AddedTicks(len(fresh), len(block) - len(fresh))

    def _in_series(self, block: "TickColumns", sealed_to: int) -> bool:
        first_ns, last_ns = int(block.ts_ns[0]), int(block.ts_ns[-1])
        if last_ns < sealed_to:
            return False
        query = TickQuery(block.symbol, max(first_ns, sealed_to), last_ns + 1)
        with translated("tick"):
            return self._database.sync[self._series].find_one(condition_of(query)) is not None

    def _fresh(self, block: "TickColumns") -> "TickColumns":
        """Return those that are in no block, in order."""
        first_ns, last_ns = int(block.ts_ns[0]), int(block.ts_ns[-1])
        spans = self._blocks.spans(block.symbol, first_ns, last_ns + 1)
        if not spans:
            return block
        from qsuite.domain.tick_columns.known import without_known
        from qsuite.domain.tick_columns.runs import between, joined

        known = [between(self._blocks.open(span), first_ns, last_ns + 1) for span in spans]
        return without_known(block, joined(known), DISPLACEMENT)
