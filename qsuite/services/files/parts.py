"""Request bodies taken apart into rows of named fields, whatever their encoding.

Line numbers are what the sender would count: the place in a JSON array, the line of NDJSON and CSV (a CSV's header
is line 1), the row of an Arrow stream, all from 1. One bad line costs that line, except in a JSON array, which is
read whole or not at all. Nothing a stranger sends may raise anything but the errors named below, or cost more memory
than a small multiple of its length. Long bodies are read in a thread: none is handed to a parser in C as a whole, which
would keep every other thread waiting until it had read it all.
"""

import csv
import json
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from itertools import islice
from typing import Any, AnyStr, NoReturn

import pyarrow as pa

from qsuite.domain.errors import Invalid, Malformed, TooLarge, UnsupportedMedia
from qsuite.services.files.columnar import columns_as_text
from qsuite.services.files.flatbuffer import is_compressed
from qsuite.services.files.rows import BadRow
from qsuite.services.files.tables import LINE_BYTES_MAX, find_delimiter, split_line, split_lines

STRETCH = 65_536
LINES_TOGETHER = 1_000

Fields = Mapping[str, object]
Part = tuple[int, Fields] | BadRow


class Number(str):
    """The text of a JSON number: nothing is converted before it is known what the number must be."""

    __slots__ = ()


def read_parts(body: bytes, content_type: str, columns: tuple[str, ...], rows_max: int) -> Iterator[Part]:
    """Take a body apart by its media type; ``columns`` are those a CSV or Arrow stream may have.

    Malformed when it cannot be read, Invalid for another column, TooLarge above ``rows_max`` rows, UnsupportedMedia.
    """
    media, _, parameters = content_type.partition(";")
    reader = _READERS.get(media.strip().lower())
    charset = parameters.strip().lower().replace('"', "").replace(" ", "")
    if reader is None or (charset.startswith("charset=") and charset not in ("charset=utf-8", "charset=us-ascii")):
        raise UnsupportedMedia(f"send one of {', '.join(MEDIA_TYPES)}, in UTF-8")
    for count, part in enumerate(reader(body, columns), 1):
        if count > rows_max:
            raise TooLarge(f"more than {rows_max} rows")
        yield part


def object_part(number: int, value: object) -> Part:
    """Return the fields of a JSON object that was read with exact numbers, as text like everybody else's."""
    part = _object_part(number, value)
    if isinstance(part, BadRow):
        return part
    return number, {name: _as_text(each) for name, each in part[1].items()}


def _as_text(value: object) -> object:
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return Number(value)
    return value


def _read_json(body: bytes, columns: tuple[str, ...]) -> Iterator[Part]:
    text = _decode(body)
    rows = _array_items(text) if text.startswith("[", _after_space(text, 0)) else iter([_load(text)])
    for number, row in enumerate(rows, 1):
        yield _object_part(number, row)


def _array_items(text: str) -> Iterator[Any]:
    """Read a JSON array one element after the other."""
    at = _after_space(text, _after_space(text, 0) + 1)
    end = text[at : at + 1] == "]"
    while not end:
        value, at = _load_at(text, at)
        yield value
        at = _after_space(text, at)
        mark = text[at : at + 1]
        if mark not in ("]", ","):
            raise Malformed(f"not JSON: a comma or a bracket is missing at character {at}")
        end = mark == "]"
        at = at if end else _after_space(text, at + 1)
    if _after_space(text, at + 1) != len(text):
        raise Malformed(f"not JSON: something follows the array at character {at + 1}")


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    assert found is not None
    return found.end()


def _read_ndjson(body: bytes, columns: tuple[str, ...]) -> Iterator[Part]:
    for number, line in enumerate(_lines(body, b"\n"), 1):
        if not line.strip():
            continue
        if len(line) > LINE_BYTES_MAX:
            yield BadRow(number, f"longer than {LINE_BYTES_MAX} bytes")
            continue
        try:
            yield _object_part(number, _load(_decode(line)))
        except Malformed as wrong:
            yield BadRow(number, wrong.detail)


