"""Run a sweep, and store it, and the backtest of its best set, under the job's id; or help with one.

A sweep that is large has jobs of the kind ``sweep_part`` beside its own, which it asks for itself: they take parts of
it for as long as there are any, and are of no use to anybody once it ended.
"""

import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from qsuite.domain.backtests.sweep import Swept
from qsuite.domain.backtests.sweep import sweep as sweep_alone
from qsuite.domain.backtests.swept_record import Sweep
from qsuite.domain.jobs import Job
from qsuite.domain.times import floor_ms
from qsuite.repos.backtests import BacktestsRepo
from qsuite.repos.jobs import JobsRepo
from qsuite.repos.sweep_parts import SweepPartsRepo
from qsuite.repos.sweeps import SweepsRepo
from qsuite.services.sweep_runs import Past, SweepAsked, asked_from, read_past, run_of
from qsuite.services.sweep_sharing import finish, lay_out, take_one
from qsuite.services.tasks.work import Work

PART = "sweep_part"
MAIN = ("total_return", "sharpe_ratio", "max_drawdown", "total_trades")
SHARED_FROM = 20_000_000
"""Sets times bars: some two seconds. What is less is done before a helper has begun."""
READ, SWEPT = 0.1, 0.9
"""Where the progress is when bars are read, and when all sets are done and the best is played."""


async def sweep(work: Work, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Run what the parameters, a ``SweepAsked``'s plain values, ask for; return where it is and its best set."""
    repo = SweepsRepo(work.database)
    found = await repo.find(work.job)
    if found is None:
        asked = asked_from(parameters)
        past = await read_past(work.database, asked, lambda part: work.progress(READ * part))
        rows = await _rows(work, asked, past)
        work.progress(SWEPT)
        ran = run_of(asked, past, rows, identity=work.job, owner=work.owner, now=_now)
        await BacktestsRepo(work.database).put(ran.best)  # first: a sweep that is there has it
        await repo.put(ran.sweep)
        found = ran.sweep
    return _told(found)


async def sweep_part(work: Work, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take parts of a sweep for as long as there are any; return how many."""
    parts, identity, taken = SweepPartsRepo(work.database), UUID(parameters["sweep"]), 0
    if await parts.left(identity):
        past = await read_past(work.database, asked_from(parameters["asked"]), work.progress)
        while await take_one(parts, identity, past.run, past.grid.sets, lambda part: work.progress(0.0)):
            taken += 1
    return {"sweep": str(identity), "parts": taken}


async def _rows(work: Work, asked: SweepAsked, past: Past) -> list[Swept]:
    def told(part: float) -> None:
        work.progress(READ + (SWEPT - READ) * part)

    if asked.workers == 1 or past.size < SHARED_FROM:
        return sweep_alone(past.run, past.grid.sets, told)
    parts = SweepPartsRepo(work.database)
    await lay_out(parts, work.job, len(past.grid.sets), asked.workers)
    try:
        for _ in range(asked.workers - 1):
            await JobsRepo(work.database).add(_helper(work, asked))
        return await finish(parts, work.job, past.run, past.grid.sets, told)
    finally:
        await parts.clear(work.job)


def _helper(work: Work, asked: SweepAsked) -> Job:
    parameters = {"sweep": str(work.job), "asked": asked.plain()}
    return Job(id=uuid7(), kind=PART, owner=work.owner, parameters=parameters, created_at=_now())


def _now() -> int:
    return floor_ms(time.time_ns())


def _told(found: Sweep) -> Mapping[str, Any]:
    best = found.ranking[0]
    figures = {name: found.figures[name][best] for name in MAIN}
    return {
        "sweep": str(found.id),
        "backtest": str(found.id),
        "sets": found.count,
        "deflated_sharpe_ratio": None if found.deflated is None else found.deflated.probability,
    } | figures
