"""A tick file as columns of ticks, piece by piece; what columns cannot say is built row by row in between.

Invariant: ticks, numbers and refused lines are those of ``MarketFile.chunks``, however pieces fall; only where a chunk
ends differs.
"""

from collections.abc import Generator, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from qsuite.domain.errors import Malformed
from qsuite.domain.market import Tick
from qsuite.domain.tick_columns.columns import TickColumns, to_columns, to_ticks
from qsuite.domain.tick_columns.runs import cut
from qsuite.services.files.build import RowBuilder
from qsuite.services.files.market_file import MarketFile
from qsuite.services.files.rows import BadRow
from qsuite.services.files.tables import naming
from qsuite.services.files.tick_columns import ColumnBuilder, SymbolTicks, needed_columns
from qsuite.services.files.tick_pieces import Piece, Wanted, read_pieces


class TickChunk(NamedTuple):
    """Consecutive lines of one file: their ticks by symbol, and the lines left out."""

    ticks: list[SymbolTicks]
    bad: list[BadRow]
    last_line: int
    done: float

    @property
    def rows(self) -> int:
        """How many lines were read as ticks."""
        return sum(len(part.lines) for part in self.ticks)


def tick_chunks(file: MarketFile, after_line: int = 0) -> Generator[TickChunk, None, None]:
    """Read the ticks behind a line. SetupError when the file is damaged; what was read before that stands."""
    recipe = file.recipe
    rows = RowBuilder(recipe)
    columns = ColumnBuilder(recipe, rows)
    wanted = Wanted(needed_columns(recipe), recipe.width, recipe.clock.unit_ns is not None)
    with naming(file.path):
        for piece in read_pieces(file.path, wanted):
            # Lines already done are still built, because the numbering of equal times goes on from them.
            for chunk in _built(piece, wanted, columns, rows):
                if chunk.last_line > after_line:
                    yield split_chunk(chunk, after_line)[1]


def split_chunk(chunk: TickChunk, line: int) -> tuple[TickChunk, TickChunk]:
    """Part a chunk behind a line."""
    first = [part for part in (_slice(part, 0, _until(part, line)) for part in chunk.ticks) if len(part.lines)]
    second = [part for part in (_slice(part, _until(part, line), None) for part in chunk.ticks) if len(part.lines)]
    bad = [row for row in chunk.bad if row.line <= line]
    return (
        TickChunk(first, bad, min(line, chunk.last_line), chunk.done),
        TickChunk(second, chunk.bad[len(bad) :], chunk.last_line, chunk.done),
    )


def cut_line(chunk: TickChunk, rows: int) -> int | None:
    """Return the line behind which to part a chunk so that about so many rows come first; None is not at all.

    Ticks of one instant stay together, where the chunk is of one symbol.
    """
    if len(chunk.ticks) != 1:
        lines = np.sort(np.concatenate([part.lines for part in chunk.ticks]))
        return int(lines[rows - 1]) if 0 < rows < len(lines) else None
    ((lines, columns),) = chunk.ticks
    changes = np.flatnonzero(np.diff(columns.ts_ns)) + 1
    places = changes[max(int(changes.searchsorted(rows, side="right")) - 1, 0) :]
    return int(lines[places[0] - 1]) if len(places) else None


def sample_ticks(parts: Sequence[TickColumns], symbol: str, count: int) -> Iterator[Tick]:
    """Yield the first ticks of a symbol, at least so many if there are."""
    for part in parts:
        if part.symbol == symbol:
            yield from to_ticks(cut(part, 0, min(len(part), count)))


def _until(part: SymbolTicks, line: int) -> int:
    return int(part.lines.searchsorted(line, side="right"))


def _slice(part: SymbolTicks, start: int, end: int | None) -> SymbolTicks:
    if start == 0 and (end is None or end == len(part.lines)):
        return part
    rows = slice(start, len(part.lines) if end is None else end)
    return SymbolTicks(part.lines[rows], cut(part.columns, rows.start, rows.stop))


def _built(piece: Piece, wanted: Wanted, columns: ColumnBuilder, rows: RowBuilder) -> Iterator[TickChunk]:
    lines = np.arange(piece.first_line, piece.last_line + 1)
    try:
        ticks = columns.build(piece.cells(wanted), lines)
    except (ValueError, Malformed, pa.ArrowException):
        # Whatever it is, reading row by row says which line it is in, and why.
        smaller = piece.smaller()
        if len(smaller) == 1:
            yield _by_rows(piece, rows)
            return
        for part in smaller:
            yield from _built(part, wanted, columns, rows)
    else:
        yield TickChunk(ticks, [], piece.last_line, piece.done)


def _by_rows(piece: Piece, rows: RowBuilder) -> TickChunk:
    block = piece.block()
    bad = list(block.bad)
    found: dict[str, tuple[list[int], list[Tick]]] = {}
    for line, cells in zip(block.lines, block.records, strict=True):
        row = rows.build_tick(line, cells)
        if isinstance(row, BadRow):
            bad.append(row)
        elif row is not None:
            lines, ticks = found.setdefault(row.symbol, ([], []))
            lines.append(line)
            ticks.append(row)
    parts = [
        SymbolTicks(np.array(lines, dtype=np.int64), to_columns(symbol, ticks))
        for symbol, (lines, ticks) in found.items()
    ]
    return TickChunk(parts, sorted(bad), piece.last_line, piece.done)
