"""Labelled texts of a user's own: read from a file, checked row by row, and put into one form to store and learn from.

CSV with a header (also gzipped) or JSON lines. A label is a word (positive, neutral, negative) or a number from -1 to
1, which is neutral near zero. Invariant: a row that cannot be read stops it, named by its line; none is left out.
"""

import csv
import gzip
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from math import nan
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import orjson

from qsuite.domain.analytics.sentiment import NEUTRAL_WITHIN, Label
from qsuite.domain.errors import Invalid, TooLarge

MOST_ROWS = 200_000
MOST_BYTES = 64 * 1024 * 1024
MOST_LETTERS = 4_000
TEXT_COLUMNS = ("text", "sentence", "headline", "title", "tweet", "content")
LABEL_COLUMNS = ("label", "sentiment", "polarity", "score")
_WORDS = {label.value: label for label in Label} | {label.value[:3]: label for label in Label}


class Labelled(NamedTuple):
    """A text and what somebody said it says."""

    text: str
    label: Label


def read_labelled(path: Path, text_column: str | None = None, label_column: str | None = None) -> list[Labelled]:
    """Read a file. Invalid names the line or column that is wrong, TooLarge a file beyond the bounds."""
    content = _content(path)
    plain = path.name.removesuffix(".gz")
    records = _json_lines(content) if plain.endswith((".jsonl", ".ndjson", ".json")) else _csv(content)
    return list(_rows(records, text_column, label_column))


def read_rows(raw: Sequence[Any]) -> list[Labelled]:
    """Read rows as they are sent, ``{"text": …, "label": …}``. Invalid names the first that is wrong by its place."""
    if len(raw) > MOST_ROWS:
        raise TooLarge(f"at most {MOST_ROWS:,} rows")
    rows = []
    for place, each in enumerate(raw):
        if not isinstance(each, Mapping) or each.keys() != {"text", "label"}:
            _refuse(f"rows.{place}", "an object with text and label is required")
        try:
            rows.append(_row(each["text"], each["label"]))
        except ValueError as error:
            _refuse(f"rows.{place}", str(error))
    return rows


def pack(rows: Iterable[Labelled]) -> bytes:
    """Write rows in the form that is stored."""
    return orjson.dumps([[row.text, row.label.value] for row in rows])


def unpack(data: bytes) -> list[Labelled]:
    """Read what ``pack`` wrote."""
    return [Labelled(text, Label(label)) for text, label in orjson.loads(data)]


def label_from(value: object) -> Label:
    """Read a label, a word or a number. ValueError for anything else."""
    if isinstance(value, str):
        word = value.strip().lower()
        if word in _WORDS:
            return _WORDS[word]
    number = _number(value)
    if not -1 <= number <= 1:
        raise ValueError(f"{str(value)[:40]!r} is no label: positive, neutral, negative, or a number from -1 to 1")
    if abs(number) < NEUTRAL_WITHIN:
        return Label.NEUTRAL
    return Label.POSITIVE if number > 0 else Label.NEGATIVE


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return nan
    try:
        return float(value)
    except ValueError:
        return nan


def _row(text: object, label: object) -> Labelled:
    if not isinstance(text, str) or not text.strip():
        raise ValueError("it has no text")
    if len(text) > MOST_LETTERS:
        raise ValueError(f"a text has at most {MOST_LETTERS:,} characters")
    return Labelled(text, label_from(label))


def _content(path: Path) -> str:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise TooLarge(f"a file of labelled texts has at most {MOST_BYTES:,} bytes")
        return data.decode("utf-8-sig")
    except (UnicodeDecodeError, EOFError, gzip.BadGzipFile) as error:
        raise Invalid(f"{path.name} is no text in UTF-8: {error}") from None


def _csv(content: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    lines = csv.DictReader(io.StringIO(content, newline=""))
    try:
        for record in lines:
            yield lines.line_num, record
    except csv.Error as error:
        _refuse(f"line {lines.line_num}", str(error))


def _json_lines(content: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            _refuse(f"line {number}", str(error))
        if not isinstance(record, dict):
            _refuse(f"line {number}", "an object is required")
        yield number, record


def _rows(
    records: Iterable[tuple[int, Mapping[str, Any]]], text_column: str | None, label_column: str | None
) -> Iterator[Labelled]:
    columns: tuple[str, str] | None = None
    for count, (number, record) in enumerate(records, 1):
        if count > MOST_ROWS:
            raise TooLarge(f"at most {MOST_ROWS:,} rows")
        if columns is None:
            columns = (
                _column(record, text_column, TEXT_COLUMNS, "text"),
                _column(record, label_column, LABEL_COLUMNS, "label"),
            )
        try:
            yield _row(record.get(columns[0]), record.get(columns[1]))
        except ValueError as error:
            _refuse(f"line {number}", str(error))


def _column(record: Mapping[str, Any], wanted: str | None, usual: Sequence[str], what: str) -> str:
    """Return the column that is named, or the first of the usual ones that is there."""
    found = [name for name in ((wanted,) if wanted else usual) if name in record]
    if not found:
        names = ", ".join(str(name) for name in record)[:200]
        _refuse(f"{what} column", f"name one of {names} with --{what}-column")
    return found[0]


def _refuse(where: str, why: str) -> NoReturn:
    raise Invalid("the labelled texts cannot be read", errors={where: [why]})
