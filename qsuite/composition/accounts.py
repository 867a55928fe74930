"""Accounts as people look at them: opened, valued over time, measured, limited and exposed."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from qsuite.composition.access import Access
from qsuite.composition.market import Market
from qsuite.composition.strategies import Strategies
from qsuite.composition.trading import Trading
from qsuite.repos.account_history import AccountHistoryRepo
from qsuite.repos.daily_closes import DailyClosesRepo
from qsuite.repos.database import Database
from qsuite.repos.performance import PerformanceRepo
from qsuite.repos.risk_controls import RiskControlsRepo
from qsuite.repos.risk_events import RiskEventsRepo
from qsuite.services.account_history import AccountHistory
from qsuite.services.accounts import AccountService
from qsuite.services.correlation import CorrelationService
from qsuite.services.exposure import ExposureService
from qsuite.services.performance import PerformanceService
from qsuite.services.risk import RiskService
from qsuite.services.strategy_performance import StrategyPerformance
from qsuite.services.workers import WorkerPool


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """What values, measures and limits accounts."""

    service: AccountService
    history: AccountHistory
    performance: PerformanceService
    strategy_performance: StrategyPerformance
    risk: RiskService
    exposure: ExposureService
    correlation: CorrelationService


def make_accounts(
    *,
    database: Database,
    currency: str,
    access: Access,
    market: Market,
    strategies: Strategies,
    trading: Trading,
    workers: WorkerPool,
    new_id: Callable[[], UUID],
    clock: Callable[[], int],
) -> Accounts:
    """Make what looks at accounts, all with one view of what a position is worth."""
    price_of = trading.values.price
    closes = DailyClosesRepo(database)
    exposure = ExposureService(
        engine=trading.engine,
        accounts=access.accounts,
        positions=trading.positions,
        closes=closes,
        workers=workers,
        price_of=price_of,
        clock=clock,
    )
    return Accounts(
        service=AccountService(
            accounts=access.accounts,
            positions=trading.positions,
            users=access.users,
            engine=trading.engine,
            price_of=price_of,
            strategies_on=strategies.service.on_account,
            new_id=new_id,
            currency=currency,
            clock=clock,
        ),
        history=AccountHistory(engine=trading.engine, history=AccountHistoryRepo(database), price_of=price_of),
        performance=PerformanceService(
            figures=PerformanceRepo(database), positions=trading.positions, price_of=price_of
        ),
        strategy_performance=StrategyPerformance(
            figures=PerformanceRepo(database), books=strategies.books, price_of=price_of
        ),
        risk=RiskService(
            engine=trading.engine,
            trail=access.trail,
            trading=trading.service,
            controls=RiskControlsRepo(database),
            events=RiskEventsRepo(database),
            accounts=access.accounts,
            reference=market.reference,
            strategy=strategies.service.strategy,
            stream=market.stream,
            defaults=trading.limits,
        ),
        exposure=exposure,
        correlation=CorrelationService(exposure=exposure, closes=closes, reference=market.reference, workers=workers),
    )
