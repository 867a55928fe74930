"""Ticks as an Arrow IPC stream, from columns to columns: what ``arrow`` writes of rows, without a row in between."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from qsuite.domain.market import QUOTE, TRADE, Tick
from qsuite.domain.tick_columns.columns import TickColumns
from qsuite.handlers.row_formats.arrow import ArrowStream
from qsuite.handlers.row_formats.tables import RowTable
from qsuite.services.tick_arrays import of_all_rows, text_array

_KINDS = pa.array([QUOTE, TRADE], pa.string())


class TickArrowWriter(ArrowStream):
    """One record batch for each run of ticks."""

    def __init__(self, table: RowTable[Tick]) -> None:
        super().__init__(table.columns)

    def rows(self, batch: TickColumns) -> bytes:
        """Return a record batch."""
        return self.batch([_OTHERS.get(name, _figure(name))(batch) for name in self.schema.names])


def _figure(name: str) -> Callable[[TickColumns], Any]:
    return lambda run: text_array(of_all_rows(run, name))


def _words(codes: Any, words: Any) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), words)


_OTHERS: dict[str, Callable[[TickColumns], Any]] = {
    "symbol": lambda run: _words(np.zeros(len(run)), pa.array([run.symbol], pa.string())),
    "ts": lambda run: pa.array(run.ts_ns).cast(pa.timestamp("ns", tz="UTC")),
    "kind": lambda run: _words(run.trades, _KINDS),
    "seq": lambda run: pa.array(run.seq),
}
