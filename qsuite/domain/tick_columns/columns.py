"""Ticks of one symbol as columns: integers in numpy arrays instead of an object for each tick.

    Trade(ts_ns=…, price=Decimal("181.50"), …)      ts_ns  [ … ]   seq [ … ]   trades [ True … ]
    Quote(ts_ns=…, bid=Decimal("181.5"), …)    <─>  price  exponent -2   units [ 18150 … ]   zeros [ 0 … ]
                                                    bid    exponent -2   units [ 18150 … ]   zeros [ 1 … ]

Money is fixed point: ``units x 10^exponent``, one exponent for a column. ``zeros`` says how many of the last digits the
value was written without, so that 181.5 and 181.50 both come back as they were. What fits no 18 digits beside the
others, and a zero below zero, is kept as text (``wide``). Columns of trades hold trades only, those of quotes quotes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import lru_cache
from itertools import repeat
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from qsuite.domain.market import Quote, Tick, Trade

Integers: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]
Make = Callable[..., Tick]

OF_TRADES = ("price", "size")
OF_QUOTES = ("bid", "ask", "bid_size", "ask_size")
DIGITS = 18
"""What every int64 can hold."""
_EXACT = Context(prec=2 * DIGITS)


@dataclass(frozen=True, slots=True)
class MoneyColumn:
    """Decimals, some perhaps missing; ``units`` and ``zeros`` are 0 where one is missing or wide."""

    exponent: int
    units: Integers
    zeros: Integers
    missing: Flags
    wide: dict[int, str]


@dataclass(frozen=True, slots=True)
class TickColumns:
    """Ticks of one symbol, in the order they were given; ``money`` by field name."""

    symbol: str
    ts_ns: Integers
    seq: Integers
    trades: Flags
    money: dict[str, MoneyColumn]

    def __len__(self) -> int:
        return len(self.ts_ns)


def repeated(value: int, count: int) -> Integers:
    """Return a number as an array of so many: one number that shows everywhere, and cannot be written to."""
    return np.ndarray((count,), np.int64, np.int64(value).tobytes(), 0, (0,))


def repeated_flag(value: bool, count: int) -> Flags:
    """Return yes or no as an array of so many, as ``repeated`` does."""
    return np.ndarray((count,), np.bool_, np.bool_(value).tobytes(), 0, (0,))


def count_true(flags: Flags) -> int:
    """Return how many are yes, at no cost where all are the same."""
    if len(flags) and flags.strides == (0,):
        return len(flags) if flags[0] else 0
    return int(np.count_nonzero(flags))


def to_columns(symbol: str, ticks: Sequence[Tick]) -> TickColumns:
    """Turn ticks of one symbol into columns."""
    kinds = [isinstance(tick, Trade) for tick in ticks]
    trades = [tick for tick in ticks if isinstance(tick, Trade)]
    quotes = [tick for tick in ticks if isinstance(tick, Quote)]
    money = {name: to_money([getattr(trade, name) for trade in trades]) for name in OF_TRADES}
    money |= {name: to_money([getattr(quote, name) for quote in quotes]) for name in OF_QUOTES}
    return TickColumns(
        symbol,
        np.array([tick.ts_ns for tick in ticks], dtype=np.int64),
        np.array([tick.seq for tick in ticks], dtype=np.int64),
        np.array(kinds, dtype=np.bool_),
        money,
    )


def to_ticks(columns: TickColumns) -> list[Tick]:
    """Turn columns back into the ticks they were made of."""
    times, seqs = columns.ts_ns, columns.seq
    of = {name: _decimals(column) for name, column in columns.money.items()}
    is_trade, is_quote = columns.trades, ~columns.trades
    symbols, trade, quote = repeat(columns.symbol), cast(Make, Trade), cast(Make, Quote)
    trades = map(trade, symbols, times[is_trade].tolist(), of["price"], of["size"], seqs[is_trade].tolist())
    sides = (of[name] for name in OF_QUOTES)
    quotes = map(quote, symbols, times[is_quote].tolist(), *sides, seqs[is_quote].tolist())
    of_kind: dict[bool, Iterator[Tick]] = {True: iter(trades), False: iter(quotes)}
    return [next(of_kind[kind]) for kind in is_trade.tolist()]


def take(columns: TickColumns, rows: npt.NDArray[np.intp]) -> TickColumns:
    """Return these rows of the columns, in this order."""
    trades = columns.trades[rows]
    of_trades = (np.cumsum(columns.trades) - 1)[rows[trades]]
    of_quotes = (np.cumsum(~columns.trades) - 1)[rows[~trades]]
    money = {
        name: take_money(column, of_trades if name in OF_TRADES else of_quotes)
        for name, column in columns.money.items()
    }
    return TickColumns(columns.symbol, columns.ts_ns[rows], columns.seq[rows], trades, money)


def take_money(column: MoneyColumn, rows: npt.NDArray[np.integer[Any]]) -> MoneyColumn:
    """Return these rows of a column, in this order; one may be taken many times."""
    wide = {}
    if column.wide:
        wide = {place: column.wide[row] for place, row in enumerate(rows.tolist()) if row in column.wide}
    return MoneyColumn(column.exponent, column.units[rows], column.zeros[rows], column.missing[rows], wide)


# -- money ------------------------------------------------------------------------------------------------------------


def to_money(values: Sequence[Decimal | None]) -> MoneyColumn:
    """Turn decimals into a column."""
    missing = np.array([value is None for value in values], dtype=np.bool_)
    # By text, as everywhere: 1.5 and 1.50 are equal keys and different values.
    parts = [_ABSENT if value is None else decimal_parts(str(value)) for value in values]
    units, exponents, digits = (np.array([part[place] for part in parts], dtype=np.int64) for place in range(3))
    return fixed_point(units, exponents, digits, missing, lambda place: str(values[place]))


def fixed_point(
    units: Integers, exponents: Integers, digits: Integers, missing: Flags, text: Callable[[int], str]
) -> MoneyColumn:
    """Bring decimals to one exponent; ``text`` tells one that fits in no 18 digits there."""
    fits = digits <= DIGITS
    exponent = _common_exponent(exponents[fits & ~missing], digits[fits & ~missing])
    zeros = np.where(missing, 0, exponents - exponent)
    fits &= (zeros >= 0) & (digits + zeros <= DIGITS)
    zeros[~fits] = 0
    units = np.where(fits, units, 0) * 10**zeros
    wide = {place: text(place) for place in np.flatnonzero(~fits & ~missing).tolist()}
    return MoneyColumn(exponent, units, zeros, missing, wide)


_ABSENT = (0, 0, 0)
_MUCH = DIGITS + 1


@lru_cache(maxsize=1 << 16)
def decimal_parts(text: str) -> tuple[int, int, int]:
    """Return a decimal's coefficient with its sign, its exponent and its number of digits; 19 stand for any more."""
    sign, digits, exponent = Decimal(text).as_tuple()
    assert isinstance(exponent, int)
    coefficient = int("".join(map(str, digits)))
    if len(digits) > DIGITS or (sign and not coefficient):
        return 0, exponent, _MUCH
    return -coefficient if sign else coefficient, exponent, len(digits)


