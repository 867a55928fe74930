"""One market data file: opened, understood, and read in chunks of domain rows.

Opening reads the header and a sample and settles what every line means; reading goes through the file once, in
bounded memory, and can go on behind any line. Everything here is plain data and pure functions of the file's bytes:
it runs in a thread or another process, and reading twice gives the same rows.
"""

import hashlib
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from qsuite.domain.errors import SetupError
from qsuite.domain.intervals import parse_interval
from qsuite.services.files.build import QuoteBarsAs, QuoteSide, Recipe, RowBuilder
from qsuite.services.files.clocks import ClockSpec, find_zone, is_date, spec_from_name, spec_from_sample
from qsuite.services.files.guess import guess_symbol, hinted_interval, infer_interval
from qsuite.services.files.layout import FileKind, Layout, read_layout
from qsuite.services.files.rows import BadRow, Chunk, MarketRow, read_symbol
from qsuite.services.files.tables import Header, read_blocks, read_header

SAMPLE_ROWS = 5_000
_T = TypeVar("_T")
_BAR_KINDS = (FileKind.BARS, FileKind.QUOTE_BARS)


@dataclass(frozen=True)
class FileOptions:
    """What the user says about a file; everything left out is read from it, or guessed and noted.

    ``symbol`` names the rows of a file that has no symbol column, and picks its rows from one that has. ``columns``
    maps our field to their column. ``tz`` is the zone of times that do not say theirs. ``quote_bars`` and ``side``
    say what becomes of bid and ask bars.
    """

    symbol: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    tz: str | None = None
    interval: str | None = None
    kind: FileKind | None = None
    quote_bars: QuoteBarsAs = "both"
    side: QuoteSide = "bid"


@dataclass(frozen=True)
class MarketFile:
    """A file whose lines are understood. ``notes`` tell what was guessed, in words for the user.

    ``symbol`` is None where a column names it, ``interval`` where the rows are ticks or a column gives it.
    ``in_time_order`` says whether the rows come by time, as far as the sample shows.
    """

    path: Path
    recipe: Recipe
    notes: tuple[str, ...]
    in_time_order: bool

    @property
    def kind(self) -> FileKind:
        """What one line is."""
        return self.recipe.layout.kind

    @property
    def symbol(self) -> str | None:
        """The symbol of all rows, if it is one."""
        return self.recipe.symbol or self.recipe.only_symbol

    @property
    def interval(self) -> str | None:
        """The interval of all bars, if it is one."""
        return self.recipe.interval

    def chunks(self, after_line: int = 0) -> Generator[Chunk[MarketRow], None, None]:
        """Read the rows behind a line, which is the ``last_line`` of a chunk read before; 0 reads all.

        SetupError when the file is damaged; what was read before that stands.
        """
        builder = RowBuilder(self.recipe)
        for block in read_blocks(self.path):
            if not block.lines and not block.bad:
                continue
            # Lines already done are still built, because the numbering of equal times goes on from them.
            rows, bad = builder.build(block)
            last_line = max(block.lines[-1] if block.lines else 0, bad[-1].line if bad else 0)
            if last_line <= after_line:
                continue
            yield Chunk(rows, sorted(bad), last_line, block.done)

    def rows(self, after_line: int = 0) -> Iterator[MarketRow | BadRow]:
        """Read row by row: each chunk's rows, then its bad ones."""
        for chunk in self.chunks(after_line):
            yield from chunk.rows
            yield from chunk.bad

    def fingerprint(self) -> str:
        """Return a digest of the file's bytes and of how they are read: the identity of an import."""
        digest = hashlib.blake2b(repr(self.recipe).encode(), digest_size=16)
        with self.path.open("rb") as raw:
            while data := raw.read(1 << 20):
                digest.update(data)
        return digest.hexdigest()


