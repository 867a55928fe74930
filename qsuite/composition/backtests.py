"""Backtests: asked for and shown here; jobs run them."""

from qsuite.composition.market import Market
from qsuite.repos.backtests import BacktestsRepo
from qsuite.repos.database import Database
from qsuite.services.backtests import BacktestService
from qsuite.services.fill_rules import rules_from
from qsuite.services.jobs import JobService
from qsuite.settings import TradingSettings


def make_backtests(
    *, settings: TradingSettings, database: Database, market: Market, jobs: JobService
) -> BacktestService:
    """Make what lets backtests be run."""
    return BacktestService(
        repo=BacktestsRepo(database), jobs=jobs, ticker=market.reference.ticker, rules=rules_from(settings)
    )
