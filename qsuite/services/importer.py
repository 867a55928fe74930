"""Files into storage: bars to ``market_data``, ticks to ``ticks``; can be stopped, gone on with, and repeated.

    chunks (read ahead in a thread) ──> batches ──> at most two being stored ──> progress, in file order

Invariants: whatever stops an import, running it again ends with every row of the file stored once. The import record
says up to which line that is certain; rows behind it are compared with what is stored before they are stored. A row
that breaks a rule, or a bar that contradicts a stored one, is left out and reported, never repaired.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from uuid import UUID

from qsuite.domain.market import Bar, Tick
from qsuite.domain.market_record import MarketRecord
from qsuite.domain.times import NS_PER_MS, NS_PER_S, floor_ms, format_rfc3339
from qsuite.repos.imports import ImportRecord, ImportsRepo
from qsuite.repos.market_data import AddedBars, MarketDataRepo
from qsuite.repos.ticks import AddedTicks, TicksRepo
from qsuite.services.files import BadRow, Chunk, MarketFile, MarketRow
from qsuite.services.reference import ReferenceService
from qsuite.services.ticker_guess import guess_ticker

BATCH_ROWS = 20_000
AT_ONCE = 2
SAVE_EVERY_NS = NS_PER_S
SHOWN = 20
SOURCE_CODE = "import"
SOURCE_NAME = "Imported files"

Chunks = list[Chunk[MarketRow]]


@dataclass(slots=True)
class ImportReport:
    """What an import did; the counts cover earlier, unfinished runs of the same file too.

    ``rows`` were read in this run. ``bad`` and ``conflicts`` show the first twenty of each. ``known`` says that the
    file had been imported whole before, so that nothing was read.
    """

    file: str
    kind: str
    rows: int = 0
    created: int = 0
    unchanged: int = 0
    rejected: int = 0
    done: float = 0.0
    known: bool = False
    resumed: bool = False
    bad: list[BadRow] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    new_tickers: list[str] = field(default_factory=list)


Progress = Callable[[ImportReport], None]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Consecutive rows on their way to storage."""

    chunks: Chunks
    bars: list[Bar]
    finer: list[Bar]
    stored: "asyncio.Future[tuple[AddedTicks, AddedBars]]"