def open_market_file(path: str | Path, options: FileOptions | None = None) -> MarketFile:
    """Open a file and settle what its lines mean. SetupError, one plain line, when it cannot be read as asked."""
    file, wanted = Path(path), options or FileOptions()
    header = read_header(file)
    sample = _sample(file)
    layout = read_layout(header.columns, sample, wanted.columns, file.name, wanted.kind)
    clock, notes = _settle_clock(file, header, layout, wanted, sample)
    notes = [*layout.notes, *notes]
    if not sample:
        raise SetupError(f"{file.name}: no rows")
    symbol, only = _settle_symbol(file, layout, wanted, notes)
    recipe = Recipe(layout, clock, len(header.columns), symbol, only, None, wanted.quote_bars, wanted.side)
    times = _sample_times(recipe, sample)
    if layout.kind in _BAR_KINDS:
        recipe = _with_interval(recipe, file, wanted, times, notes)
    if header.floats & {header.columns[index] for index in layout.at.values()}:
        notes.append("prices stored as binary floats are read as their shortest decimals")
    stamps = [ts_ns for _, ts_ns in times]
    in_order = "symbol" not in layout.at and stamps == sorted(stamps)
    return MarketFile(file, recipe, tuple(notes), in_order)


def _sample(path: Path) -> list[list[str]]:
    records: list[list[str]] = []
    for block in read_blocks(path):
        records.extend(block.records)
        if len(records) >= SAMPLE_ROWS:
            break
    return records[:SAMPLE_ROWS]


def _settle_clock(
    path: Path, header: Header, layout: Layout, wanted: FileOptions, sample: list[list[str]]
) -> tuple[ClockSpec, list[str]]:
    texts = (cells[layout.ts_index].strip() for cells in sample if len(cells) > layout.ts_index)
    text = next((text for text in texts if text), "")
    spec = spec_from_name(layout.ts_column) or ClockSpec()
    if header.columns[layout.ts_index] in header.temporal:
        spec = ClockSpec(zone=spec.zone, zone_known=spec.zone_known)
    elif layout.clock_index is None:
        spec = spec_from_sample(spec, text)
    if wanted.tz is not None:
        _check(lambda: find_zone(wanted.tz or ""), path, "tz")
        if not spec.zone_known:
            return ClockSpec(zone=wanted.tz, zone_known=True), []
        return spec, [f"{layout.ts_column} says its own zone; tz is not used"]
    if spec.zone_known or _has_offset(text):
        return spec, []
    if is_date(text) and layout.clock_index is None:
        return spec, ["dates are trading dates, stamped 00:00 UTC"]
    return spec, ["times without a zone are read as UTC"]


def _has_offset(text: str) -> bool:
    return text.endswith(("Z", "z")) or (len(text) > 16 and text[-6] in "+-")


def _settle_symbol(path: Path, layout: Layout, wanted: FileOptions, notes: list[str]) -> tuple[str | None, str | None]:
    """Return the symbol of every row, and the only symbol wanted of several."""
    if wanted.symbol is not None:
        _check(lambda: read_symbol(wanted.symbol or ""), path, "symbol")
        return (None, wanted.symbol) if "symbol" in layout.at else (wanted.symbol, None)
    if "symbol" in layout.at:
        return None, None
    guessed = guess_symbol(path.name)
    if guessed is None:
        raise SetupError(f"{path.name}: no symbol column and none in the file's name; give --symbol")
    notes.append(f"symbol {guessed} taken from the file's name")
    return guessed, None


def _sample_times(recipe: Recipe, sample: list[list[str]]) -> list[tuple[str, int]]:
    builder = RowBuilder(recipe)
    times = []
    for cells in sample:
        try:
            times.append((builder.symbol(cells), builder.ts_ns(cells)))
        except (ValueError, IndexError):
            continue  # the reading pass reports it with its line
    return times


def _with_interval(
    recipe: Recipe, path: Path, wanted: FileOptions, times: list[tuple[str, int]], notes: list[str]
) -> Recipe:
    interval = None
    if wanted.interval is not None:
        interval = _check(lambda: parse_interval(wanted.interval or ""), path, "interval").name
    elif "interval" not in recipe.layout.at:
        interval = infer_interval(times, hinted_interval(path.name))
        if interval is None:
            raise SetupError(
                f"{path.name}: the length of its bars shows neither in their times nor in its name; give --interval"
            )
        notes.append(f"bars of {interval}, by the spacing of their times")
    return replace(recipe, interval=interval)


def _check(read: Callable[[], _T], path: Path, option: str) -> _T:
    try:
        return read()
    except ValueError as wrong:
        raise SetupError(f"{path.name}: {option}: {wrong}") from wrong
