"""Arrow's arrays and numpy's over the same memory.

Their own ways to and fro import pandas where it is installed, which takes longer than importing a million ticks.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from qsuite.domain.tick_columns.columns import Flags, Integers

EMPTY = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(bytes(8)), pa.py_buffer(b"")])
"""One text, which is empty; and without nulls, unlike a scalar made of a Python value it costs nothing."""


def integers(column: Any) -> Integers:
    """Return a column of any integers, or of times, as numbers of 64 bits; what a null holds is not said."""
    column = pc.cast(column, pa.int64()) if pa.types.is_integer(column.type) else column.view(pa.int64())
    found: Integers = np.frombuffer(column.buffers()[1], dtype=np.int64)[column.offset : column.offset + len(column)]
    return found


def nulls(column: Any) -> Flags:
    """Say which values are null."""
    if not column.null_count:
        return np.zeros(len(column), dtype=np.bool_)
    flags = pc.cast(column.is_null(), pa.uint8())
    return np.frombuffer(flags.buffers()[1], dtype=np.bool_)[flags.offset : flags.offset + len(flags)]


def chosen(column: Any, rows: "npt.NDArray[np.intp]") -> Any:
    """Return these rows of a column."""
    places = pa.Array.from_buffers(pa.int64(), len(rows), [None, pa.py_buffer(np.ascontiguousarray(rows))])
    return column.take(places)
