"""Run a backtest, and store it under the job's id."""

import time
from collections.abc import Mapping
from typing import Any

from qsuite.domain.backtests.plan import plan_from
from qsuite.domain.backtests.record import Backtest, record_of
from qsuite.domain.times import floor_ms
from qsuite.repos.backtests import BacktestsRepo
from qsuite.services.backtest_runs import run_plan
from qsuite.services.tasks.work import Work

MAIN = ("total_return", "sharpe_ratio", "max_drawdown", "total_trades")


async def backtest(work: Work, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Run what the parameters, a plan's plain values, ask for; return where it is and its main figures."""
    repo = BacktestsRepo(work.database)
    record = await repo.find(work.job)
    if record is None:
        plan = plan_from(parameters)
        ran = await run_plan(work.database, plan, work.progress)
        record = record_of(work.job, work.owner, plan, ran.result, ran.outcome, floor_ms(time.time_ns()))
        await repo.put(record)
    return _told(record)


def _told(record: Backtest) -> Mapping[str, Any]:
    return {"backtest": str(record.id)} | {name: getattr(record.figures, name) for name in MAIN}
