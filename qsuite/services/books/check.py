"""The whole check: three passes over one snapshot of the books.

by order     orders, executions and audit entries side by side, sorted by order
by sequence  the audit chain, and the fills and resets in the order they happened
by account   what that adds up to against accounts and positions
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import localcontext
from itertools import islice, pairwise
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from qsuite.repos.books import BooksReader, EntryRow
from qsuite.services.books.chain import ChainCheck, fill_of
from qsuite.services.books.ledger import Ledger
from qsuite.services.books.order import order_faults
from qsuite.services.books.resets import RESET, reset_of

T = TypeVar("T")

DIGITS = 100  # sums of millions of 34-digit amounts stay exact
CHUNK = 1_000


class Disagreement(NamedTuple):
    """One thing the books contradict themselves in."""

    subject: str
    text: str


Found = Callable[[Disagreement], None]


def check_books(books: BooksReader, found: Found) -> dict[str, int]:
    """Read everything and report each disagreement; return how much was read, by kind."""
    counts: dict[str, int] = {}
    ledger = Ledger()
    with localcontext() as context:
        context.prec = DIGITS
        _check_orders(books, ledger, counts, found)
        _check_client_ids(books, found)
        _check_chain(books, ledger, counts, found)
        for subject, text in ledger.account_faults(counted(books.accounts(), "accounts", counts)):
            found(Disagreement(subject, text))
        for subject, text in ledger.position_faults(counted(books.positions(), "positions", counts)):
            found(Disagreement(subject, text))
        for subject, text in (*ledger.strategy_faults(books.strategy_positions()), *ledger.order_faults()):
            found(Disagreement(subject, text))
    return counts


def _check_orders(books: BooksReader, ledger: Ledger, counts: dict[str, int], found: Found) -> None:
    executions = Beside(counted(books.executions(), "executions", counts), lambda row: row.order)
    steps = Beside(books.order_steps(), lambda row: row.subject)
    for order in counted(books.orders(), "orders", counts):
        its_executions, its_steps = executions.take(order.id), steps.take(str(order.id))
        for text in order_faults(order, its_executions, its_steps):
            found(Disagreement(f"order {order.id}", text))
        ledger.book(order, its_executions)
    for stray in executions.strays():
        found(Disagreement(f"execution {stray.id}", f"belongs to order {stray.order}, which is not stored"))
    for entry in steps.strays():
        found(Disagreement(f"audit entry {entry.seq}", f"tells of order {entry.subject}, which is not stored"))


def _check_client_ids(books: BooksReader, found: Found) -> None:
    for before, after in pairwise(books.client_ids()):
        if before == after:
            account, client_order_id = after
            found(Disagreement(f"account {account}", f"has two orders with the client_order_id {client_order_id}"))


def _check_chain(books: BooksReader, ledger: Ledger, counts: dict[str, int], found: Found) -> None:
    chain = ChainCheck()
    entries = counted(books.entries(), "audit entries", counts)
    while chunk := list(islice(entries, CHUNK)):
        for entry in chunk:
            for text in chain.faults(entry):
                found(Disagreement(f"audit entry {entry.seq}", text))
        _follow_money(books, ledger, chunk, found)
    for text in chain.end_faults(books.engine()):
        found(Disagreement("audit chain", text))


def _follow_money(books: BooksReader, ledger: Ledger, chunk: Sequence[EntryRow], found: Found) -> None:
    """Follow fills, and the accounts that began anew between them, as they came."""
    told = {entry.seq: UUID(execution) for entry in chunk if (execution := fill_of(entry)) is not None}
    stored = books.executions_of(told.values()) if told else {}
    for entry in chunk:
        if entry.seq in told and told[entry.seq] in stored:  # else it was reported with its order
            ledger.follow(stored[told[entry.seq]])
        elif entry.kind == RESET:
            for text in ledger.reset(reset_of(entry)):
                found(Disagreement(f"audit entry {entry.seq}", text))


class Beside(Generic[T]):
    """A sorted stream read beside another one that has the same keys, in the same order, each once."""

    def __init__(self, rows: Iterator[T], key: Callable[[T], Any]) -> None:
        self._rows = rows
        self._key = key
        self._next = next(rows, None)
        self._strays: list[T] = []

    def take(self, key: Any) -> list[T]:
        """Return the rows of this key; rows before it belong to no key of the other stream."""
        taken: list[T] = []
        while self._next is not None and (present := self._key(self._next)) <= key:
            (taken if present == key else self._strays).append(self._next)
            self._next = next(self._rows, None)
        return taken

    def strays(self) -> Iterator[T]:
        """Yield the rows that no key was asked for."""
        yield from self._strays
        if self._next is not None:
            yield self._next
        yield from self._rows


def counted(rows: Iterable[T], name: str, counts: dict[str, int]) -> Iterator[T]:
    """Pass rows on and count them."""
    counts.setdefault(name, 0)
    for row in rows:
        counts[name] += 1
        yield row
