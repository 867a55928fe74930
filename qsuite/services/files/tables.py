"""A file on disk as a header and blocks of text cells: CSV (plain or gzip), Parquet, Arrow file, Arrow stream.

What a file is shows in its first bytes, not in its name. Memory is bounded by the block: 256 KiB of text or 16,384
rows of a columnar batch. Columnar values become the text a CSV would hold, so that one reader serves all; a binary
float becomes its shortest decimal (``1.38727``), the only exact statement a float can make.
"""

import csv
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from qsuite.domain.errors import Malformed, SetupError
from qsuite.services.files.columnar import columns_as_text, describe_schema
from qsuite.services.files.rows import BadRow

READ_BYTES = 1 << 18
LINE_BYTES_MAX = 1 << 16
BATCH_ROWS = 1 << 14
_DELIMITERS = ",;\t|"


class Block(NamedTuple):
    """Consecutive records with the line of each, the lines that are no records, and the share of bytes read."""

    lines: range | list[int]
    records: list[list[str]]
    bad: list[BadRow]
    done: float


class Header(NamedTuple):
    """The columns as written, which of them are temporal by type, and which hold binary floats."""

    columns: list[str]
    temporal: frozenset[str] = frozenset()
    floats: frozenset[str] = frozenset()


def read_header(path: Path) -> Header:
    """Read what columns a file has. SetupError when it is no file of a known kind."""
    with opened(path) as (kind, source):
        if kind == "text":
            return Header(_split_header(_first_line(path, source)))
        return Header(*describe_schema(source.schema_arrow if kind == "parquet" else source.schema))


def read_blocks(path: Path) -> Iterator[Block]:
    """Read a file's records from its start. SetupError when it turns out to be damaged."""
    with opened(path) as (kind, source):
        if kind == "text":
            yield from _text_blocks(path, source)
        elif kind == "parquet":
            yield from _batch_blocks(source.iter_batches(batch_size=BATCH_ROWS), source.metadata.num_rows)
        elif kind == "arrow file":
            batches = (source.get_batch(index) for index in range(source.num_record_batches))
            yield from _batch_blocks(batches, None)
        else:
            yield from _batch_blocks(source, None)


def file_kind(path: Path) -> str:
    """Name what the first bytes say: ``parquet``, ``arrow file``, ``arrow stream``, or ``text`` (gzip included)."""
    with path.open("rb") as raw:
        magic = raw.read(6)
    if magic.startswith(b"PAR1"):
        return "parquet"
    if magic == b"ARROW1":
        return "arrow file"
    return "arrow stream" if magic.startswith(b"\xff\xff\xff\xff") else "text"


@contextmanager
def opened(path: Path) -> Iterator[tuple[str, Any]]:
    """Open a file as what it is: its kind, and what reads it. What is wrong with it is a SetupError."""
    with naming(path):
        kind = file_kind(path)
        if kind == "parquet":
            with pq.ParquetFile(path) as parquet:
                yield kind, parquet
        elif kind != "text":
            open_ipc = pa.ipc.open_file if kind == "arrow file" else pa.ipc.open_stream
            with pa.memory_map(str(path)) as mapped, open_ipc(mapped) as reader:
                yield kind, reader
        else:
            with path.open("rb") as raw:
                yield kind, TextSource(raw, path.stat().st_size)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn what is wrong with a file into a SetupError that names it."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as broken:
        raise SetupError(f"{path.name}: damaged gzip: {broken}") from broken
    except Malformed as refused:
        raise SetupError(f"{path.name}: {refused.detail}") from refused
    except pa.ArrowException as broken:
        raise SetupError(f"{path.name}: damaged or unsupported: {_first_words(broken)}") from broken
    except OSError as broken:
        raise SetupError(f"{path.name}: {broken.strerror or _first_words(broken)}") from broken


