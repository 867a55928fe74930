"""Files into storage: bars to ``market_data``, ticks to ``tick_blocks``; can be stopped, gone on with, and repeated.

    file ──> batches (read ahead in a thread) ──> at most two being stored ──> progress, in file order

Invariants: whatever stops an import, running it again ends with every row of the file stored once. The import record
says up to which line that is certain; rows behind it are compared with what is stored before they are stored. A row
that breaks a rule, or a bar that contradicts a stored one, is left out and reported, never repaired.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from uuid import UUID

from qsuite.domain.times import NS_PER_S, floor_ms
from qsuite.repos.imports import ImportRecord, ImportsRepo
from qsuite.repos.market_data import MarketDataRepo
from qsuite.repos.ticks import TicksRepo
from qsuite.services.files import BadRow, FileKind, MarketFile, MarketRow
from qsuite.services.import_batches import Batches, ColumnBatches, Outcome, RowBatches
from qsuite.services.reference import ReferenceService
from qsuite.services.ticker_guess import guess_ticker

BATCH_ROWS = 20_000
COLUMN_ROWS = 200_000
"""Two blocks."""
AT_ONCE = 2
TICK_KINDS = (FileKind.TRADES, FileKind.QUOTES, FileKind.TICKS)
SAVE_EVERY_NS = NS_PER_S
SHOWN = 20
SOURCE_CODE = "import"
SOURCE_NAME = "Imported files"


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
        column_rows: int = COLUMN_ROWS,
    ) -> None:
        self._ticks = ticks
        self._market_data = market_data
        self._imports = imports
        self._reference = reference
        self._new_id = new_id
        self._clock = clock
        self._batch_rows = batch_rows
        self._column_rows = column_rows

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
        under_way: deque[asyncio.Future[Outcome]] = deque()
        saved_ns = self._clock()
        try:
            async with aclosing(self._begun(file, record.line, report)) as begun:
                async for stored in begun:
                    under_way.append(stored)
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
            await asyncio.gather(*under_way, return_exceptions=True)
            await self._imports.save(record)
        report.done = 1.0
        progress(report)

    async def _begun(
        self, file: MarketFile, after_line: int, report: ImportReport
    ) -> "AsyncGenerator[asyncio.Future[Outcome], None]":
        """Begin to store batch after batch; each is read while the caller waits for earlier ones."""
        batches = self._batches(file, after_line)
        reading = asyncio.ensure_future(asyncio.to_thread(batches.take))
        ticker_of = partial(self._ticker_of, file.path.name, report)
        try:
            while await asyncio.shield(reading):
                storing = await batches.store(ticker_of)
                reading = asyncio.ensure_future(asyncio.to_thread(batches.take))
                yield asyncio.ensure_future(storing)
        finally:
            # The file can be closed only when the thread has let go of it.
            await asyncio.gather(reading, return_exceptions=True)
            await asyncio.to_thread(batches.close)

    def _batches(self, file: MarketFile, after_line: int) -> Batches:
        if file.kind in TICK_KINDS and self._ticks.takes_columns:
            return ColumnBatches(file, after_line, rows=self._column_rows, ticks=self._ticks)
        return RowBatches(
            file,
            after_line,
            rows=self._batch_rows,
            ticks=self._ticks,
            market_data=self._market_data,
            new_id=self._new_id,
            clock=self._clock,
        )

    async def _settle(
        self, under_way: "deque[asyncio.Future[Outcome]]", record: ImportRecord, report: ImportReport
    ) -> ImportRecord:
        """Wait for the oldest batch and count it; return the record that says so."""
        outcome = await asyncio.shield(under_way[0])
        under_way.popleft()
        report.rows += outcome.rows
        report.rejected += len(outcome.bad) + len(outcome.conflicts)
        report.bad += outcome.bad[: SHOWN - len(report.bad)]
        report.conflicts += outcome.conflicts[: SHOWN - len(report.conflicts)]
        report.created += outcome.created
        report.unchanged += outcome.unchanged
        report.done = outcome.done
        return replace(
            record,
            line=outcome.last_line,
            created=report.created,
            unchanged=report.unchanged,
            rejected=report.rejected,
            updated_at=floor_ms(self._clock()),
        )

    async def _ticker_of(self, name: str, report: ImportReport, symbol: str, rows: Iterable[MarketRow]) -> UUID:
        """Return a symbol's ticker; one that is missing is made, its steps guessed from the data."""
        ticker = self._reference.ticker(symbol)
        if ticker is None:
            source = await self._reference.ensure_data_source(SOURCE_CODE, SOURCE_NAME)
            guess = guess_ticker(symbol, rows, f"the import of {name}")
            ticker = await self._reference.ensure_ticker(symbol, {**guess, "data_source": source.id})
            report.new_tickers.append(symbol)
        return ticker.id
