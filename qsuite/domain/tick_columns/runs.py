"""Runs of ticks as columns, cut, put together and brought in order, without an object for any of them.

What rows do with ``sorted`` and ``==``, by numbers: order is ``(ts_ns, seq)`` with a quote before the trade it met, and
ticks of one place with equal figures are one tick, the first of them (1.5 and 1.50 are equal figures).
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import TypeAlias, cast

import numpy as np
import numpy.typing as npt

from qsuite.domain.tick_columns.columns import (
    DIGITS,
    OF_QUOTES,
    OF_TRADES,
    Flags,
    Integers,
    MoneyColumn,
    TickColumns,
    count_true,
    fixed_point,
    repeated_flag,
    take,
    to_ticks,
)

Rows: TypeAlias = npt.NDArray[np.intp]

_POWERS = 10 ** np.arange(DIGITS + 1, dtype=np.int64)
_EVERYTHING = slice(None)


def cut(columns: TickColumns, start: int, stop: int) -> TickColumns:
    """Return the rows from ``start`` up to ``stop``; nothing is copied."""
    if start <= 0 and stop >= len(columns):
        return columns
    before, upto = (count_true(columns.trades[:row]) for row in (start, stop))
    of_trades, of_quotes = slice(before, upto), slice(start - before, stop - upto)
    rows = slice(start, stop)
    return TickColumns(
        columns.symbol,
        columns.ts_ns[rows],
        columns.seq[rows],
        columns.trades[rows],
        _each_kind(columns, of_trades, of_quotes),
    )


def between(columns: TickColumns, start_ns: int | None, end_ns: int | None) -> TickColumns:
    """Return the rows with ``start_ns <= ts_ns < end_ns`` of a run in order; nothing is copied."""
    times = columns.ts_ns
    start = 0 if start_ns is None else int(times.searchsorted(start_ns))
    stop = len(times) if end_ns is None else int(times.searchsorted(end_ns))
    return cut(columns, start, max(start, stop))


def only_kind(columns: TickColumns, trades: bool) -> TickColumns:
    """Return the trades or the quotes alone."""
    if count_true(columns.trades) == (len(columns) if trades else 0):
        return columns
    wanted = columns.trades == trades
    nothing = slice(0, 0)
    money = _each_kind(columns, _EVERYTHING if trades else nothing, nothing if trades else _EVERYTHING)
    return TickColumns(columns.symbol, columns.ts_ns[wanted], columns.seq[wanted], columns.trades[wanted], money)


def joined(runs: Sequence[TickColumns]) -> TickColumns:
    """Put runs of one symbol, one at least, behind each other."""
    if len(runs) == 1:
        return runs[0]
    return TickColumns(
        runs[0].symbol,
        np.concatenate([run.ts_ns for run in runs]),
        np.concatenate([run.seq for run in runs]),
        np.concatenate([run.trades for run in runs]),
        {name: _joined_money([run.money[name] for run in runs]) for name in OF_TRADES + OF_QUOTES},
    )


def in_order(columns: TickColumns) -> TickColumns:
    """Sort by time, number and kind; equals stay as they were."""
    times, seqs, trades = columns.ts_ns, columns.seq, columns.trades
    later = times[1:] > times[:-1]
    tied = times[1:] == times[:-1]
    tied_later = (seqs[1:] > seqs[:-1]) | ((seqs[1:] == seqs[:-1]) & (trades[1:] >= trades[:-1]))
    if (later | (tied & tied_later)).all():
        return columns
    return take(columns, np.lexsort((trades, seqs, times)))


def each_once(columns: TickColumns) -> TickColumns:
    """Leave out of a run in order the equal ones among the ticks of one place, but the first."""
    kept = _firsts(columns)
    return columns if count_true(kept) == len(columns) else take(columns, np.flatnonzero(kept))


def without(columns: TickColumns, known: TickColumns) -> TickColumns:
    """Leave out of a run in order what equals a tick of another run."""
    both = joined([known, columns])
    order = np.lexsort((both.trades, both.seq, both.ts_ns))  # of equals the known ones come first
    fresh = order[_firsts(take(both, order))] - len(known)
    rows = np.sort(fresh[fresh >= 0])
    return columns if len(rows) == len(columns) else take(columns, rows)


def digits_of(coefficients: Integers) -> Integers:
    """Return how many digits numbers from 0 to ``10^DIGITS`` have; 0 has one."""
    return cast(Integers, np.maximum(_POWERS.searchsorted(coefficients, side="right"), 1))


def _each_kind(columns: TickColumns, of_trades: slice, of_quotes: slice) -> dict[str, MoneyColumn]:
    return {
        name: _cut_money(column, of_trades if name in OF_TRADES else of_quotes)
        for name, column in columns.money.items()
    }


def _cut_money(column: MoneyColumn, rows: slice) -> MoneyColumn:
    wide = column.wide
    if wide and rows != _EVERYTHING:
        wide = {row - rows.start: text for row, text in wide.items() if rows.start <= row < rows.stop}
    return MoneyColumn(column.exponent, column.units[rows], column.zeros[rows], column.missing[rows], wide)


# -- put together -----------------------------------------------------------------------------------------------------


def _joined_money(columns: Sequence[MoneyColumn]) -> MoneyColumn:
    units = np.concatenate([column.units for column in columns])
    zeros = np.concatenate([column.zeros for column in columns])
    missing = np.concatenate([column.missing for column in columns])
    wide: dict[int, str] = {}
    start = 0
    for column in columns:
        wide |= {start + row: text for row, text in column.wide.items()}
        start += len(column.units)
    exponents = {column.exponent for column in columns if len(column.units) and not column.missing.all()}
    if len(exponents) <= 1:
        return MoneyColumn(next(iter(exponents), 0), units, zeros, missing, wide)
    return _at_one_exponent(columns, units, zeros, missing, wide)


def _at_one_exponent(
    columns: Sequence[MoneyColumn], units: Integers, zeros: Integers, missing: Flags, wide: dict[int, str]
) -> MoneyColumn:
    exponents = np.repeat([column.exponent for column in columns], [len(column.units) for column in columns]) + zeros
    coefficients = units // 10**zeros
    digits = digits_of(np.abs(coefficients))
    digits[list(wide)] = DIGITS + 1
    exponents[missing] = 0

    def text(row: int) -> str:
        sign, figures = int(coefficients[row] < 0), tuple(map(int, str(abs(int(coefficients[row])))))
        return wide[row] if row in wide else str(Decimal((sign, figures, int(exponents[row]))))

    return fixed_point(coefficients, exponents, digits, missing, text)


# -- equal ------------------------------------------------------------------------------------------------------------


def _firsts(columns: TickColumns) -> Flags:
    """Say of each row of a run in order whether no equal one is before it."""
    times, seqs, trades = columns.ts_ns, columns.seq, columns.trades
    again = np.zeros(len(columns), dtype=np.bool_)
    np.equal(times[1:], times[:-1], out=again[1:])
    if again.any():
        again[1:] &= (seqs[1:] == seqs[:-1]) & (trades[1:] == trades[:-1])
    if not again.any():
        return repeated_flag(True, len(columns))
    doubled = again & _like_the_one_before(columns)
    kept = ~doubled
    undecided = np.flatnonzero(again & ~doubled)
    if len(undecided):
        place = np.cumsum(~again)
        rows = np.flatnonzero(np.isin(place, place[undecided]))
        for of_place in np.split(rows, np.flatnonzero(np.diff(place[rows])) + 1):
            ticks = to_ticks(take(columns, of_place))
            kept[of_place] = [tick not in ticks[:number] for number, tick in enumerate(ticks)]
    return kept


def _like_the_one_before(columns: TickColumns) -> Flags:
    """Say of each row whether all its figures are those of the row before of its kind, as far as numbers tell."""
    alike = np.zeros(len(columns), dtype=np.bool_)
    for of_kind, names in ((columns.trades, OF_TRADES), (~columns.trades, OF_QUOTES)):
        same = np.ones(int(np.count_nonzero(of_kind)), dtype=np.bool_)
        same[:1] = False
        for column in (columns.money[name] for name in names):
            units, missing = column.units, column.missing
            same[1:] &= (units[1:] == units[:-1]) & (missing[1:] == missing[:-1])
            for row in column.wide:
                same[row : row + 2] = False
        alike[of_kind] = same
    return alike
