"""Batches of an import: taken from a file in a thread, then stored; the same for rows and for columns.

    RowBatches      bars, and ticks where there are no blocks to put them into: an object for each
    ColumnBatches   files of ticks: columns from the file to the block, without an object for any tick

A batch of one symbol's columns fills blocks and parts no instant, so that blocks do not overlap.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from qsuite.domain.market import Bar, Tick
from qsuite.domain.market_record import MarketRecord
from qsuite.domain.times import NS_PER_MS, floor_ms, format_rfc3339
from qsuite.repos.market_data import MarketDataRepo
from qsuite.repos.ticks import TicksRepo
from qsuite.services.files import BadRow, Chunk, MarketFile, MarketRow
from qsuite.services.ticker_guess import SAMPLED_ROWS

if TYPE_CHECKING:
    from qsuite.services.files.tick_chunks import TickChunk

TickerOf = Callable[[str, Iterable[MarketRow]], Awaitable[UUID]]
"""Find a symbol's ticker, or make one that suits some rows of the symbol."""


@dataclass(slots=True)
class Outcome:
    """What became of a batch of lines, of which ``last_line`` is the last."""

    last_line: int
    done: float
    rows: int = 0
    created: int = 0
    unchanged: int = 0
    bad: list[BadRow] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)


Stored = Awaitable[Outcome]


class Batches(Protocol):
    """A file's batches, from one line on."""

    def take(self) -> bool:
        """Read the next batch and hold it; False at the end of the file. In a thread."""

    async def store(self, ticker_of: TickerOf) -> Stored:
        """Make what tickers the batch in hand needs; return what stores it, which the next ``take`` leaves alone."""

    def close(self) -> None:
        """Let go of the file. In a thread."""


class RowBatches:
    """Rows of any market file."""

    def __init__(
        self,
        file: MarketFile,
        after_line: int,
        *,
        rows: int,
        ticks: TicksRepo,
        market_data: MarketDataRepo,
        new_id: Callable[[], UUID],
        clock: Callable[[], int],
    ) -> None:
        self._source = file.chunks(after_line)
        self._rows = rows
        self._ticks = ticks
        self._market_data = market_data
        self._new_id = new_id
        self._clock = clock
        self._taken: list[Chunk[MarketRow]] = []

    def take(self) -> bool:
        """Read until there are rows enough."""
        self._taken = []
        count = 0
        for chunk in self._source:
            self._taken.append(chunk)
            count += len(chunk.rows)
            if count >= self._rows:
                break
        return bool(self._taken)

    async def store(self, ticker_of: TickerOf) -> Stored:
        """Store ticks as ticks and bars as bars."""
        taken = self._taken
        rows = [row for chunk in taken for row in chunk.rows]
        ids = {
            symbol: await ticker_of(symbol, (row for row in rows if row.symbol == symbol))
            for symbol in dict.fromkeys(row.symbol for row in rows)
        }
        bad = [row for chunk in taken for row in chunk.bad]
        outcome = Outcome(taken[-1].last_line, taken[-1].done, len(rows) + len(bad), bad=bad)
        return self._store(rows, ids, outcome)

    async def _store(self, rows: list[MarketRow], ids: dict[str, UUID], outcome: Outcome) -> Outcome:
        ticks: list[Tick] = [row for row in rows if not isinstance(row, Bar)]
        bars = [row for row in rows if isinstance(row, Bar)]
        if ticks:
            added = await self._ticks.add_new(ticks)
            outcome.created, outcome.unchanged = added.created, added.unchanged
        # Dates hold milliseconds, and no market has bars between them.
        finer = [bar for bar in bars if bar.ts_ns % NS_PER_MS]
        outcome.conflicts += [_conflict(bar, "its time is finer than a millisecond") for bar in finer]
        if bars := [bar for bar in bars if not bar.ts_ns % NS_PER_MS]:
            await self._store_bars(bars, ids, outcome)
        return outcome

    async def _store_bars(self, bars: list[Bar], ids: dict[str, UUID], outcome: Outcome) -> None:
        now = floor_ms(self._clock())
        added = await self._market_data.add_new(
            [
                MarketRecord(id=self._new_id(), ticker=ids[bar.symbol], bar=bar, created_at=now, updated_at=now)
                for bar in bars
            ]
        )
        outcome.created += added.created
        outcome.unchanged += added.unchanged
        outcome.conflicts += [_conflict(bars[place], "another bar is stored there") for place in added.conflicts]

    def close(self) -> None:
        """Close the file."""
        self._source.close()


def _conflict(bar: Bar, reason: str) -> str:
    return f"{bar.symbol} {bar.interval} {format_rfc3339(bar.ts_ns)}: {reason}"


class ColumnBatches:
    """Columns of a file of ticks."""

    def __init__(self, file: MarketFile, after_line: int, *, rows: int, ticks: TicksRepo) -> None:
        from qsuite.services.files.tick_chunks import tick_chunks

        self._source = tick_chunks(file, after_line)
        self._rows = rows
        self._ticks = ticks
        self._taken: list[TickChunk] = []
        self._left: list[TickChunk] = []

    def take(self) -> bool:
        """Read until there are rows enough, and keep what is too much for the next time."""
        from qsuite.services.files.tick_chunks import cut_line, split_chunk

        self._taken, count = [], 0
        for chunk in chain(self._left, self._source):
            self._left, line = [], None
            if count + chunk.rows >= self._rows:
                line = cut_line(chunk, self._rows - count)
            first, second = (chunk, None) if line is None else split_chunk(chunk, line)
            self._taken.append(first)
            count += first.rows
            if second is not None:
                self._left = [second]
            if count >= self._rows or second is not None:
                break
        return bool(self._taken)

    async def store(self, ticker_of: TickerOf) -> Stored:
        """Store them as blocks."""
        from qsuite.services.files.tick_chunks import sample_ticks

        taken = self._taken
        parts = [part.columns for chunk in taken for part in chunk.ticks]
        for symbol in dict.fromkeys(part.symbol for part in parts):
            await ticker_of(symbol, sample_ticks(parts, symbol, SAMPLED_ROWS))
        bad = [row for chunk in taken for row in chunk.bad]
        rows = sum(map(len, parts))
        outcome = Outcome(taken[-1].last_line, taken[-1].done, rows + len(bad), bad=bad)

        async def stored() -> Outcome:
            added = await self._ticks.add_columns(parts)
            outcome.created, outcome.unchanged = added.created, added.unchanged
            return outcome

        return stored()

    def close(self) -> None:
        """Close the file."""
        self._source.close()
