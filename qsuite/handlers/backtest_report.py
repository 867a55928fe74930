"""The page of a backtest over HTTP: one file that stands alone, to look at, print or send on."""

from qsuite.domain.roles import TRADING_READERS
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.docs import HTML, HTML_TYPE
from qsuite.handlers.operations import operation
from qsuite.handlers.orders import as_id
from qsuite.services.backtest_report import POLICY


class BacktestReportHandler(ApiHandler):
    """``/api/v1/backtests/{id}/report/``."""

    @operation(
        "Show a backtest as a page with charts that needs nothing else", roles=TRADING_READERS, returns={200: HTML}
    )
    async def get(self, backtest_id: str) -> None:
        """Show it."""
        found = await self.services.backtests.get(self.caller, as_id(backtest_id))
        page = await self.services.backtest_pages.page(found)
        self.set_header("Content-Security-Policy", POLICY)
        self.answer_bytes(HTML_TYPE, page.encode())


routes = [(r"/api/v1/backtests/([^/]+)/report/?", BacktestReportHandler)]
