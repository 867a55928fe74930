"""Sweeps over HTTP: asked for as jobs, and shown as a table of parameter sets once they ran."""

import asyncio

from marshmallow import fields, validate

from qsuite.domain.backtests.swept_record import RANKS
from qsuite.domain.roles import TRADING_READERS
from qsuite.domain.throttling import ThrottleScope
from qsuite.handlers.answers import JSON_TYPE
from qsuite.handlers.backtest_schemas import BacktestInputSchema, BacktestPlanSchema, listing_of_runs
from qsuite.handlers.base import ApiHandler, encode
from qsuite.handlers.fields import InstantField
from qsuite.handlers.job_schemas import JobSchema
from qsuite.handlers.jobs import WORKERS_EMPLOYERS, answer_job
from qsuite.handlers.operations import operation
from qsuite.handlers.orders import as_id
from qsuite.services.sweeps import show_sweep

SWEEPS = listing_of_runs("created_at")
NUMBER = fields.Float(required=True, allow_none=True)


class SweepInputSchema(BacktestInputSchema):
    """What to sweep: as for a backtest, with lists of values, or ``{from, to, step}``, among the ``parameters``.

    Every combination is a set, at most 20,000; those that the algorithm cannot take are left out. Orders fill at once,
    at the next open: ``participation`` and ticks are for backtests. ``rank_by`` says which figure makes a set the best.
    """

    rank_by = fields.String(validate=validate.OneOf(RANKS))


class SweepSummarySchema(BacktestPlanSchema):
    """A sweep without its table. The best set's backtest has the sweep's own id.

    ``deflated_sharpe_ratio`` is the probability, 0 to 1, that the best set is better than the best of ``trials`` sets
    without skill would look, which is ``expected_best_sharpe`` (Bailey and López de Prado 2014).
    """

    id = fields.UUID(required=True)
    owner = fields.UUID(required=True)
    rank_by = fields.String(required=True)
    bars = fields.Integer(required=True)
    count = fields.Integer(required=True)
    left_out = fields.Integer(required=True)
    best_parameters = fields.Dict(keys=fields.String(), required=True)
    deflated_sharpe_ratio = NUMBER
    expected_best_sharpe = NUMBER
    trials = fields.Integer(required=True, allow_none=True)
    created_at = InstantField(required=True)


class SweepSchema(SweepSummarySchema):
    """A sweep with its table: ``sets`` and ``figures`` are columns with one place a set.

    ``ranking`` holds the places, the best first.
    """

    sets = fields.Dict(keys=fields.String(), values=fields.List(fields.Raw(allow_none=True)), required=True)
    figures = fields.Dict(keys=fields.String(), values=fields.List(fields.Float(allow_none=True)), required=True)
    ranking = fields.List(fields.Integer(), required=True)


class SweepsHandler(ApiHandler):
    """All sweeps of the caller."""

    @operation(
        "List sweeps, newest first, without their tables",
        roles=TRADING_READERS,
        listing=SWEEPS,
        returns={200: SweepSummarySchema()},
    )
    async def get(self) -> None:
        """List them."""
        page = await self.services.sweeps.page(self.caller, self.listing())
        self.answer_page(page, [show_sweep(each, columns=False) for each in page.items])

    @operation(
        "Sweep parameter sets as a job: its result names the sweep and the best set's backtest, which have its id",
        roles=WORKERS_EMPLOYERS,
        body=SweepInputSchema(),
        returns={202: JobSchema()},
        raises=(429, 503),
        scope=ThrottleScope.ANALYTICS,
    )
    async def post(self) -> None:
        """Queue it."""
        answer_job(self, await self.services.sweeps.submit(self.caller, self.body))


class SweepHandler(ApiHandler):
    """One sweep."""

    @operation("Show a sweep with its table of sets", roles=TRADING_READERS, returns={200: SweepSchema()})
    async def get(self, sweep_id: str) -> None:
        """Show it."""
        found = await self.services.sweeps.get(self.caller, as_id(sweep_id))
        # Up to 20,000 sets: written in a thread, so that others' requests are not held up.
        self.answer_bytes(JSON_TYPE, await asyncio.to_thread(lambda: encode(show_sweep(found))))


routes = [
    (r"/api/v1/backtests/sweep/?", SweepsHandler),
    (r"/api/v1/backtests/sweep/([^/]+)/?", SweepHandler),
]
