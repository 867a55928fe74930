"""The daily job: stores one statement for each account and UTC day that is over, and never one that does not reconcile.

    account by account:  ledger since its last statement ── days ── compared with what the engine keeps ── stored

All that is compared is read from one snapshot, so that it may run beside trading. Only the process with the engine
works, after everything it decided is durable; should two believe so, the second one's statements change nothing. What
was missed while nothing ran is caught up, and a statement that was stored is where the next one goes on from, so that a
process may be killed at any moment.

Invariant: an account whose ledger, cash, profit and positions do not agree to the last digit gets no statement. It gets
a critical risk event, the log and the metric say so, and the loop shows as failing until a person has looked.
"""

from typing import Protocol

import structlog

from qsuite.domain.reports.days import ClosedDay, close_days
from qsuite.domain.reports.ledger import Books, differences
from qsuite.domain.reports.statement import (
    ClosingPrice,
    Owner,
    Statement,
    StatementFault,
    close_day,
    date_of,
    opening_of,
)
from qsuite.domain.times import DAY_NS, NS_PER_S
from qsuite.domain.trading.account import Account
from qsuite.domain.trading.commands import RaiseAlarm
from qsuite.repos.accounts import AccountsRepo
from qsuite.repos.database import Database
from qsuite.repos.ledger import open_ledger
from qsuite.repos.past_prices import PastPrices
from qsuite.repos.statements import StatementsRepo

log = structlog.get_logger(__name__)

CLOSE_AFTER_NS = 60 * NS_PER_S
"""A day is closed so long after its end: its last ticks are stored by then, and clocks may differ a little."""
ACCOUNTS_AT_ONCE = 100
UNRECONCILED = "report.unreconciled"


class NotReconciled(Exception):
    """Statements were refused because their figures differ from the ledger's: the loop's failure, nobody's answer."""


class Engine(Protocol):
    """What the job needs of the engine."""

    @property
    def active(self) -> bool:
        """Say whether orders are decided here."""

    async def settled(self) -> None:
        """Return when all that was decided before is durable."""

    async def submit(self, command: RaiseAlarm) -> object:
        """Have a command decided."""


class DailyStatements:
    """A supervised loop. ``stored`` and ``faults`` are for the metrics."""

    name = "statements"
    interval_s = 30.0

    def __init__(
        self,
        *,
        database: Database,
        accounts: AccountsRepo,
        statements: StatementsRepo,
        prices: PastPrices,
        engine: Engine,
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._statements = statements
        self._prices = prices
        self._engine = engine
        self._done_day = -1
        self._alarmed: set[str] = set()
        self.stored = 0
        self.faults = 0

    async def run_once(self, now: int) -> None:
        """Store what is missing up to the last day that is over. NotReconciled when that could not be for all."""
        last_day = (now - CLOSE_AFTER_NS) // DAY_NS - 1
        if last_day <= self._done_day or not self._engine.active:
            return
        await self._engine.settled()
        faults = await self._every_account(last_day, now)
        self.faults = len(faults)
        if faults:
            raise NotReconciled(f"{len(faults)} accounts have no statement: {faults[0]}")
        self._done_day = last_day

    async def _every_account(self, last_day: int, now: int) -> list[StatementFault]:
        prices = self._prices.remembering()
        faults: list[StatementFault] = []
        accounts = await self._accounts.batch_after(None, ACCOUNTS_AT_ONCE)
        while accounts:
            for account in accounts:
                try:
                    self.stored += await self._database.in_reader(self._catch_up, account, last_day, now, prices)
                except StatementFault as fault:
                    faults.append(fault)
                    await self._alarm(fault)
            accounts = await self._accounts.batch_after(accounts[-1].id, ACCOUNTS_AT_ONCE)
        return faults

    async def _alarm(self, fault: StatementFault) -> None:
        """Tell once of each fault; the metric and the loop's state last as long as it does."""
        detail = f"no statement of {date_of(fault.day)}: {'; '.join(fault.faults)}"
        known = f"{fault.account} {detail}"
        if known in self._alarmed:
            return
        self._alarmed.add(known)
        log.error("statement.unreconciled", account=str(fault.account), day=date_of(fault.day), faults=fault.faults)
        await self._engine.submit(RaiseAlarm(account=fault.account, code=UNRECONCILED, detail=detail))

    def _catch_up(self, account: Account, last_day: int, now: int, prices: PastPrices) -> int:
        """Store an account's missing statements, in a thread; return how many. StatementFault if it does not agree."""
        before = self._statements.last(account.id)
        first_day = account.created_at // DAY_NS if before is None else before.day + 1
        if first_day > last_day:
            return 0
        stored = 0
        for closed in self._closed_days(account, before, first_day, last_day):
            made = _make(account, before, closed, prices)
            stored += self._statements.add(made, now)
            before = made
        return stored

    def _closed_days(
        self, account: Account, before: Statement | None, first_day: int, last_day: int
    ) -> list[ClosedDay]:
        """Read the ledger to its end, and hold what it comes to against what the engine keeps."""
        books = Books() if before is None else before.books()
        start_ns = None if before is None else first_day * DAY_NS
        with open_ledger(self._database) as ledger:
            kept = ledger.kept(account.id)
            movements = [each for each in ledger.movements(account.id) if start_ns is None or each.time_ns >= start_ns]
            entries = ledger.entries(account.id, start_ns)
            days = close_days(account.id, books, entries, movements, first_day=first_day, last_day=last_day)
        faults = differences(books, kept)
        if faults:
            raise StatementFault(account.id, last_day, faults)
        return days


def _make(account: Account, before: Statement | None, closed: ClosedDay, prices: PastPrices) -> Statement:
    owner = Owner(account=account.id, user=account.user, name=account.name, currency=account.currency)
    end_ns = (closed.day + 1) * DAY_NS
    closing: dict[str, ClosingPrice] = {}
    for symbol, held in closed.books.holdings.items():
        found = prices.at(symbol, held.quantity, end_ns) if held.quantity else None
        if found is not None:
            closing[symbol] = found
    return close_day(
        owner,
        closed.day,
        opening_of(before),
        books=closed.books,
        tally=closed.tally,
        traded=closed.traded,
        movements=closed.movements,
        prices=closing,
    )
