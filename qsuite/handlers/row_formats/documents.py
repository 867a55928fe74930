"""Rows in the forms of a report: one JSON document, and CSV that a spreadsheet does not take for formulas."""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from qsuite.handlers.operations import JSON
from qsuite.handlers.payloads import encode
from qsuite.handlers.row_formats.tables import Kind, RowTable
from qsuite.handlers.row_formats.text import CsvWriter

T = TypeVar("T")

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")
GUARD = "'"


class JsonWriter(Generic[T]):
    """One document like a list's: all rows as ``results``, then how many they were. There are no pages."""

    media = JSON

    def __init__(self, table: RowTable[T]) -> None:
        self._shown = table.shown
        self._count = 0

    def head(self) -> bytes:
        """Return the document's beginning."""
        return b'{"results":['

    def rows(self, batch: Sequence[T]) -> bytes:
        """Return some results, with a comma before all but the first."""
        text = b",".join(encode(self._shown(row)) for row in batch)
        comma = b"," if self._count else b""
        self._count += len(batch)
        return comma + text

    def end(self) -> bytes:
        """Return the document's end."""
        return b'],"count":%d,"next":null,"previous":null}' % self._count


class SafeCsvWriter(CsvWriter[T]):
    """CSV whose texts no spreadsheet runs: one that begins as a formula does gets an apostrophe before it.

    Only text can: numbers and times are ours. Who reads it by program takes one leading apostrophe off.
    """

    def __init__(self, table: RowTable[T]) -> None:
        super().__init__(table)
        texts = [column.kind in (Kind.TEXT, Kind.WORD) for column in table.columns]
        self._cells = [
            (of, _guarded if guarded else text) for (of, text), guarded in zip(self._cells, texts, strict=True)
        ]


def _guarded(value: Any) -> str:
    text = str(value)
    risky = text.startswith(FORMULAS) or text.lstrip().startswith(FORMULAS)
    return GUARD + text if risky or text.startswith(GUARD) else text
