"""Reports: the daily statements, and what reads the ledger for everybody who asks."""

from collections.abc import Callable
from dataclasses import dataclass

from qsuite.composition.access import Access
from qsuite.composition.market import Market
from qsuite.composition.trading import Trading
from qsuite.repos.database import Database
from qsuite.repos.past_prices import PastPrices
from qsuite.repos.statements import StatementsRepo
from qsuite.services.audit_trail import AuditTrail
from qsuite.services.metrics import Metrics
from qsuite.services.reports.service import ReportRows, ReportService
from qsuite.services.reports.statements import DailyStatements


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """What stores statements, and what answers for reports."""

    daily: DailyStatements
    service: ReportService


def make_reports(
    *,
    database: Database,
    access: Access,
    market: Market,
    trading: Trading,
    trail: AuditTrail,
    metrics: Metrics,
    clock: Callable[[], int],
) -> Reports:
    """Make them, and let the metrics show whether all statements reconcile."""
    statements = StatementsRepo(database)
    prices = PastPrices(market.ticks, market.bars)
    daily = DailyStatements(
        database=database, accounts=access.accounts, statements=statements, prices=prices, engine=trading.engine
    )
    metrics.counter("qsuite_statements_stored", "Daily statements stored by this process", lambda: daily.stored)
    text = "Accounts without the last day's statement, because their figures differ from the ledger's"
    metrics.gauge("qsuite_statements_unreconciled", text, lambda: daily.faults)
    service = ReportService(
        database=database,
        rows=ReportRows(database=database, ticks=market.ticks, prices=prices),
        statements=statements,
        trail=trail,
        clock=clock,
    )
    return Reports(daily=daily, service=service)
