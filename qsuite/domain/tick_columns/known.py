"""Columns of one symbol's ticks cut into blocks, and compared with what is stored; no object is made of a tick."""

from collections.abc import Iterator

import numpy as np

from qsuite.domain.tick_columns.columns import OF_TRADES, Flags, MoneyColumn, TickColumns, decimal_at, take
from qsuite.domain.tick_columns.runs import Rows, cut, in_order, joined


def cut_into(columns: TickColumns, size: int) -> Iterator[TickColumns]:
    """Cut columns that are in order into parts of about a size, no instant parted."""
    start, count = 0, len(columns)
    while start < count:
        end = min(start + size, count)
        if end < count:
            end = int(columns.ts_ns.searchsorted(columns.ts_ns[end - 1], side="right"))
        yield cut(columns, start, end)
        start = end


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
    both = joined([known, columns])
    order = np.lexsort((both.trades, both.seq, both.ts_ns))
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
