"""Columns of ticks as what numpy, pandas and Arrow compute with: floats, decimals of 128 or 256 bits, text.

Invariant: nothing is rounded but floats, and each of those is the nearest to its decimal, which is what ``float`` of
the decimal gives.
"""

from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from qsuite.domain.money import show
from qsuite.domain.tick_columns.columns import (
    OF_TRADES,
    Flags,
    MoneyColumn,
    TickColumns,
    count_true,
    repeated,
    repeated_flag,
)

Floats: TypeAlias = npt.NDArray[np.float64]

_EXACT_FLOATS = 1 << 53
_EXACT_POWER = 22
"""Up to here a float holds every integer, and every power of ten: one division of two of them is rounded once."""
_NARROW, _WIDE = 38, 76
"""Digits of a decimal of 128 and of 256 bits."""
_ZEROS_AT_MOST = 19


def of_all_rows(run: TickColumns, name: str) -> MoneyColumn:
    """Return a field for every row of a run, missing in the rows of the other kind."""
    column, count = run.money[name], len(run)
    if len(column.units) == count:
        return column
    nothing = repeated(0, count)
    if not len(column.units):
        return MoneyColumn(0, nothing, nothing, repeated_flag(True, count), {})
    rows = np.flatnonzero(run.trades == (name in OF_TRADES))
    units, zeros, missing = nothing.copy(), nothing.copy(), np.ones(count, dtype=np.bool_)
    units[rows], zeros[rows], missing[rows] = column.units, column.zeros, column.missing
    return MoneyColumn(
        column.exponent, units, zeros, missing, {int(rows[row]): text for row, text in column.wide.items()}
    )


def put_floats(column: MoneyColumn, out: Floats) -> None:
    """Write the nearest float to each value, NaN where one is missing."""
    units, exponent = column.units, column.exponent
    missing = count_true(column.missing)
    if missing == len(units):
        out.fill(np.nan)
        return
    if exponent < 0:
        np.divide(units, 10.0 ** min(-exponent, _EXACT_POWER), out=out)
    else:
        np.multiply(units, 10.0 ** min(exponent, _EXACT_POWER), out=out)
    for row in _rounded_twice(units, exponent):
        out[row] = float(f"{units[row]}E{exponent}")
    for row, text in column.wide.items():
        out[row] = float(text)
    if missing:
        out[column.missing] = np.nan


def _rounded_twice(units: npt.NDArray[np.int64], exponent: int) -> list[int]:
    """Return the rows whose units or power no float holds."""
    if abs(exponent) > _EXACT_POWER:
        return np.flatnonzero(units).tolist()
    if units.max() <= _EXACT_FLOATS and units.min() >= -_EXACT_FLOATS:
        return []
    return np.flatnonzero((units > _EXACT_FLOATS) | (units < -_EXACT_FLOATS)).tolist()


# -- text -------------------------------------------------------------------------------------------------------------


def text_array(column: MoneyColumn) -> Any:
    """Return an Arrow array of text in plain notation, each value with the digits it was stored with."""
    # Prices repeat: text is made of each one, not of each tick.
    distinct = pa.array(column.units).dictionary_encode()
    units, codes = distinct.dictionary.to_pylist(), distinct.indices.to_numpy()
    if len(column.zeros) and (column.zeros == column.zeros[0]).all():
        words = [_word(each, int(column.zeros[0]), column.exponent) for each in units]
    else:
        pairs = pa.array(codes * np.int64(_ZEROS_AT_MOST) + column.zeros).dictionary_encode()
        codes = pairs.indices.to_numpy()
        met = (divmod(pair, _ZEROS_AT_MOST) for pair in pairs.dictionary.to_pylist())
        words = [_word(units[code], zeros, column.exponent) for code, zeros in met]
    if column.wide:
        codes = codes.copy()
        codes[list(column.wide)] = np.arange(len(words), len(words) + len(column.wide))
        words += [show(Decimal(text)) for text in column.wide.values()]
    return pa.array(words, pa.string()).take(pa.array(codes, mask=_mask(column.missing)))


@lru_cache(maxsize=1 << 16)
def _word(units: int, zeros: int, exponent: int) -> str:
    """Write ``units x 10^exponent`` without its last zeros."""
    return show(Decimal(f"{units // 10**zeros}E{exponent + zeros}"))


def _mask(missing: Flags) -> Flags | None:
    return np.ascontiguousarray(missing) if count_true(missing) else None


# -- decimals ---------------------------------------------------------------------------------------------------------


def decimal_array(columns: Sequence[MoneyColumn]) -> Any:
    """Return an Arrow array of exact decimals in a chunk for each column, none empty.

    All take 128 bits with the places the values need, or 256 where those are too few.
    """
    whole, places = 1, 0
    for column in columns:
        whole, places = max(whole, _whole_digits(column)), max(places, _places(column))
    kind = pa.decimal128(_NARROW, places) if whole + places <= _NARROW else pa.decimal256(_WIDE, places)
    return pa.chunked_array([_decimals(column, kind) for column in columns], kind)


def _decimals(column: MoneyColumn, kind: Any) -> Any:
    if _all_missing(column):
        return pa.nulls(len(column.missing), kind)
    if column.wide or column.exponent > 0:
        values = [Decimal(f"{units}E{column.exponent}") for units in column.units.tolist()]
        for row, text in column.wide.items():
            values[row] = Decimal(text)
        return pa.array(values, kind, mask=_mask(column.missing))
    words = np.empty((len(column.units), 2), dtype=np.int64)
    words[:, 0] = column.units
    words[:, 1] = column.units >> 63
    there = pa.py_buffer(np.packbits(~column.missing, bitorder="little")) if count_true(column.missing) else None
    narrow = pa.decimal128(_NARROW, -column.exponent)
    return pa.Array.from_buffers(narrow, len(words), [there, pa.py_buffer(words)]).cast(kind)


def _all_missing(column: MoneyColumn) -> bool:
    return count_true(column.missing) == len(column.missing)


def _places(column: MoneyColumn) -> int:
    if _all_missing(column):
        return 0
    exponents = [Decimal(text).as_tuple().exponent for text in column.wide.values()]
    return max(0, -column.exponent, *(-exponent for exponent in exponents if isinstance(exponent, int)))


def _whole_digits(column: MoneyColumn) -> int:
    """Return how many digits before the point the largest value has."""
    if _all_missing(column):
        return 0
    figures = max(len(str(abs(int(edge)))) for edge in (column.units.max(), column.units.min()))
    return max(figures + column.exponent, *(Decimal(text).adjusted() + 1 for text in column.wide.values()), 1)
