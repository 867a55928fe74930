"""Rows of prices as an Arrow IPC stream.

    WORD     dictionary<int32, string>           DECIMAL  string, the field marked ``qsuite.kind: decimal``
    TEXT     string                              INSTANT  timestamp[ns, UTC]
    WHOLE    int64                               FLAG     bool

Decimals are text because a schema comes before the first row, and no fixed scale that fits 128 bits holds every price
and size there may be (sizes with 19 decimals exist, and volumes of 25 digits). A cast of the column, which is one call
and as fast as copying, gives whatever a reader wants; ``qsuite.client`` does it. Imported at its first use, in a
thread: pyarrow takes a third of a second to load.
"""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import pyarrow as pa

from qsuite.domain.money import show
from qsuite.handlers.operations import ARROW
from qsuite.handlers.row_formats.tables import Column, Kind, RowTable

T = TypeVar("T")

DECIMAL_MARK = {"qsuite.kind": "decimal"}

_TYPES = {
    Kind.WORD: pa.dictionary(pa.int32(), pa.string()),
    Kind.TEXT: pa.string(),
    Kind.DECIMAL: pa.string(),
    Kind.INSTANT: pa.timestamp("ns", tz="UTC"),
    Kind.WHOLE: pa.int64(),
    Kind.FLAG: pa.bool_(),
}


class Collected:
    """What was written since it was last asked, as a file to write to."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, part: Any) -> int:
        """Take a part."""
        self._parts.append(bytes(part))
        return len(part)

    def flush(self) -> None:
        """Do nothing: it is all here."""

    def take(self) -> bytes:
        """Return everything so far, once."""
        found, self._parts = b"".join(self._parts), []
        return found


class ArrowStream:
    """A stream of record batches of one table's columns."""

    media = ARROW

    def __init__(self, columns: Sequence[Column[Any]]) -> None:
        self.schema = pa.schema([_field(column) for column in columns])
        self._sink = Collected()
        self._stream = pa.ipc.new_stream(
            pa.PythonFile(self._sink, mode="w"),
            self.schema,
            options=pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True),
        )

    def head(self) -> bytes:
        """Return the schema."""
        return self._sink.take()

    def batch(self, arrays: Sequence[Any]) -> bytes:
        """Return a record batch."""
        self._stream.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self.schema))
        return self._sink.take()

    def end(self) -> bytes:
        """Return the mark by which a reader knows that nothing is missing."""
        self._stream.close()
        return self._sink.take()


class ArrowWriter(ArrowStream, Generic[T]):
    """One record batch for each batch of rows."""

    def __init__(self, table: RowTable[T]) -> None:
        super().__init__(table.columns)
        self._columns = [(column.of, _MAKERS.get(column.kind, _plain(_TYPES[column.kind]))) for column in table.columns]
        self._words: list[Words | None] = [Words() if column.kind is Kind.WORD else None for column in table.columns]

    def rows(self, batch: Sequence[T]) -> bytes:
        """Return a record batch."""
        return self.batch(
            [
                words.array(list(map(of, batch))) if words is not None else make(list(map(of, batch)))
                for (of, make), words in zip(self._columns, self._words, strict=True)
            ]
        )


class Words:
    """A dictionary that only grows, so that each word travels once."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}

    def array(self, values: Sequence[str]) -> Any:
        """Return the values as codes into the words so far."""
        codes = self._codes
        indices = [codes.setdefault(value, len(codes)) for value in values]
        return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), pa.array(list(codes), pa.string()))


def _field(column: Column[Any]) -> Any:
    mark = DECIMAL_MARK if column.kind is Kind.DECIMAL else None
    return pa.field(column.name, _TYPES[column.kind], nullable=column.kind is not Kind.WORD, metadata=mark)


def _plain(kind: Any) -> Callable[[list[Any]], Any]:
    return lambda values: pa.array(values, kind)


def _decimals(values: list[Any]) -> Any:
    return pa.array([None if value is None else show(value) for value in values], pa.string())


_MAKERS: dict[Kind, Callable[[list[Any]], Any]] = {Kind.DECIMAL: _decimals}