class Importer:
    """Import files, one after the other."""

    def __init__(
        self,
        *,
        ticks: TicksRepo,
        market_data: MarketDataRepo,
        imports: ImportsRepo,
        reference: ReferenceService,
        new_id: Callable[[], UUID],
        clock: Callable[[], int] = time.time_ns,
        batch_rows: int = BATCH_ROWS,
    ) -> None:
        self._ticks = ticks
        self._market_data = market_data
        self._imports = imports
        self._reference = reference
        self._new_id = new_id
        self._clock = clock
        self._batch_rows = batch_rows

    async def run(
        self, file: MarketFile, *, progress: Progress = lambda report: None, again: bool = False
    ) -> ImportReport:
        """Import a file; ``again`` compares every row of one that was imported before.

        SetupError when the file is damaged, Unavailable when storage is away; what was stored before that stays.
        """
        now = floor_ms(self._clock())
        report = ImportReport(file.path.name, file.kind.value)
        identity = await asyncio.to_thread(file.fingerprint)
        record = await self._imports.find(identity)
        if record is not None and record.done and not again:
            report.known, report.done = True, 1.0
            report.unchanged, report.rejected = record.created + record.unchanged, record.rejected
            return report
        if record is None or record.done:
            record = ImportRecord(id=identity, file=report.file, kind=report.kind, started_at=now, updated_at=now)
        report.resumed = record.line > 0
        report.created, report.unchanged, report.rejected = record.created, record.unchanged, record.rejected
        await self._store(file, record, report, progress)
        return report

    async def _store(self, file: MarketFile, record: ImportRecord, report: ImportReport, progress: Progress) -> None:
        under_way: deque[_Batch] = deque()
        saved_ns = self._clock()
        try:
            async with aclosing(self._batches(file, record.line)) as batches:
                async for chunks in batches:
                    under_way.append(await self._begin(chunks, file.path.name, report))
                    if len(under_way) < AT_ONCE:
                        continue
                    record = await self._settle(under_way, record, report)
                    progress(report)
                    if self._clock() - saved_ns >= SAVE_EVERY_NS:
                        await self._imports.save(record)
                        saved_ns = self._clock()
            while under_way:
                record = await self._settle(under_way, record, report)
                progress(report)
            record = replace(record, done=True)
        finally:
            # Also when it is stopped: what is being written must not go on behind the back of the next run.
            await asyncio.gather(*(batch.stored for batch in under_way), return_exceptions=True)
            await self._imports.save(record)
        report.done = 1.0
        progress(report)

    async def _batches(self, file: MarketFile, after_line: int) -> AsyncGenerator[Chunks, None]:
        """Read batches, one ahead of the caller."""
        source = file.chunks(after_line)
        reading = asyncio.ensure_future(asyncio.to_thread(_take, source, self._batch_rows))
        try:
            while taken := await asyncio.shield(reading):
                reading = asyncio.ensure_future(asyncio.to_thread(_take, source, self._batch_rows))
                yield taken
        finally:
            # The file can be closed only when the thread has let go of it.
            await asyncio.gather(reading, return_exceptions=True)
            await asyncio.to_thread(source.close)

    async def _begin(self, chunks: Chunks, name: str, report: ImportReport) -> _Batch:
        rows = [row for chunk in chunks for row in chunk.rows]
        ids = await self._tickers_of(rows, name, report)
        ticks = [row for row in rows if not isinstance(row, Bar)]
        bars = [row for row in rows if isinstance(row, Bar)]
        # Dates hold milliseconds, and no market has bars between them.
        finer = [bar for bar in bars if bar.ts_ns % NS_PER_MS]
        if finer:
            bars = [bar for bar in bars if bar.ts_ns % NS_PER_MS == 0]
        return _Batch(chunks, bars, finer, asyncio.ensure_future(self._write(ticks, bars, ids)))

    async def _write(self, ticks: list[Tick], bars: list[Bar], ids: dict[str, UUID]) -> tuple[AddedTicks, AddedBars]:
        added_ticks, added_bars = AddedTicks(0, 0), AddedBars(0, 0, [])
        if ticks:
            added_ticks = await self._ticks.add_new(ticks)
        if bars:
            now = floor_ms(self._clock())
            added_bars = await self._market_data.add_new(
                [
                    MarketRecord(id=self._new_id(), ticker=ids[bar.symbol], bar=bar, created_at=now, updated_at=now)
                    for bar in bars
                ]
            )
        return added_ticks, added_bars

    async def _settle(self, under_way: deque[_Batch], record: ImportRecord, report: ImportReport) -> ImportRecord:
        """Wait for the oldest batch and count it; return the record that says so."""
        batch = under_way[0]
        ticks, bars = await asyncio.shield(batch.stored)
        under_way.popleft()
        for chunk in batch.chunks:
            report.rows += len(chunk.rows) + len(chunk.bad)
            report.rejected += len(chunk.bad)
            report.bad += chunk.bad[: SHOWN - len(report.bad)]
        report.created += ticks.created + bars.created
        report.unchanged += ticks.unchanged + bars.unchanged
        self._reject(batch.finer, "its time is finer than a millisecond", report)
        self._reject([batch.bars[place] for place in bars.conflicts], "another bar is stored there", report)
        last = batch.chunks[-1]
        report.done = last.done
        return replace(
            record,
            line=last.last_line,
            created=report.created,
            unchanged=report.unchanged,
            rejected=report.rejected,
            updated_at=floor_ms(self._clock()),
        )

    @staticmethod
    def _reject(bars: list[Bar], reason: str, report: ImportReport) -> None:
        report.rejected += len(bars)
        report.conflicts += [
            f"{bar.symbol} {bar.interval} {format_rfc3339(bar.ts_ns)}: {reason}"
            for bar in bars[: SHOWN - len(report.conflicts)]
        ]

    async def _tickers_of(self, rows: list[MarketRow], name: str, report: ImportReport) -> dict[str, UUID]:
        """Return the tickers of all symbols; one that is missing is made, its steps guessed from the data."""
        ids: dict[str, UUID] = {}
        for symbol in dict.fromkeys(row.symbol for row in rows):
            ticker = self._reference.ticker(symbol)
            if ticker is None:
                source = await self._reference.ensure_data_source(SOURCE_CODE, SOURCE_NAME)
                guess = guess_ticker(symbol, rows, f"the import of {name}")
                ticker = await self._reference.ensure_ticker(symbol, {**guess, "data_source": source.id})
                report.new_tickers.append(symbol)
            ids[symbol] = ticker.id
        return ids


def _take(source: Generator[Chunk[MarketRow], None, None], rows: int) -> Chunks:
    taken: Chunks = []
    count = 0
    for chunk in source:
        taken.append(chunk)
        count += len(chunk.rows)
        if count >= rows:
            break
    return taken