class TextSource:
    """Bytes of a plain or gzip file, and how far the underlying file has been read."""

    def __init__(self, raw: IO[bytes], size: int) -> None:
        zipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        self._raw, self._size = raw, size
        self._plain: Any = gzip.GzipFile(fileobj=raw) if zipped else raw

    def read(self) -> bytes:
        return bytes(self._plain.read(READ_BYTES))

    @property
    def done(self) -> float:
        return self._raw.tell() / self._size if self._size else 1.0


def _first_line(path: Path, source: TextSource) -> str:
    start = source.read()[:LINE_BYTES_MAX]
    try:
        first = start.split(b"\n", 1)[0].decode("utf-8-sig").rstrip("\r")
    except UnicodeDecodeError:
        first = "\0"
    if "\0" in first or not first.strip():
        raise SetupError(f"{path.name}: neither CSV in UTF-8, Parquet nor Arrow")
    return first


def _split_header(line: str) -> list[str]:
    return split_line(line, find_delimiter(line))


def find_delimiter(header: str) -> str:
    """Return the delimiter that occurs most often in a header line; a comma when none does."""
    return max(_DELIMITERS, key=header.count)


def split_line(line: str, delimiter: str) -> list[str]:
    """Split one physical line into cells; quotes may enclose a cell but never a line end."""
    if '"' not in line:
        return line.split(delimiter)
    return next(csv.reader([line], delimiter=delimiter, strict=True))


def _text_blocks(path: Path, source: TextSource) -> Iterator[Block]:
    line, rest, delimiter = 1, b"", ""
    while True:
        data = source.read()
        text = rest + data
        # The last line may lack its end; everything before stays in whole lines.
        cut = text.rfind(b"\n") + 1 if data else len(text)
        rest, text = text[cut:], text[:cut]
        if len(rest) > LINE_BYTES_MAX:
            raise SetupError(f"{path.name}: a line longer than {LINE_BYTES_MAX} bytes")
        lines = decode_lines(text)
        if lines and not delimiter:
            delimiter = find_delimiter(lines[0] or "")
            lines[0] = ""
        if lines:
            yield split_lines(lines, line, delimiter, source.done)
        line += len(lines)
        if not data:
            return


def decode_lines(text: bytes) -> list[str | None]:
    """Decode whole lines; one that is not UTF-8 is None."""
    lines: list[str | None] = []
    try:
        lines.extend(text.decode().split("\n"))
    except UnicodeDecodeError:
        for part in text.split(b"\n"):
            try:
                lines.append(part.decode())
            except UnicodeDecodeError:
                lines.append(None)
    if lines[-1] == "":
        lines.pop()
    return lines


def split_lines(lines: list[str | None], first_line: int, delimiter: str, done: float = 1.0) -> Block:
    """Split decoded lines into records; blank lines are passed over, unreadable ones reported."""
    numbers: list[int] = []
    records: list[list[str]] = []
    bad: list[BadRow] = []
    for number, line in enumerate(lines, first_line):
        if line is None:
            bad.append(BadRow(number, "not UTF-8"))
            continue
        if line[-1:] == "\r":
            line = line[:-1]
        if not line:
            continue
        if '"' not in line:
            records.append(line.split(delimiter))
        else:
            try:
                records.append(split_line(line, delimiter))
            except csv.Error as wrong:
                bad.append(BadRow(number, f"not CSV: {wrong}"))
                continue
        numbers.append(number)
    return Block(numbers, records, bad, done)


def _batch_blocks(batches: Iterator[Any], total: int | None) -> Iterator[Block]:
    row = 0
    for batch in batches:
        for start in range(0, batch.num_rows, BATCH_ROWS):
            records = columns_as_text(batch.slice(start, BATCH_ROWS))
            # A columnar file tells its length only if it is Parquet; otherwise progress is known at the end alone.
            done = (row + len(records)) / total if total else 0.0
            yield Block(range(row + 1, row + 1 + len(records)), records, [], done)
            row += len(records)


def _first_words(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