def _read_csv(body: bytes, columns: tuple[str, ...]) -> Iterator[Part]:
    text = _decode(body)
    lines = _lines(text, "\n")
    header = next(lines, "").rstrip("\r")
    delimiter = find_delimiter(header[:LINE_BYTES_MAX])
    try:
        names = [name.strip().lower() for name in split_line(header, delimiter)]
    except csv.Error:
        raise Malformed("the first line is no CSV header") from None
    _check_columns(names, columns)
    first = 2
    while group := list[str | None](islice(lines, LINES_TOGETHER)):
        block = split_lines(group, first, delimiter)
        first += len(group)
        yield from block.bad
        for number, cells in zip(block.lines, block.records, strict=True):
            if len(cells) != len(names):
                yield BadRow(number, f"{len(cells)} cells where the header has {len(names)}")
            else:
                yield number, {name: cell.strip() for name, cell in zip(names, cells, strict=True) if cell.strip()}


def _lines(text: AnyStr, end: AnyStr) -> Iterator[AnyStr]:
    """Split at line ends, a stretch after the other."""
    at = 0
    while at < len(text):
        stop = text.find(end, at + STRETCH)
        stop = len(text) if stop < 0 else stop
        yield from text[at:stop].split(end)
        at = stop + 1


def _read_arrow(body: bytes, columns: tuple[str, ...]) -> Iterator[Part]:
    row = 0
    try:
        for batch in _arrow_batches(body):
            names = batch.schema.names
            _check_columns(names, columns)
            for start in range(0, batch.num_rows, LINES_TOGETHER):
                for cells in columns_as_text(batch.slice(start, LINES_TOGETHER)):
                    row += 1
                    yield row, {name: cell for name, cell in zip(names, cells, strict=True) if cell}
    except (pa.ArrowException, OSError, ValueError, MemoryError, NotImplementedError, struct.error) as broken:
        raise Malformed(f"not an Arrow stream: {(str(broken).splitlines() or ['damaged'])[0][:200]}") from broken


def _arrow_batches(body: bytes) -> Iterator[Any]:
    # Compressed buffers state their own inflated size: a few bytes could claim all memory there is.
    if is_compressed(body):
        raise Malformed("send the Arrow stream uncompressed")
    with pa.ipc.open_stream(pa.py_buffer(body)) as stream:
        for batch in stream:
            # Offsets and dictionary indices come from the sender; following a wrong one would read foreign memory.
            batch.validate(full=True)
            if batch.num_rows > len(body):  # nulls take no room: a few bytes could claim rows without end
                raise Malformed("the Arrow stream claims more rows than it has bytes")
            yield batch


def _object_part(number: int, value: object) -> Part:
    if not isinstance(value, dict):
        return BadRow(number, "not a JSON object")
    return number, value


def _decode(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        raise Malformed(f"not UTF-8 at byte {wrong.start}") from None


def _load(text: str) -> Any:
    value, end = _load_at(text, _after_space(text, 0))
    if _after_space(text, end) != len(text):
        raise Malformed(f"not JSON: something follows at character {end}")
    return value


def _load_at(text: str, at: int) -> tuple[Any, int]:
    """Read the value that begins at a place; return where it ends, too."""
    try:
        return _DECODER.raw_decode(text, at)
    except RecursionError:
        raise Malformed("nested too deep") from None
    except ValueError as wrong:
        raise Malformed(f"not JSON: {wrong}"[:200]) from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


_DECODER = json.JSONDecoder(parse_float=Number, parse_int=Number, parse_constant=_refuse_constant)
_SPACE = re.compile(r"[ \t\n\r]*")


def _check_columns(names: list[str], allowed: tuple[str, ...]) -> None:
    unknown = {ascii(name)[1:-1][:80]: ["unknown field"] for name in names if name not in allowed}
    if unknown:
        raise Invalid("unknown columns", errors=dict(list(unknown.items())[:20]))
    if len(set(names)) != len(names):
        raise Invalid(
            "a column is named twice", errors={name: ["named twice"] for name in names if names.count(name) > 1}
        )


_READERS: Mapping[str, Callable[[bytes, tuple[str, ...]], Iterator[Part]]] = {
    "application/json": _read_json,
    "application/x-ndjson": _read_ndjson,
    "application/ndjson": _read_ndjson,
    "application/jsonl": _read_ndjson,
    "text/csv": _read_csv,
    "application/csv": _read_csv,
    "application/vnd.apache.arrow.stream": _read_arrow,
}
MEDIA_TYPES = ("application/json", "application/x-ndjson", "text/csv", "application/vnd.apache.arrow.stream")
