"""Reports as people ask for them: whose, of when, grouped how; and the record of who took them away."""

import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from qsuite.domain.errors import Invalid, NotFound
from qsuite.domain.reports.statement import Statement, date_of
from qsuite.domain.roles import Caller
from qsuite.repos.database import Database
from qsuite.repos.past_prices import PastPrices
from qsuite.repos.report_reads import Range, ReportReads
from qsuite.repos.statements import StatementsRepo
from qsuite.repos.ticks import TicksRepo
from qsuite.services.audit_trail import AuditTrail
from qsuite.services.downloads import pulled
from qsuite.services.reports.profit_rows import ProfitRows
from qsuite.services.reports.quality_rows import QualityRows
from qsuite.services.reports.trading_rows import TradingRows

Batches = Generator[list[Any], None, None]
GROUPS: Mapping[str, tuple[str, ...]] = {
    "pnl": ("symbol", "strategy", "day", "account"),
    "orders": ("order", "code"),
    "execution": ("symbol", "strategy", "order"),
}
"""What each report may be grouped by, the default first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A report asked for; ``accounts`` None are all. ``at_ns`` stands in for an end that was not given."""

    report: str
    accounts: tuple[UUID, ...] | None = None
    symbol: str | None = None
    strategy: UUID | None = None
    from_ns: int | None = None
    to_ns: int | None = None
    group_by: str = ""
    at_ns: int = 0

    @property
    def range(self) -> Range:
        """Return what storage is asked for."""
        return Range(
            accounts=self.accounts,
            symbol=self.symbol,
            strategy=self.strategy,
            from_ns=self.from_ns,
            to_ns=self.to_ns,
        )

    @property
    def facts(self) -> dict[str, Any]:
        """Return it for the record."""
        return {
            "accounts": "all" if self.accounts is None else [str(account) for account in self.accounts],
            "symbol": self.symbol,
            "strategy": None if self.strategy is None else str(self.strategy),
            "from_ns": self.from_ns,
            "to_ns": self.to_ns,
            "group_by": self.group_by,
        }


class ReportRows:
    """Every report's rows, for threads: what a server and the command line share."""

    def __init__(self, *, database: Database, ticks: TicksRepo, prices: PastPrices) -> None:
        reads, statements = ReportReads(database), StatementsRepo(database)
        trading = TradingRows(reads, statements)

        def profit() -> ProfitRows:
            return ProfitRows(reads, prices.remembering(), statements)

        quality = QualityRows(reads, ticks)
        self._reports: dict[str, Callable[[Asked], Batches]] = {
            "trades": lambda asked: trading.trades(asked.range),
            "orders": lambda asked: (
                trading.order_counts(asked.range) if asked.group_by == "code" else trading.orders(asked.range)
            ),
            "positions": lambda asked: profit().positions(asked.range, _end(asked)),
            "pnl": lambda asked: profit().pnl(asked.range, _end(asked), asked.group_by),
            "execution": lambda asked: quality.execution(asked.range, asked.group_by),
            "daily": lambda asked: trading.statements(asked.range),
        }

    def rows(self, asked: Asked) -> Batches:
        """Yield a report's rows in batches; what was asked for again gives them again."""
        return self._reports[asked.report](asked)


class ReportService:
    """Answer for reports."""

    def __init__(
        self,
        *,
        database: Database,
        rows: ReportRows,
        statements: StatementsRepo,
        trail: AuditTrail,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._database = database
        self._rows = rows
        self._statements = statements
        self._trail = trail
        self._clock = clock

    def ask(self, caller: Caller, report: str, query: Mapping[str, Any]) -> Asked:
        """Read what a caller asks for. NotFound for an account that is not theirs, Invalid for an empty range."""
        from_ns, to_ns, account = query.get("from_"), query.get("to"), query.get("account")
        if from_ns is not None and to_ns is not None and from_ns >= to_ns:
            raise Invalid("the query string has errors", errors={"to": ["must be after from"]})
        return Asked(
            report=report,
            accounts=_visible(caller, account),
            symbol=query.get("symbol"),
            strategy=query.get("strategy"),
            from_ns=from_ns,
            to_ns=to_ns,
            group_by=query.get("group_by") or next(iter(GROUPS.get(report, ("",)))),
            at_ns=self._clock(),
        )

    def rows(self, asked: Asked) -> Batches:
        """Yield the rows, for threads."""
        return self._rows.rows(asked)

    def batches(self, asked: Asked) -> AsyncGenerator[list[Any], None]:
        """Yield the rows at the pace of whoever takes them."""
        return pulled(self._database, lambda: self._rows.rows(asked))

    async def statement(self, caller: Caller, account: UUID, day: int) -> Statement:
        """Return one statement. NotFound if there is none, or it is not theirs to see."""
        _visible(caller, account)
        return await self._statements.get(account, day)

    async def taken(self, caller: Caller, asked: Asked, *, media: str, request_id: str, address: str) -> None:
        """Record that a report is taken away; it is not given when that cannot be stored."""
        await self._record(caller, f"report:{asked.report}", asked.facts | {"media": media}, request_id, address)

    async def statement_taken(
        self, caller: Caller, made: Statement, *, media: str, request_id: str, address: str
    ) -> None:
        """Record that a statement is taken away."""
        subject = f"statement:{made.account}:{date_of(made.day)}"
        await self._record(caller, subject, {"media": media}, request_id, address)

    async def _record(
        self, caller: Caller, subject: str, facts: Mapping[str, object], request_id: str, address: str
    ) -> None:
        await self._trail.record(
            "export.taken",
            actor=caller.user,
            actor_name=caller.username,
            subject=subject,
            facts=facts,
            request_id=request_id,
            address=address,
        )


def _end(asked: Asked) -> int:
    """Return when the range ends: now at the latest, since nothing is known of later."""
    return asked.at_ns if asked.to_ns is None else min(asked.to_ns, asked.at_ns)


def _visible(caller: Caller, account: UUID | None) -> tuple[UUID, ...] | None:
    if account is None:
        return None if caller.reads_all else caller.visible
    if not caller.sees(account):
        raise NotFound("no such account")
    return (account,)
