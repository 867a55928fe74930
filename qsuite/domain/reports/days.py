"""Cut an account's ledger into UTC days, in one pass.

Invariant: each entry is in exactly one day or behind the last one, so that days and what follows add up to the books.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

from qsuite.domain.reports.ledger import Books, Entry, Holding, Movement, Tally, fault_of, movement_fault
from qsuite.domain.reports.statement import StatementFault
from qsuite.domain.times import DAY_NS


class ClosedDay(NamedTuple):
    """A day that is over: the books at its end, and what happened on it, in all and by symbol."""

    day: int
    books: Books
    tally: Tally
    traded: dict[str, Tally]
    movements: list[Movement]


def close_days(
    account: UUID,
    books: Books,
    entries: Iterable[Entry],
    movements: Sequence[Movement],
    *,
    first_day: int,
    last_day: int,
) -> list[ClosedDay]:
    """Follow all entries, oldest first, and return the days from the first to the last, both included.

    ``books`` are those before the first entry and come out as those after the last one. StatementFault for an entry
    that is no double entry.
    """
    days: list[ClosedDay] = []
    happened = sorted([*movements], key=lambda each: each.time_ns)
    ahead = iter(entries)
    entry = next(ahead, None)
    for day in range(first_day, last_day + 1):
        end_ns = (day + 1) * DAY_NS
        tally = Tally()
        traded: dict[str, Tally] = {}
        moved: list[Movement] = []
        while happened and happened[0].time_ns < end_ns:
            moved.append(happened.pop(0))
            _move(account, day, books, moved[-1])
        while entry is not None and entry.time_ns < end_ns:
            _follow(account, day, books, entry)
            tally.add(entry)
            traded.setdefault(entry.symbol, Tally()).add(entry)
            entry = next(ahead, None)
        days.append(ClosedDay(day, _copy(books), tally, traded, moved))
    for movement in happened:
        _move(account, last_day + 1, books, movement)
    while entry is not None:
        _follow(account, last_day + 1, books, entry)
        entry = next(ahead, None)
    return days


def _follow(account: UUID, day: int, books: Books, entry: Entry) -> None:
    fault = fault_of(entry)
    if fault is not None:
        raise StatementFault(account, day, [fault])
    books.book(entry)


def _move(account: UUID, day: int, books: Books, movement: Movement) -> None:
    fault = movement_fault(movement)
    if fault is not None:
        raise StatementFault(account, day, [fault])
    books.move(movement)


def _copy(books: Books) -> Books:
    held = {symbol: Holding(holding.quantity, holding.cost) for symbol, holding in books.holdings.items()}
    return Books(books.cash, books.deposited, books.realized_pnl, books.commission, held)
