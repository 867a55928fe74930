"""Rows of prices in the types that are sent as a whole: NDJSON and CSV (``text``), Arrow streams (``arrow``,
and ``arrow_ticks`` for ticks that are columns already).

Nothing is rounded in any of them: decimals are text in plain notation with the digits they were stored with, instants
are exact to the nanosecond. ``tables`` says what the columns are.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar, cast

from qsuite.domain.market import Tick
from qsuite.handlers.operations import ARROW, CSV, NDJSON
from qsuite.handlers.row_formats.tables import Column, Kind, RowTable, RowWriter
from qsuite.handlers.row_formats.text import CsvWriter, NdjsonWriter

if TYPE_CHECKING:
    from qsuite.domain.tick_columns.columns import TickColumns

__all__ = ["Column", "Kind", "RowTable", "RowWriter", "tick_writer", "writer_for"]

T = TypeVar("T")


def writer_for(media: str, table: RowTable[T]) -> RowWriter[Sequence[T]]:
    """Return the writer of one of the types that hold rows. For a thread: Arrow's library takes its time to load."""
    if media == NDJSON:
        return NdjsonWriter(table)
    if media == CSV:
        return CsvWriter(table)
    assert media == ARROW, media
    return cast(RowWriter[Sequence[T]], import_module("qsuite.handlers.row_formats.arrow").ArrowWriter(table))


def tick_writer(table: RowTable[Tick]) -> "RowWriter[TickColumns]":
    """Return the writer of an Arrow stream of ticks that are columns already. For a thread, as the others."""
    writer: RowWriter[TickColumns] = import_module("qsuite.handlers.row_formats.arrow_ticks").TickArrowWriter(table)
    return writer
