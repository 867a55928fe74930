"""Backtests over HTTP: asked for as jobs, and shown once they ran. A trader sees their own."""

import asyncio

from qsuite.domain.roles import TRADING_READERS
from qsuite.domain.throttling import ThrottleScope
from qsuite.handlers.answers import JSON_TYPE
from qsuite.handlers.backtest_schemas import BacktestInputSchema, BacktestSchema, BacktestSummarySchema, listing_of_runs
from qsuite.handlers.base import ApiHandler, encode
from qsuite.handlers.job_schemas import JobSchema
from qsuite.handlers.jobs import WORKERS_EMPLOYERS, answer_job
from qsuite.handlers.operations import operation
from qsuite.handlers.orders import as_id
from qsuite.services.backtests import show_backtest

BACKTESTS = listing_of_runs("created_at", "sharpe_ratio")


class BacktestsHandler(ApiHandler):
    """All backtests of the caller."""

    @operation(
        "List backtests, newest first, without their course",
        roles=TRADING_READERS,
        listing=BACKTESTS,
        returns={200: BacktestSummarySchema()},
    )
    async def get(self) -> None:
        """List them."""
        page = await self.services.backtests.page(self.caller, self.listing())
        self.answer_page(page, [show_backtest(each, course=False) for each in page.items])

    @operation(
        "Run a backtest as a job: its result names the backtest, which has the job's id",
        roles=WORKERS_EMPLOYERS,
        body=BacktestInputSchema(),
        returns={202: JobSchema()},
        raises=(429, 503),
        scope=ThrottleScope.ANALYTICS,
    )
    async def post(self) -> None:
        """Queue it."""
        answer_job(self, await self.services.backtests.submit(self.caller, self.body))


class BacktestHandler(ApiHandler):
    """One backtest."""

    @operation(
        "Show a backtest with its equity curve and its trades",
        roles=TRADING_READERS,
        returns={200: BacktestSchema()},
    )
    async def get(self, backtest_id: str) -> None:
        """Show it."""
        found = await self.services.backtests.get(self.caller, as_id(backtest_id))
        # Thousands of rows: written in a thread, so that others' requests are not held up.
        self.answer_bytes(JSON_TYPE, await asyncio.to_thread(lambda: encode(show_backtest(found))))


routes = [
    (r"/api/v1/backtests/?", BacktestsHandler),
    (r"/api/v1/backtests/([^/]+)/?", BacktestHandler),
]
