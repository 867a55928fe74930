"""An account's day on paper: what it began with, what happened, what it ended with.

    closing cash   = opening cash + movements + the day's postings to cash
    closing equity = opening equity + movements + realised - commission + change of unrealised (and what a reset wrote
                     off, which is below zero for what was held)
                   = closing cash + what is held, at the closing prices

Invariant: a statement carries the sums of its own double entries, which come to zero, and both lines above hold; one
for which they do not is never made (``StatementFault``). A position without a price counts at its cost, as everywhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from qsuite.domain.money import ZERO, show
from qsuite.domain.reports.ledger import Books, Holding, Movement, Tally
from qsuite.domain.times import DAY_NS

HALF_A_CENT = Decimal("0.005")
FIGURES = (
    "opening_cash",
    "opening_equity",
    "opening_unrealized",
    "bought",
    "sold",
    "realized_pnl",
    "commission",
    "unrealized_change",
    "closing_cash",
    "long_value",
    "short_value",
    "closing_equity",
    "closing_unrealized",
    "deposited",
    "total_realized_pnl",
    "total_commission",
)
"""The figures of a statement that are money, in the order they are shown."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KINDS = ("deposit", "withdrawal", "reset")
WRITTEN_OFF = "written_off"
"""What a reset took from what was held, at cost: beside cash, it changes equity."""


def date_of(day: int) -> str:
    """Write a day, counted from 1970-01-01, as a date."""
    return (EPOCH + timedelta(days=day)).date().isoformat()


def day_of_date(text: str) -> int:
    """Read a date as its day, counted from 1970-01-01. ValueError for what is no date."""
    return (date.fromisoformat(text) - EPOCH.date()).days


class StatementFault(Exception):
    """The figures of an account do not reconcile; ``faults`` say where."""

    def __init__(self, account: UUID, day: int, faults: Sequence[str]) -> None:
        super().__init__(f"account {account} on day {day}: {'; '.join(faults)}")
        self.account = account
        self.day = day
        self.faults = list(faults)


