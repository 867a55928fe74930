"""Reports over HTTP: trades, positions, profit, orders, best execution, daily statements; in one form of several.

``format=`` and ``Accept`` name the same thing. Where both are given they must agree, else nothing that was asked for
can be answered (406). What is taken away is recorded first.
"""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, ClassVar

from qsuite.domain.errors import NotFound
from qsuite.domain.reports.statement import day_of_date
from qsuite.domain.roles import TRADING_READERS
from qsuite.handlers.accept import choose
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.docs import HTML, HTML_TYPE
from qsuite.handlers.operations import ARROW, CSV, JSON, NDJSON, PARQUET, operation
from qsuite.handlers.orders import as_id
from qsuite.handlers.report_schemas import (
    DAILY,
    EXECUTION,
    ORDERS,
    PNL,
    POSITIONS,
    TRADES,
    DailyQuerySchema,
    ExecutionQuerySchema,
    OrdersReportQuerySchema,
    PnlQuerySchema,
    PositionsQuerySchema,
    ReportQuerySchema,
    StatementQuerySchema,
    StatementSchema,
)
from qsuite.handlers.report_tables import TABLES, show_statement
from qsuite.handlers.row_formats import RowTable, RowWriter, writer_for
from qsuite.handlers.row_formats.documents import JsonWriter, SafeCsvWriter
from qsuite.handlers.rows import RowsHandler
from qsuite.services.reports.service import Batches
from qsuite.services.reports.statement_page import POLICY, statement_page

REPORT_TYPES = (JSON, CSV, PARQUET, NDJSON, ARROW)
STATEMENT_TYPES = (JSON, HTML)
MEDIA = {"json": JSON, "csv": CSV, "parquet": PARQUET, "ndjson": NDJSON, "arrow": ARROW, "html": HTML}
ENDINGS = {CSV: "csv", PARQUET: "parquet", NDJSON: "ndjson", ARROW: "arrows"}


def report_writer(media: str, table: RowTable[Any], rows: Callable[[], Batches]) -> RowWriter[list[Any]]:
    """Return the writer of a report in one of its types, in a thread; ``rows`` are read once more where it must be."""
    if media == JSON:
        return JsonWriter(table)
    if media == CSV:
        return SafeCsvWriter(table)
    if media != PARQUET:
        return writer_for(media, table)
    parquet = import_module("qsuite.handlers.row_formats.parquet")
    fit = parquet.Fit(table)
    for batch in rows():
        fit.see(batch)
    writer: RowWriter[list[Any]] = parquet.ParquetWriter(table, fit)
    return writer


class ReportHandler(RowsHandler):
    """A report whose name a subclass says."""

    report: ClassVar[str]

    async def _answer(self) -> None:
        service, media = self.services.reports, asked_media(self)
        asked = service.ask(self.caller, self.report, self.query)
        table = TABLES[self.report, asked.group_by]
        if self.request.method != "HEAD":
            address = self.request.remote_ip or ""
            await service.taken(self.caller, asked, media=media, request_id=self.request_id, address=address)
        if media in ENDINGS:
            self.set_header("Content-Disposition", f'attachment; filename="{self.report}.{ENDINGS[media]}"')
        rows = partial(service.rows, asked)
        await self.answer_batches(service.batches(asked), lambda: report_writer(media, table, rows))

    def note_taken(self) -> None:
        """Leave it: what was asked for is in the record already, and had to be."""


def asked_media(handler: ApiHandler) -> str:
    """Return the type that ``format`` and ``Accept`` agree on. NotAcceptable where they do not."""
    named = handler.query.get("format")
    if named is None:
        return handler.shown_as
    return choose(handler.request.headers.get("Accept"), (MEDIA[named],))


class TradesReportHandler(ReportHandler):
    """Every fill."""

    report = "trades"

    @operation(
        "Report every execution with its order, cost, profit, and how far it was from the market on arrival",
        roles=TRADING_READERS,
        query=ReportQuerySchema(),
        returns={200: TRADES},
        shows=REPORT_TYPES,
    )
    async def get(self) -> None:
        """Report them."""
        await self._answer()


class PositionsReportHandler(ReportHandler):
    """What was held."""

    report = "positions"

    @operation(
        "Report what was held at an instant, and what it was worth then",
        roles=TRADING_READERS,
        query=PositionsQuerySchema(),
        returns={200: POSITIONS},
        shows=REPORT_TYPES,
    )
    async def get(self) -> None:
        """Report it."""
        await self._answer()


class PnlReportHandler(ReportHandler):
    """What was made."""

    report = "pnl"

    @operation(
        "Report profit over a range: realised, change of unrealised, commission; by symbol, strategy, day or account",
        roles=TRADING_READERS,
        query=PnlQuerySchema(),
        returns={200: PNL},
        shows=REPORT_TYPES,
    )
    async def get(self) -> None:
        """Report it."""
        await self._answer()


class OrdersReportHandler(ReportHandler):
    """What was asked for, and refused."""

    report = "orders"

    @operation(
        "Report every order and refusal, or count them by how they ended and by the control that refused",
        roles=TRADING_READERS,
        query=OrdersReportQuerySchema(),
        returns={200: ORDERS},
        shows=REPORT_TYPES,
    )
    async def get(self) -> None:
        """Report them."""
        await self._answer()


class ExecutionReportHandler(ReportHandler):
    """How well it was filled."""

    report = "execution"

    @operation(
        "Report best execution: slippage against the market on arrival and the market's mean price since",
        roles=TRADING_READERS,
        query=ExecutionQuerySchema(),
        returns={200: EXECUTION},
        shows=REPORT_TYPES,
    )
    async def get(self) -> None:
        """Report it."""
        await self._answer()


class DailyReportHandler(ReportHandler):
    """Statements."""

    report = "daily"

    @operation(
        "Report the end-of-day statements of a range",
        roles=TRADING_READERS,
        query=DailyQuerySchema(),
        returns={200: DAILY},
        shows=REPORT_TYPES,
    )
    async def get(self) -> None:
        """Report them."""
        await self._answer()


class StatementHandler(ApiHandler):
    """``/api/v1/reports/daily/{account}/{date}/``."""

    @operation(
        "Show one end-of-day statement, as JSON or as a page to print",
        roles=TRADING_READERS,
        query=StatementQuerySchema(),
        returns={200: StatementSchema()},
        shows=STATEMENT_TYPES,
    )
    async def get(self, account: str, date: str) -> None:
        """Show it."""
        media, service = asked_media(self), self.services.reports
        made = await service.statement(self.caller, as_id(account), _day(date))
        if self.request.method != "HEAD":
            address = self.request.remote_ip or ""
            await service.statement_taken(self.caller, made, media=media, request_id=self.request_id, address=address)
        if media == JSON:
            self.answer(show_statement(made))
            return
        self.set_header("Content-Security-Policy", POLICY)
        self.answer_bytes(HTML_TYPE, statement_page(made).encode())


def _day(date: str) -> int:
    try:
        return day_of_date(date)
    except ValueError:
        raise NotFound("no such statement") from None


routes = [
    (r"/api/v1/reports/trades/?", TradesReportHandler),
    (r"/api/v1/reports/positions/?", PositionsReportHandler),
    (r"/api/v1/reports/pnl/?", PnlReportHandler),
    (r"/api/v1/reports/orders/?", OrdersReportHandler),
    (r"/api/v1/reports/execution/?", ExecutionReportHandler),
    (r"/api/v1/reports/daily/?", DailyReportHandler),
    (r"/api/v1/reports/daily/(?P<account>[^/]+)/(?P<date>[^/]+)/?", StatementHandler),
]