def _common_exponent(exponents: Integers, digits: Integers) -> int:
    """Return the exponent at which the fewest values do not fit, the greatest of those."""
    found, best = 0, None
    for exponent in np.unique(exponents)[::-1].tolist():
        zeros = exponents - exponent
        left_out = int(((zeros < 0) | (digits + zeros > DIGITS)).sum())
        if best is None or left_out < best:
            found, best = exponent, left_out
    return int(found)


def decimal_at(column: MoneyColumn, row: int) -> Decimal | None:
    """Return one value of a column."""
    return _decimals(take_money(column, np.array([row])))[0]


def _decimals(column: MoneyColumn) -> list[Decimal | None]:
    values = np.empty(len(column.units), dtype=object)
    for zeros in np.unique(column.zeros).tolist():
        at = np.flatnonzero(column.zeros == zeros)
        # Prices repeat: one decimal is made of each, not of each tick.
        distinct, places = np.unique(column.units[at] // 10**zeros, return_inverse=True)
        made = np.empty(len(distinct), dtype=object)
        made[:] = [Decimal(units).scaleb(column.exponent + zeros, _EXACT) for units in distinct.tolist()]
        values[at] = made[places]
    values[column.missing] = None
    for place, text in column.wide.items():
        values[place] = Decimal(text)
    found: list[Decimal | None] = values.tolist()
    return found
