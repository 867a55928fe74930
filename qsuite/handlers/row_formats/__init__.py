"""Rows of prices in the types that are sent as a whole: NDJSON and CSV (``text``), Arrow streams (``arrow``).

Nothing is rounded in any of them: decimals are text in plain notation with the digits they were stored with, instants
are exact to the nanosecond. ``tables`` says what the columns are.
"""

from importlib import import_module
from typing import TypeVar, cast

from qsuite.handlers.operations import ARROW, CSV, NDJSON
from qsuite.handlers.row_formats.tables import Column, Kind, RowTable, RowWriter
from qsuite.handlers.row_formats.text import CsvWriter, NdjsonWriter

__all__ = ["Column", "Kind", "RowTable", "RowWriter", "writer_for"]

T = TypeVar("T")


def writer_for(media: str, table: RowTable[T]) -> RowWriter[T]:
    """Return the writer of one of the types that hold rows. For a thread: Arrow's library takes its time to load."""
    if media == NDJSON:
        return NdjsonWriter(table)
    if media == CSV:
        return CsvWriter(table)
    assert media == ARROW, media
    return cast(RowWriter[T], import_module("qsuite.handlers.row_formats.arrow").ArrowWriter(table))
