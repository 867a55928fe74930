"""A tick file in pieces that become columns: text in blocks of whole lines, Parquet and Arrow in batches of rows.

A piece can be taken apart in two ways: into Arrow arrays by field, and into the records that rows are built of, with
the same line numbers. Memory holds one piece: 4 MiB of text, or 65,536 rows.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from qsuite.domain.errors import SetupError
from qsuite.services.files.columnar import columns_as_text
from qsuite.services.files.tables import (
    LINE_BYTES_MAX,
    Block,
    TextSource,
    decode_lines,
    find_delimiter,
    opened,
    split_lines,
)

PIECE_BYTES = 1 << 22
SMALL_BYTES = 1 << 16
PIECE_ROWS = 1 << 16
SMALL_ROWS = 1 << 11
TIME = "ts"


class Wanted(NamedTuple):
    """Which columns are read, by field; of how many; and whether times are whole numbers."""

    columns: Mapping[str, int]
    width: int
    times_are_counts: bool


class Piece(Protocol):
    """Consecutive lines of a file."""

    first_line: int
    last_line: int
    done: float

    def cells(self, wanted: Wanted) -> Mapping[str, Any]:
        """Return Arrow arrays by field, with a value for every line. ValueError where that is not all there is."""

    def block(self) -> Block:
        """Return the piece as records."""

    def smaller(self) -> "list[Piece]":
        """Return the piece in smaller ones; itself alone when it is small."""


def read_pieces(path: Path, wanted: Wanted) -> Iterator[Piece]:
    """Read a file from its start. SetupError when it turns out to be damaged; what comes before that is read."""
    with opened(path) as (kind, source):
        if kind == "text":
            yield from _text_pieces(path, source)
        elif kind == "parquet":
            yield from _parquet_pieces(path, source, wanted)
        else:
            batches = source
            if kind == "arrow file":
                batches = (source.get_batch(index) for index in range(source.num_record_batches))
            yield from _row_pieces(map(_checked, batches), range(wanted.width), wanted.width, None)


# -- text -------------------------------------------------------------------------------------------------------------


class TextPiece:
    """Whole lines of text."""

    def __init__(self, data: bytes, first_line: int, delimiter: str, done: float) -> None:
        self._data = data
        self._delimiter = delimiter
        self._count = data.count(b"\n") + (not data.endswith(b"\n"))
        self.first_line, self.last_line, self.done = first_line, first_line + self._count - 1, done

    def cells(self, wanted: Wanted) -> Mapping[str, Any]:
        """Let Arrow take the lines apart, where it does that just as rows are."""
        data = self._data
        # Quotes have rules of their own, a carriage return inside a line would end it, and 0x10 would be a number.
        if b'"' in data or _has_lone_return(data) or (wanted.times_are_counts and _has_hex(data)):
            raise ValueError("not plain text")
        if not data.isascii():
            data.decode()
        try:
            table = self._parsed(wanted, pa.int64() if wanted.times_are_counts else pa.string())
        except pa.ArrowInvalid:
            if not wanted.times_are_counts:
                raise
            table = self._parsed(wanted, pa.string())  # counts with decimals, perhaps
        if table.num_rows != self._count:
            raise ValueError("not a record in each line")
        return {field: table.column(str(index)).combine_chunks() for field, index in wanted.columns.items()}

    def _parsed(self, wanted: Wanted, time: Any) -> Any:
        names = [str(index) for index in range(wanted.width)]
        # Of prices the different ones are read, so they come apart at once.
        types = {names[index]: pa.dictionary(pa.int32(), pa.string()) for index in wanted.columns.values()}
        types[names[wanted.columns[TIME]]] = time
        return pa.csv.read_csv(
            pa.py_buffer(self._data),
            pa.csv.ReadOptions(column_names=names, use_threads=False, block_size=len(self._data) + 1),
            pa.csv.ParseOptions(delimiter=self._delimiter, quote_char=False),
            pa.csv.ConvertOptions(column_types=types, include_columns=list(types), null_values=[], check_utf8=False),
        )

    def block(self) -> Block:
        """Split the lines."""
        return split_lines(decode_lines(self._data), self.first_line, self._delimiter, self.done)

    def smaller(self) -> list[Piece]:
        """Cut at line ends."""
        if len(self._data) <= 2 * SMALL_BYTES:
            return [self]
        pieces: list[Piece] = []
        start, line = 0, self.first_line
        while start < len(self._data):
            end = self._data.find(b"\n", start + SMALL_BYTES) + 1 or len(self._data)
            pieces.append(TextPiece(self._data[start:end], line, self._delimiter, self.done))
            start, line = end, pieces[-1].last_line + 1
        return pieces


def _has_lone_return(data: bytes) -> bool:
    return b"\r" in data and data.count(b"\r") != data.count(b"\r\n")


def _has_hex(data: bytes) -> bool:
    # One letter is found forty times as fast as two characters.
    return (b"x" in data and b"0x" in data) or (b"X" in data and b"0X" in data)


def _text_pieces(path: Path, source: TextSource) -> Iterator[Piece]:
    line, rest, delimiter = 1, b"", ""
    for data in _read_much(source):
        text = rest + data
        # The last line may lack its end; everything before stays in whole lines.
        cut = text.rfind(b"\n") + 1 if data else len(text)
        rest, text = text[cut:], text[:cut]
        if len(rest) > LINE_BYTES_MAX:
            raise SetupError(f"{path.name}: a line longer than {LINE_BYTES_MAX} bytes")
        if text and not delimiter:
            header, _, text = text.partition(b"\n")
            delimiter, line = find_delimiter(header.decode()), 2
        if text:
            piece = TextPiece(text, line, delimiter, source.done)
            line = piece.last_line + 1
            yield piece


def _read_much(source: TextSource) -> Iterator[bytes]:
    """Read a piece's worth at a time, nothing at the end; of a damaged file all that can be read comes first."""
    parts: list[bytes] = []
    damage: Exception | None = None
    while damage is None:
        try:
            parts.append(source.read())
        except (OSError, EOFError, zlib.error) as error:
            damage = error
        if damage is not None or not parts[-1] or sum(map(len, parts)) >= PIECE_BYTES:
            if data := b"".join(parts):
                yield data
            if damage is None and not parts[-1]:
                yield b""
                return
            parts = []
    raise damage


