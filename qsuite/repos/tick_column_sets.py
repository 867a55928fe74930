"""Columns of one symbol's ticks put together, put in order, cut into blocks, and compared with what is stored.

Order is ``tick_queries.order_of``: by time, by number, a quote before a trade. Nothing here makes an object of a tick.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from qsuite.repos.tick_columns import (
    DIGITS,
    OF_TRADES,
    Flags,
    MoneyColumn,
    TickColumns,
    decimal_at,
    take,
)

Rows = npt.NDArray[np.intp]


def concat(parts: Sequence[TickColumns]) -> TickColumns:
    """Put columns of one symbol behind one another."""
    if len(parts) == 1:
        return parts[0]
    return TickColumns(
        parts[0].symbol,
        np.concatenate([part.ts_ns for part in parts]),
        np.concatenate([part.seq for part in parts]),
        np.concatenate([part.trades for part in parts]),
        {name: _concat_money([part.money[name] for part in parts]) for name in parts[0].money},
    )


def in_order(columns: TickColumns) -> TickColumns:
    """Sort columns, unless they are in order already."""
    times, seqs, trades = columns.ts_ns, columns.seq, columns.trades
    later = times[1:] > times[:-1]
    same = times[1:] == times[:-1]
    behind = (seqs[1:] > seqs[:-1]) | ((seqs[1:] == seqs[:-1]) & (trades[1:] >= trades[:-1]))
    if (later | (same & behind)).all():
        return columns
    return take(columns, _order(columns))


def cut(columns: TickColumns, size: int) -> Iterator[TickColumns]:
    """Cut columns that are in order into parts of about a size, no instant parted."""
    start, count = 0, len(columns)
    while start < count:
        end = min(start + size, count)
        if end < count:
            end = int(columns.ts_ns.searchsorted(columns.ts_ns[end - 1], side="right"))
        yield part_of(columns, start, end)
        start = end


def between(columns: TickColumns, first_ns: int, last_ns: int) -> TickColumns:
    """Return, of columns in order, those of a range, its last instant included."""
    start = int(columns.ts_ns.searchsorted(first_ns))
    end = int(columns.ts_ns.searchsorted(last_ns, side="right"))
    return part_of(columns, start, end)


def part_of(columns: TickColumns, start: int, end: int) -> TickColumns:
    """Return consecutive rows, over the same memory."""
    if end - start == len(columns):
        return columns
    trades = slice(*(int(np.count_nonzero(columns.trades[:row])) for row in (start, end)))
    quotes = slice(start - trades.start, end - trades.stop)
    rows = slice(start, end)
    money = {name: _part(column, trades if name in OF_TRADES else quotes) for name, column in columns.money.items()}
    return TickColumns(columns.symbol, columns.ts_ns[rows], columns.seq[rows], columns.trades[rows], money)


def _part(column: MoneyColumn, rows: slice) -> MoneyColumn:
    wide = {row - rows.start: text for row, text in column.wide.items() if rows.start <= row < rows.stop}
    return MoneyColumn(column.exponent, column.units[rows], column.zeros[rows], column.missing[rows], wide)


def without_known(columns: TickColumns, known: TickColumns, displacement: int) -> TickColumns:
    """Return the columns that are not among the known ones, in order; both are of one symbol.

    A tick is known when one of its kind, time, number and figures is. Where only the figures differ it takes a number
    that is higher by the displacement, as often as that is so.
    """
    left = columns
    while True:
        same, other = _met(left, known)
        if not other.any():
            return in_order(take(left, np.flatnonzero(~same)))
        seq = np.where(other, left.seq + displacement, left.seq)
        left = TickColumns(left.symbol, left.ts_ns, seq, left.trades, left.money)


# -- comparing --------------------------------------------------------------------------------------------------------


def _met(columns: TickColumns, known: TickColumns) -> tuple[Flags, Flags]:
    """Say of each tick whether it is known, and whether another one is known under its identity."""
    both = concat([known, columns])
    order = _order(both)
    times, seqs, trades = both.ts_ns[order], both.seq[order], both.trades[order]
    begins = np.ones(len(order), dtype=np.bool_)
    begins[1:] = (times[1:] != times[:-1]) | (seqs[1:] != seqs[:-1]) | (trades[1:] != trades[:-1])
    # Sorting keeps what is equal in place: the first of an identity is a known one, if there is one.
    firsts = order[np.flatnonzero(begins)][np.cumsum(begins) - 1]
    met = (order >= len(known)) & (firsts < len(known))
    mine, theirs = order[met], firsts[met]
    equal = _equal(both, mine, theirs)
    same, other = np.zeros(len(columns), dtype=np.bool_), np.zeros(len(columns), dtype=np.bool_)
    same[mine[equal] - len(known)] = True
    other[mine[~equal] - len(known)] = True
    return same, other


def _order(columns: TickColumns) -> Rows:
    return np.lexsort((columns.trades, columns.seq, columns.ts_ns))


def _equal(columns: TickColumns, some: Rows, others: Rows) -> Flags:
    """Say of pairs of rows, of one kind each, whether their figures are equal in value."""
    one, another = take(columns, some), take(columns, others)
    equal = np.ones(len(some), dtype=np.bool_)
    for name, column in one.money.items():
        rows = np.flatnonzero(one.trades if name in OF_TRADES else ~one.trades)
        equal[rows] &= _equal_money(column, another.money[name])
    return equal


def _equal_money(one: MoneyColumn, another: MoneyColumn) -> Flags:
    equal: Flags = (one.missing == another.missing) & (one.units == another.units)
    for row in {*one.wide, *another.wide}:
        equal[row] = decimal_at(one, row) == decimal_at(another, row)
    return equal


# -- one exponent -----------------------------------------------------------------------------------------------------


def _concat_money(parts: Sequence[MoneyColumn]) -> MoneyColumn:
    exponent = _common_exponent(parts)
    moved = [_at_exponent(part, exponent) for part in parts]
    wide: dict[int, str] = {}
    start = 0
    for part in moved:
        wide |= {start + row: text for row, text in part.wide.items()}
        start += len(part.units)
    return MoneyColumn(
        exponent,
        np.concatenate([part.units for part in moved]),
        np.concatenate([part.zeros for part in moved]),
        np.concatenate([part.missing for part in moved]),
        wide,
    )


def _common_exponent(parts: Sequence[MoneyColumn]) -> int:
    """Return that of the exponents at which the fewest values do not fit, the greatest of those."""
    found = sorted({part.exponent for part in parts if not part.missing.all()}, reverse=True)
    if len(found) < 2:
        return found[0] if found else 0
    return min(found, key=lambda exponent: sum(int((~_fits(part, exponent)).sum()) for part in parts))


def _fits(part: MoneyColumn, exponent: int) -> Flags:
    more = part.exponent - exponent
    fits: Flags
    if more >= 0:
        # Of 0 the decimals count as well: they are digits of a column.
        fits = (np.abs(part.units) < 10 ** max(DIGITS - more, 0)) & (part.zeros + more <= DIGITS)
    else:
        fits = part.zeros >= -more
    return fits | part.missing


def _at_exponent(part: MoneyColumn, exponent: int) -> MoneyColumn:
    more = part.exponent - exponent
    if not more:
        return part
    fits, here = _fits(part, exponent), ~part.missing
    wide = dict(part.wide)
    for row in np.flatnonzero(~fits & here).tolist():
        wide.setdefault(row, str(decimal_at(part, row)))
    fits[list(wide)] = False
    # Of what does not fit the product may be anything.
    units = part.units * 10 ** min(more, DIGITS) if more >= 0 else part.units // 10 ** min(-more, DIGITS)
    return MoneyColumn(
        exponent, np.where(fits, units, 0), np.where(fits & here, part.zeros + more, 0), part.missing, wide
    )
