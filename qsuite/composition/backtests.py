"""Backtests and sweeps: asked for and shown here; jobs run them."""

import os

from qsuite.composition.market import Market
from qsuite.repos.backtests import BacktestsRepo
from qsuite.repos.database import Database
from qsuite.repos.sweeps import SweepsRepo
from qsuite.services.backtests import BacktestService
from qsuite.services.fill_rules import rules_from
from qsuite.services.jobs import JobService
from qsuite.services.sweeps import SweepService
from qsuite.settings import TradingSettings, WorkerSettings


def make_backtests(
    *, settings: TradingSettings, database: Database, market: Market, jobs: JobService
) -> BacktestService:
    """Make what lets backtests be run."""
    return BacktestService(
        repo=BacktestsRepo(database), jobs=jobs, ticker=market.reference.ticker, rules=rules_from(settings)
    )


def make_sweeps(
    *, workers: WorkerSettings, database: Database, backtests: BacktestService, jobs: JobService
) -> SweepService:
    """Make what lets sweeps be run."""
    at_once = workers.jobs_at_once or workers.processes or os.cpu_count() or 1
    return SweepService(repo=SweepsRepo(database), jobs=jobs, backtests=backtests, workers=at_once)
