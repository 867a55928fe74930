"""Rows as a Parquet file, written as they come: groups of rows, and in the end the list of where they are.

    WORD, TEXT  string                      INSTANT  timestamp[ns, UTC]
    DECIMAL     decimal128(38, 18), or with more places where a value has more; string where 38 digits do not do
    WHOLE       int64                       FLAG     bool

A schema stands for the whole file, and what decimals need is known when all were seen. So rows are read twice: ``Fit``
is shown all of them first. A value that came in between and does not fit ends the file without its end; it is never
rounded. Imported at its first use, in a thread: pyarrow takes a third of a second to load.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Generic, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from qsuite.domain.money import show
from qsuite.handlers.operations import PARQUET
from qsuite.handlers.row_formats.arrow import DECIMAL_MARK, Collected
from qsuite.handlers.row_formats.tables import Column, Kind, RowTable

T = TypeVar("T")

DIGITS, PLACES = 38, 18
GROUP_ROWS = 10_000

_TYPES = {
    Kind.WORD: pa.string(),
    Kind.TEXT: pa.string(),
    Kind.INSTANT: pa.timestamp("ns", tz="UTC"),
    Kind.WHOLE: pa.int64(),
    Kind.FLAG: pa.bool_(),
}


class Fit(Generic[T]):
    """How many digits before and after the point each decimal column needs."""

    def __init__(self, table: RowTable[T]) -> None:
        self._decimals = [column for column in table.columns if column.kind is Kind.DECIMAL]
        self._before = dict.fromkeys((column.name for column in self._decimals), 0)
        self._places = dict.fromkeys((column.name for column in self._decimals), 0)

    def see(self, batch: Sequence[T]) -> None:
        """Take rows into account."""
        for column in self._decimals:
            for value in map(column.of, batch):
                if value is None:
                    continue
                before, places = digits_of(value)
                self._before[column.name] = max(self._before[column.name], before)
                self._places[column.name] = max(self._places[column.name], places)

    def type_of(self, name: str) -> Any:
        """Return the Arrow type that holds every value of a column exactly."""
        before, places = self._before[name], max(self._places[name], PLACES)
        if before + places <= DIGITS:
            return pa.decimal128(DIGITS, places)
        places = self._places[name]
        return pa.decimal128(DIGITS, places) if before + places <= DIGITS else pa.string()


def digits_of(value: Decimal) -> tuple[int, int]:
    """Return how many digits a decimal has before the point, and how many places."""
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int), "money is finite"
    return max(0, len(digits) + exponent), max(0, -exponent)


class ParquetWriter(Generic[T]):
    """Write a file from its first byte to its last, a group of rows at a time."""

    media = PARQUET

    def __init__(self, table: RowTable[T], fit: Fit[T]) -> None:
        self._columns = table.columns
        self._schema = pa.schema([_field(column, fit) for column in table.columns])
        self._sink = _Sink()
        self._file = pq.ParquetWriter(pa.PythonFile(self._sink, mode="w"), self._schema, compression="zstd")
        self._waiting: list[T] = []

    def head(self) -> bytes:
        """Return the mark a Parquet file begins with."""
        return self._sink.take()

    def rows(self, batch: Sequence[T]) -> bytes:
        """Take rows; return a group of them when there are enough."""
        self._waiting += batch
        if len(self._waiting) >= GROUP_ROWS:
            self._write()
        return self._sink.take()

    def end(self) -> bytes:
        """Return what was waiting, and the list of groups."""
        if self._waiting:
            self._write()
        self._file.close()
        return self._sink.take()

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        arrays = [
            pa.array([_value(column.of(row), field.type) for row in waiting], field.type)
            for column, field in zip(self._columns, self._schema, strict=True)
        ]
        self._file.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self._schema), row_group_size=GROUP_ROWS)


class _Sink(Collected):
    """What was written, which a Parquet file asks how far it has come."""

    def __init__(self) -> None:
        super().__init__()
        self._at = 0

    def write(self, part: Any) -> int:
        """Take a part."""
        written = super().write(part)
        self._at += written
        return written

    def tell(self) -> int:
        """Return how many bytes there were so far."""
        return self._at


def _field(column: Column[Any], fit: Fit[Any]) -> Any:
    if column.kind is Kind.DECIMAL:
        return pa.field(column.name, fit.type_of(column.name), metadata=DECIMAL_MARK)
    return pa.field(column.name, _TYPES[column.kind])


def _value(value: Any, kind: Any) -> Any:
    return show(value) if isinstance(value, Decimal) and pa.types.is_string(kind) else value
