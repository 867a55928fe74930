"""Rows as lines of text."""

import csv
import io
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from qsuite.domain.money import show
from qsuite.domain.times import format_rfc3339
from qsuite.handlers.operations import CSV, NDJSON
from qsuite.handlers.payloads import encode
from qsuite.handlers.row_formats.tables import Kind, RowTable

T = TypeVar("T")


class NdjsonWriter(Generic[T]):
    """One JSON object a line, as in the list."""

    media = NDJSON

    def __init__(self, table: RowTable[T]) -> None:
        self._shown = table.shown

    def head(self) -> bytes:
        """Return nothing."""
        return b""

    def rows(self, batch: Sequence[T]) -> bytes:
        """Return a line each."""
        return b"".join(encode(self._shown(row)) + b"\n" for row in batch)

    def end(self) -> bytes:
        """Return nothing."""
        return b""


class CsvWriter(Generic[T]):
    """RFC 4180 with a header, in UTF-8; a missing value is an empty cell."""

    media = f"{CSV}; charset=utf-8; header=present"

    def __init__(self, table: RowTable[T]) -> None:
        self._names = [column.name for column in table.columns]
        self._cells = [(column.of, _CELL.get(column.kind, str)) for column in table.columns]

    def head(self) -> bytes:
        """Return the header line."""
        return self._lines([self._names])

    def rows(self, batch: Sequence[T]) -> bytes:
        """Return a line each."""
        return self._lines([[_cell(of(row), text) for of, text in self._cells] for row in batch])

    def end(self) -> bytes:
        """Return nothing."""
        return b""

    def _lines(self, records: Sequence[Sequence[str]]) -> bytes:
        text = io.StringIO(newline="")
        csv.writer(text).writerows(records)
        return text.getvalue().encode()


def _cell(value: Any, text: Callable[[Any], str]) -> str:
    return "" if value is None else text(value)


def _show_flag(value: bool) -> str:
    return "true" if value else "false"


_CELL: dict[Kind, Callable[[Any], str]] = {
    Kind.DECIMAL: show,
    Kind.INSTANT: format_rfc3339,
    Kind.FLAG: _show_flag,
}
