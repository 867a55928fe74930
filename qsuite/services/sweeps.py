"""Sweeps as people ask for them and see them: a backtest's request with lists of parameters, and a table of sets.

    asked ──grid checked──> job ──> worker process ──> sweeps, and the best set's backtest (stored) ──> GET

Invariant: what a sweep cannot do is refused before it is queued, by the name of its field.
"""

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from qsuite.domain.analytics.algorithms import ALGORITHMS
from qsuite.domain.backtests.grid import expand
from qsuite.domain.backtests.plan import Source
from qsuite.domain.backtests.swept_record import RANKS, Sweep
from qsuite.domain.errors import Invalid, NotFound
from qsuite.domain.jobs import Job
from qsuite.domain.listing import Listing, Page
from qsuite.domain.money import show_all
from qsuite.domain.roles import Caller
from qsuite.domain.times import format_rfc3339
from qsuite.repos.sweeps import SweepsRepo
from qsuite.services.backtests import BacktestService
from qsuite.services.jobs import JobService
from qsuite.services.sweep_runs import SweepAsked

KIND = "sweep"
MOST_WHOLE = 2**63 - 1

Shown = dict[str, Any]


class SweepService:
    """Have sweeps run, and show them. ``backtests`` knows what a request that leaves things open means.

    A large sweep is shared by so many ``workers``.
    """

    def __init__(self, *, repo: SweepsRepo, jobs: JobService, backtests: BacktestService, workers: int) -> None:
        self._repo = repo
        self._jobs = jobs
        self._backtests = backtests
        self._workers = workers

    async def submit(self, caller: Caller, asked: Mapping[str, Any]) -> Job:
        """Queue a sweep. Invalid names fields that are wrong; TooMany when the queue is full."""
        # Thousands of sets are checked one by one: in a thread, so that others are not held up.
        sweep = await asyncio.to_thread(self.plan, asked)
        return await self._jobs.submit(caller, KIND, sweep.plain())

    def plan(self, asked: Mapping[str, Any]) -> SweepAsked:
        """Return what to sweep, with what was left open as for a backtest. Invalid names fields that are wrong."""
        plan = self._backtests.plan({**asked, "parameters": {}})
        parameters = asked.get("parameters", {})
        wrong: dict[str, list[str]] = {}
        if plan.strategy not in ALGORITHMS:
            wrong["strategy"] = [f"a sweep runs formulas: {', '.join(ALGORITHMS)}; run a backtest for a model"]
        if plan.source is not Source.BARS:
            wrong["source"] = ["a sweep reads bars: run a backtest for ticks"]
        if plan.participation is not None:
            wrong["participation"] = ["a sweep fills every order at once: run a backtest for a part of the volume"]
        if "every_s" in parameters:
            wrong["parameters.every_s"] = ["a backtest decides at each bar's close"]
        if wrong:
            raise Invalid("this cannot be swept", errors=wrong)
        expand(plan.strategy, parameters)
        return SweepAsked(
            plan=plan,
            parameters=_storable(show_all(parameters)),
            rank_by=asked.get("rank_by", RANKS[0]),
            workers=self._workers,
        )

    async def get(self, caller: Caller, identity: UUID) -> Sweep:
        """Return one of the caller's sweeps with its columns, or any for who reads all. NotFound."""
        found = await self._repo.get(identity)
        if not caller.may_read(found.owner):
            raise NotFound(f"no sweep {identity}")
        return found

    async def page(self, caller: Caller, listing: Listing) -> Page[Sweep]:
        """Return a page of the sweeps the caller may see, without their columns."""
        return await self._repo.page(listing, caller.reads_of)


def _storable(value: Any) -> Any:
    """Return what was asked with whole numbers that no document can hold as text, which is read the same."""
    if isinstance(value, Mapping):
        return {name: _storable(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_storable(each) for each in value]
    return str(value) if isinstance(value, int) and abs(value) > MOST_WHOLE else value


def show_sweep(sweep: Sweep, *, columns: bool = True) -> Shown:
    """Show a sweep; without its columns as lists do. Sharpe ratios are a year's, as everywhere."""
    plan, deflated = sweep.plan.plain(), sweep.deflated
    best = plan.pop("parameters")
    shown = {"id": str(sweep.id), "owner": str(sweep.owner)} | plan
    shown |= {
        "parameters": show_all(sweep.asked),
        "rank_by": sweep.rank_by,
        "bars": sweep.bars,
        "count": sweep.count,
        "left_out": sweep.left_out,
        "best_parameters": best,
        "deflated_sharpe_ratio": None if deflated is None else deflated.probability,
        "expected_best_sharpe": None if deflated is None else deflated.luck * sweep.bars_a_year**0.5,
        "trials": None if deflated is None else deflated.trials,
        "created_at": format_rfc3339(sweep.created_at),
    }
    if columns:
        shown |= {"sets": show_all(sweep.sets), "figures": dict(sweep.figures), "ranking": list(sweep.ranking)}
    return shown
