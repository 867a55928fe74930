"""Arrow values as the text a CSV would hold: exact, bounded, and safe for bytes that a stranger sent.

Only plain column types are read. A dictionary is decoded by reference, never by copy, because a short body can name
one long string a million times; views and run-length columns, which can do the same, are refused.
"""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from qsuite.domain.errors import Malformed
from qsuite.services.files.arrow_numbers import EMPTY


def describe_schema(schema: Any) -> tuple[list[str], frozenset[str], frozenset[str]]:
    """Return the column names, and which of them are temporal and which binary floats."""
    temporal = {field.name for field in schema if pa.types.is_timestamp(field.type) or pa.types.is_date(field.type)}
    floats = {field.name for field in schema if pa.types.is_floating(field.type)}
    return list(schema.names), frozenset(temporal), frozenset(floats)


def columns_as_text(batch: Any) -> list[list[str]]:
    """Return a batch's rows as text cells; a null or NaN is an empty cell. Malformed for a type that is not plain."""
    columns = [_as_text(column) for column in batch.columns]
    return [list(cells) for cells in zip(*columns, strict=True)]


def cells_as_text(column: Any) -> Any:
    """Return a column's text cells as an array of strings without nulls. Malformed for a type that is not plain."""
    kind = column.type
    if pa.types.is_null(kind):
        return pc.fill_null(pc.cast(column, pa.string()), EMPTY[0])
    if pa.types.is_timestamp(kind):
        return _times_as_text(column)
    if pa.types.is_floating(kind):
        column = pc.if_else(pc.is_nan(column), pa.nulls(1, kind)[0], column)
    elif not _is_plain(kind):
        raise Malformed(f"Arrow columns of {kind} are not read")
    return pc.fill_null(pc.cast(column, pa.string()), EMPTY[0])


def _as_text(column: Any) -> list[str]:
    kind = column.type
    if not pa.types.is_dictionary(kind):
        cells: list[str] = cells_as_text(column).to_pylist()
        return cells
    if not (pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type)):
        raise Malformed(f"Arrow dictionaries of {kind.value_type} are not read")
    words = column.dictionary.to_pylist()
    return ["" if index is None else words[index] or "" for index in column.indices.to_pylist()]


def _is_plain(kind: Any) -> bool:
    types = pa.types
    plain = (types.is_string, types.is_large_string, types.is_integer, types.is_decimal, types.is_date)
    return any(test(kind) for test in plain)


def _times_as_text(column: Any) -> Any:
    kind = column.type
    # Arrow keeps a zoned time in UTC; without its zone it prints as UTC and needs no zone database.
    texts = pc.cast(pc.cast(column, pa.timestamp(kind.unit)), pa.string())
    if kind.tz is not None:
        texts = pc.binary_join_element_wise(texts, "Z", "")
    return pc.fill_null(texts, EMPTY[0])
