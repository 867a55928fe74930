"""An account's books rebuilt from the double entries of its executions, one after the other.

Invariant: every figure is a sum of postings. So figures of parts (days, symbols, strategies) add up to those of the
whole to the last digit, and what they come to can be compared with the account and positions the engine keeps.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

from qsuite.domain.money import ZERO, show

LEDGER = ("cash", "position", "realized_pnl", "commission")
"""The accounts a fill is posted to; see ``trading.account``."""


class Entry(NamedTuple):
    """A fill as the ledger has it; ``signed`` is its quantity, below zero for a sale."""

    id: UUID
    order: UUID
    account: UUID
    symbol: str
    signed: Decimal
    price: Decimal
    commission: Decimal
    time_ns: int
    postings: Mapping[str, Decimal]


class Movement(NamedTuple):
    """What changed an account other than by trading; ``kind`` is deposit, withdrawal or reset.

    ``cash`` came in (above zero) or went out, and counts as ``deposited``. A reset also writes off what was held, at
    its cost, by symbol (``written_off``), and takes profit and commission to date back to nothing: ``position``,
    ``realized_pnl`` and ``commission`` are its postings. ``mark``: ids of fills after it are above.
    """

    kind: str
    time_ns: int
    cash: Decimal
    deposited: Decimal
    position: Decimal = ZERO
    realized_pnl: Decimal = ZERO
    commission: Decimal = ZERO
    written_off: Mapping[str, "Holding"] = MappingProxyType({})
    mark: UUID | None = None

    def before(self, entry: Entry) -> bool:
        """Say whether a fill came after it."""
        if entry.time_ns != self.time_ns:
            return entry.time_ns > self.time_ns
        return self.mark is not None and entry.id > self.mark


@dataclass(slots=True)
class Holding:
    """What is held of a symbol, and its cost in all."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO


@dataclass(slots=True)
class Tally:
    """Sums of postings, with the number of fills and the values bought and sold."""

    executions: int = 0
    bought: Decimal = ZERO
    sold: Decimal = ZERO
    posted: dict[str, Decimal] = field(default_factory=lambda: dict.fromkeys(LEDGER, ZERO))

    def add(self, entry: Entry) -> None:
        """Take in a fill."""
        self.executions += 1
        if entry.signed > ZERO:
            self.bought += entry.signed * entry.price
        else:
            self.sold -= entry.signed * entry.price
        for name in LEDGER:
            self.posted[name] += entry.postings[name]

    @property
    def realized_pnl(self) -> Decimal:
        """Return the profit taken, before commission: a credit is below zero in the ledger."""
        return -self.posted["realized_pnl"]

    @property
    def commission(self) -> Decimal:
        """Return what trading cost."""
        return self.posted["commission"]


@dataclass(slots=True)
class Books:
    """One account's cash and holdings as far as its entries were followed."""

    cash: Decimal = ZERO
    deposited: Decimal = ZERO
    realized_pnl: Decimal = ZERO
    commission: Decimal = ZERO
    holdings: dict[str, Holding] = field(default_factory=dict)

    def book(self, entry: Entry) -> None:
        """Follow a fill."""
        held = self.holdings.setdefault(entry.symbol, Holding())
        held.quantity += entry.signed
        held.cost += entry.postings["position"]
        self.cash += entry.postings["cash"]
        self.realized_pnl -= entry.postings["realized_pnl"]
        self.commission += entry.postings["commission"]

    def move(self, movement: Movement) -> None:
        """Follow money from outside, or a reset."""
        self.cash += movement.cash
        self.deposited += movement.deposited
        self.realized_pnl -= movement.realized_pnl
        self.commission += movement.commission
        for symbol, gone in movement.written_off.items():
            held = self.holdings.setdefault(symbol, Holding())
            held.quantity -= gone.quantity
            held.cost -= gone.cost


def movement_fault(movement: Movement) -> str | None:
    """Say what is wrong with a movement's double entry: what came in is what counts as deposited, and no more."""
    total = movement.cash - movement.deposited + movement.position + movement.realized_pnl + movement.commission
    return f"the postings of a {movement.kind} sum to {show(total)}, not to zero" if total else None


def fault_of(entry: Entry) -> str | None:
    """Say what is wrong with a fill's double entry, None where nothing is: it sums to zero and moved what it says."""
    missing = [name for name in LEDGER if name not in entry.postings]
    if missing:
        return f"execution {entry.id} has no posting to {', '.join(missing)}"
    total = sum(entry.postings.values(), ZERO)
    if total:
        return f"the postings of execution {entry.id} sum to {show(total)}, not to zero"
    moved = -entry.signed * entry.price - entry.commission
    if entry.postings["cash"] != moved:
        return f"execution {entry.id} moved {show(moved)} of cash, and posted {show(entry.postings['cash'])}"
    if entry.postings["commission"] != entry.commission:
        return f"execution {entry.id} cost {show(entry.commission)}, and posted {show(entry.postings['commission'])}"
    return None


def differences(books: Books, kept: Books) -> list[str]:
    """Name the figures in which books followed entry by entry differ from those the engine keeps, to the last digit."""
    found = [
        f"{name} is {show(getattr(kept, name))}, the ledger gives {show(getattr(books, name))}"
        for name in ("cash", "deposited", "realized_pnl", "commission")
        if getattr(kept, name) != getattr(books, name)
    ]
    for symbol in sorted(books.holdings.keys() | kept.holdings.keys()):
        ours, theirs = books.holdings.get(symbol, Holding()), kept.holdings.get(symbol, Holding())
        found += [
            f"{name} of {symbol} is {show(getattr(theirs, name))}, the ledger gives {show(getattr(ours, name))}"
            for name in ("quantity", "cost")
            if getattr(ours, name) != getattr(theirs, name)
        ]
    return found
