"""Cells of money as a fixed-point column: what a row's reader makes of a text, without reading every row.

Prices repeat all day, so a column is taken apart into its different values first, and each of those is read once by the
very function that reads rows. Where nearly all values differ (sizes with eight decimals), plain digits are read many at
a time, and only what is more than that by the function. Integers and Arrow's decimals are units already.

Invariant: the column holds what reading each cell would have given, to the last zero; ValueError where one of the cells
would have been refused.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from qsuite.domain.tick_columns.columns import (
    DIGITS,
    Flags,
    Integers,
    MoneyColumn,
    decimal_parts,
    fixed_point,
    take_money,
    to_money,
)
from qsuite.services.files.arrow_numbers import EMPTY, chosen, integers, nulls
from qsuite.services.files.columnar import cells_as_text

Read = Callable[[str], Decimal | None]

FEW = 1_000
"""Different values that are read one by one; more are read together."""
SAMPLED = 4_096
_DOT, _ZERO = ord("."), ord("0")
_POWERS = 10 ** np.arange(DIGITS + 1, dtype=np.int64)


def read_money(cells: Any, read: Read) -> MoneyColumn:
    """Read an Arrow array of any plain type; ``read`` reads one cell's text. ValueError when it refuses one."""
    kind = cells.type
    if pa.types.is_integer(kind):
        return _of_units(cells, integers(cells), 0, read)
    if pa.types.is_decimal128(kind) and 0 <= kind.scale < DIGITS:
        units = _low_words(cells)
        if units is not None:
            return _of_units(cells, units, kind.scale, read)
    if not pa.types.is_dictionary(kind):
        if _mostly_different(cells):
            return _of_texts(cells_as_text(cells), read)
        cells = pc.dictionary_encode(cells)
    codes, texts = used_words(cells)
    return take_money(_of_texts(texts, read), codes)


def used_words(cells: Any) -> tuple[Any, Any]:
    """Return, of a dictionary array, a code for each cell and the texts of those codes that occur; a null is empty."""
    words = cells_as_text(cells.dictionary)
    codes = integers(cells.indices)
    if cells.indices.null_count:
        codes = np.where(nulls(cells.indices), len(words), codes)
        words = pa.concat_arrays([words, EMPTY])
    used = np.flatnonzero(np.bincount(codes, minlength=len(words)))
    if len(used) < len(words):
        places = np.zeros(len(words), dtype=np.intp)
        places[used] = np.arange(len(used))
        codes, words = places[codes], chosen(words, used)
    return codes, words


def _mostly_different(cells: Any) -> bool:
    sample = cells[:SAMPLED]
    return len(sample) == SAMPLED and 2 * len(sample.unique()) > SAMPLED


# -- numbers by type --------------------------------------------------------------------------------------------------


def _of_units(cells: Any, units: Integers, scale: int, read: Read) -> MoneyColumn:
    """Make a column of whole numbers of a unit; they are judged by their ends."""
    missing = nulls(cells)
    values = np.where(missing, 0, units)
    there = values[~missing]
    if missing.any():
        read("")
    if len(there):
        read(str(there.min()))
        if not -_POWERS[DIGITS] < there.min() <= there.max() < _POWERS[DIGITS]:
            raise ValueError("a number wider than a column holds")
    # Of no value only the value is kept, not its decimals, as everywhere.
    zeros = np.where((values == 0) & ~missing, scale, 0)
    return MoneyColumn(-scale, values, zeros, missing, {})


def _low_words(cells: Any) -> Integers | None:
    """Return the integers behind Arrow's decimals, None where one needs more than 64 bits."""
    words = np.frombuffer(cells.buffers()[1], dtype=np.int64)[2 * cells.offset : 2 * (cells.offset + len(cells))]
    low, high = words[0::2], words[1::2]
    return low if (nulls(cells) | (high == low >> 63)).all() else None


# -- text -------------------------------------------------------------------------------------------------------------


def _of_texts(texts: Any, read: Read) -> MoneyColumn:
    if len(texts) <= FEW:
        return to_money([read(text) for text in texts.to_pylist()])
    plain = plain_digits(texts)
    units, exponents, digits = plain.units, plain.exponents, plain.digits
    missing = np.zeros(len(texts), dtype=np.bool_)
    for place in np.flatnonzero(~plain.ok).tolist():
        value = read(texts[place].as_py())
        missing[place] = value is None
        units[place], exponents[place], digits[place] = (0, 0, 0) if value is None else decimal_parts(str(value))
    return fixed_point(units, exponents, digits, missing, lambda place: str(read(texts[place].as_py())))


class Digits(NamedTuple):
    """Coefficients, exponents and numbers of digits, and of which texts they are all there is."""

    units: Integers
    exponents: Integers
    digits: Integers
    ok: Flags


def plain_digits(texts: Any) -> Digits:
    """Read texts of up to 18 digits and at most one point, above zero; ``ok`` says which are no more than that."""
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    starts, lengths = ends[:-1], np.diff(ends)
    # One more than is read, so that a text may end at the end of the buffer.
    characters = np.append(np.frombuffer(data, dtype=np.uint8), np.uint8(0)) if data else np.zeros(1, dtype=np.uint8)
    units, dots, after = (np.zeros(len(texts), dtype=np.int64) for _ in range(3))
    ok = (lengths > 0) & (lengths <= DIGITS + 1)
    for place in range(min(int(lengths.max(initial=0)), DIGITS + 1)):
        here = lengths > place
        character = characters[np.where(here, starts + place, len(characters) - 1)]
        digit = character - _ZERO  # wraps round below
        is_digit, is_dot = here & (digit < 10), here & (character == _DOT)
        units = np.where(is_digit, units * 10 + digit, units)
        after += is_digit & (dots > 0)
        dots += is_dot
        ok &= ~here | is_digit | is_dot
    ok &= (dots <= 1) & (lengths - dots <= DIGITS) & (units > 0)
    return Digits(units, -after, np.searchsorted(_POWERS, units, side="right"), ok)