# -- rows -------------------------------------------------------------------------------------------------------------


class RowPiece:
    """A batch of a columnar file; ``places`` are its columns' among the file's ``width``."""

    def __init__(self, batch: Any, places: Sequence[int], width: int, first_line: int, done: float) -> None:
        self._batch = batch
        self._places = places
        self._width = width
        self.first_line, self.last_line, self.done = first_line, first_line + batch.num_rows - 1, done

    def cells(self, wanted: Wanted) -> Mapping[str, Any]:
        """Return the columns as they are."""
        return {field: self._batch.column(self._places.index(index)) for field, index in wanted.columns.items()}

    def block(self) -> Block:
        """Write the rows as text; what is not read is empty."""
        records = columns_as_text(self._batch)
        if len(self._places) < self._width:
            records = [self._spread(cells) for cells in records]
        return Block(range(self.first_line, self.last_line + 1), records, [], self.done)

    def _spread(self, cells: list[str]) -> list[str]:
        found = [""] * self._width
        for place, cell in zip(self._places, cells, strict=True):
            found[place] = cell
        return found

    def smaller(self) -> list[Piece]:
        """Cut into slices."""
        rows = self._batch.num_rows
        if rows <= SMALL_ROWS:
            return [self]
        return list(_slices(self._batch, SMALL_ROWS, self._places, self._width, self.first_line, self.done))


def _parquet_pieces(path: Path, source: Any, wanted: Wanted) -> Iterator[Piece]:
    schema = source.schema_arrow
    places = sorted(set(wanted.columns.values()))
    if len(set(schema.names)) < len(schema.names):  # a name would not say which
        places = list(range(wanted.width))
    words = [
        field.name
        for index, field in enumerate(schema)
        if pa.types.is_string(field.type) and index != wanted.columns[TIME]
    ]
    # As the file keeps its texts, each once.
    with pq.ParquetFile(path, metadata=source.metadata, read_dictionary=words) as parquet:
        columns = [schema.names[place] for place in places]
        batches = parquet.iter_batches(batch_size=PIECE_ROWS, columns=columns if len(places) < wanted.width else None)
        yield from _row_pieces(batches, places, wanted.width, source.metadata.num_rows)


def _row_pieces(batches: Iterator[Any], places: Sequence[int], width: int, total: int | None) -> Iterator[Piece]:
    line = 1
    for batch in batches:
        # A columnar file tells its length only if it is Parquet; otherwise progress is known at the end alone.
        done = min(1.0, (line - 1 + batch.num_rows) / total) if total else 0.0
        yield from _slices(batch, PIECE_ROWS, places, width, line, done)
        line += batch.num_rows


def _checked(batch: Any) -> Any:
    """Return a batch whose buffers hold what they say: what is damaged must not be read as memory beside it."""
    batch.validate(full=True)
    return batch


def _slices(batch: Any, rows: int, places: Sequence[int], width: int, first_line: int, done: float) -> Iterator[Piece]:
    for start in range(0, batch.num_rows, rows):
        yield RowPiece(batch.slice(start, rows), places, width, first_line + start, done)
