"""Run a sweep, and store it, and the backtest of its best set, under the job's id."""

import time
from collections.abc import Mapping
from typing import Any

from qsuite.domain.backtests.swept_record import Sweep
from qsuite.domain.times import floor_ms
from qsuite.repos.backtests import BacktestsRepo
from qsuite.repos.sweeps import SweepsRepo
from qsuite.services.sweep_runs import asked_from, run_sweep
from qsuite.services.tasks.work import Work

MAIN = ("total_return", "sharpe_ratio", "max_drawdown", "total_trades")


async def sweep(work: Work, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Run what the parameters, a ``SweepAsked``'s plain values, ask for; return where it is and its best set."""
    repo = SweepsRepo(work.database)
    found = await repo.find(work.job)
    if found is None:
        ran = await run_sweep(
            work.database,
            asked_from(parameters),
            identity=work.job,
            owner=work.owner,
            now=lambda: floor_ms(time.time_ns()),
            told=work.progress,
        )
        await BacktestsRepo(work.database).put(ran.best)  # first: a sweep that is there has it
        await repo.put(ran.sweep)
        found = ran.sweep
    return _told(found)


def _told(found: Sweep) -> Mapping[str, Any]:
    best = found.ranking[0]
    figures = {name: found.figures[name][best] for name in MAIN}
    return {
        "sweep": str(found.id),
        "backtest": str(found.id),
        "sets": found.count,
        "deflated_sharpe_ratio": None if found.deflated is None else found.deflated.probability,
    } | figures