class ClosingPrice(NamedTuple):
    """What a unit was worth when the day ended: where that was taken from, and when it was shown."""

    price: Decimal
    source: str
    ts_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementPosition:
    """One symbol at the day's end; profit and commission are the day's. Flat ones that traded that day are in it."""

    symbol: str
    quantity: Decimal
    cost: Decimal
    avg_cost: Decimal | None
    closing: ClosingPrice | None
    market_value: Decimal
    unrealized_pnl: Decimal
    realized_pnl: Decimal
    commission: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One account's UTC day, ``day`` counted from 1970-01-01. ``deposited`` and the ``total_`` figures are to date."""

    account: UUID
    user: UUID
    name: str
    currency: str
    day: int
    opening_cash: Decimal
    opening_equity: Decimal
    opening_unrealized: Decimal
    movements: Mapping[str, Decimal]
    executions: int
    bought: Decimal
    sold: Decimal
    realized_pnl: Decimal
    commission: Decimal
    unrealized_change: Decimal
    closing_cash: Decimal
    long_value: Decimal
    short_value: Decimal
    closing_equity: Decimal
    closing_unrealized: Decimal
    deposited: Decimal
    total_realized_pnl: Decimal
    total_commission: Decimal
    postings: Mapping[str, Decimal]
    positions: tuple[StatementPosition, ...]

    @property
    def end_ns(self) -> int:
        """Return when its day was over."""
        return (self.day + 1) * DAY_NS

    def books(self) -> Books:
        """Return the books as they were at its end, to go on from."""
        held = {each.symbol: Holding(each.quantity, each.cost) for each in self.positions if each.quantity}
        return Books(self.closing_cash, self.deposited, self.total_realized_pnl, self.total_commission, held)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose statement it is."""

    account: UUID
    user: UUID
    name: str
    currency: str


@dataclass(slots=True, kw_only=True)
class Opening:
    """How a day began."""

    cash: Decimal = ZERO
    equity: Decimal = ZERO
    unrealized: Decimal = ZERO


def close_day(
    owner: Owner,
    day: int,
    opening: Opening,
    *,
    books: Books,
    tally: Tally,
    traded: Mapping[str, Tally],
    movements: Sequence[Movement],
    prices: Mapping[str, ClosingPrice],
) -> Statement:
    """Make the statement of a day that is over. StatementFault when its own figures do not add up."""
    rows = tuple(
        _position(symbol, held, traded.get(symbol, Tally()), prices.get(symbol))
        for symbol, held in sorted(books.holdings.items())
        if held.quantity or symbol in traded
    )
    values = [row.market_value for row in rows]
    long_value = sum((value for row, value in zip(rows, values, strict=True) if row.quantity > ZERO), ZERO)
    short_value = -sum((value for row, value in zip(rows, values, strict=True) if row.quantity < ZERO), ZERO)
    unrealized = sum((row.unrealized_pnl for row in rows), ZERO)
    moved = {kind: sum((each.cash for each in movements if each.kind == kind), ZERO) for kind in KINDS}
    moved[WRITTEN_OFF] = sum((each.position for each in movements), ZERO)
    made = Statement(
        account=owner.account,
        user=owner.user,
        name=owner.name,
        currency=owner.currency,
        day=day,
        opening_cash=opening.cash,
        opening_equity=opening.equity,
        opening_unrealized=opening.unrealized,
        movements=moved,
        executions=tally.executions,
        bought=tally.bought,
        sold=tally.sold,
        realized_pnl=tally.realized_pnl,
        commission=tally.commission,
        unrealized_change=unrealized - opening.unrealized,
        closing_cash=books.cash,
        long_value=long_value,
        short_value=short_value,
        closing_equity=books.cash + long_value - short_value,
        closing_unrealized=unrealized,
        deposited=books.deposited,
        total_realized_pnl=books.realized_pnl,
        total_commission=books.commission,
        postings=dict(tally.posted),
        positions=rows,
    )
    faults = faults_of(made)
    if faults:
        raise StatementFault(owner.account, day, faults)
    return made


def faults_of(made: Statement) -> list[str]:
    """Name what of a statement does not add up: its double entries, its cash, its equity to the cent."""
    faults = []
    total = sum(made.postings.values(), ZERO)
    moved = sum((made.movements[kind] for kind in KINDS), ZERO)
    cash = made.opening_cash + moved + made.postings["cash"]
    equity = (
        made.opening_equity
        + moved
        + made.movements[WRITTEN_OFF]
        + made.realized_pnl
        - made.commission
        + made.unrealized_change
    )
    if total:
        faults.append(f"its double entries sum to {show(total)}, not to zero")
    if made.closing_cash != cash:
        faults.append(f"closing cash is {show(made.closing_cash)}, the day's entries give {show(cash)}")
    if abs(made.closing_equity - equity) >= HALF_A_CENT:
        faults.append(f"closing equity is {show(made.closing_equity)}, the day's profit gives {show(equity)}")
    return faults


def opening_of(before: Statement | None) -> Opening:
    """Return how the day after a statement begins; with nothing, for an account's first day."""
    if before is None:
        return Opening()
    return Opening(cash=before.closing_cash, equity=before.closing_equity, unrealized=before.closing_unrealized)


def _position(symbol: str, held: Holding, day: Tally, closing: ClosingPrice | None) -> StatementPosition:
    value = held.cost if closing is None else held.quantity * closing.price
    return StatementPosition(
        symbol=symbol,
        quantity=held.quantity,
        cost=held.cost,
        avg_cost=held.cost / held.quantity if held.quantity else None,
        closing=closing if held.quantity else None,
        market_value=value,
        unrealized_pnl=value - held.cost,
        realized_pnl=day.realized_pnl,
        commission=day.commission,
    )
