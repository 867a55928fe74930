"""All sections together, each made from those before it."""

from dataclasses import dataclass

from qsuite.composition.access import Access, make_access
from qsuite.composition.accounts import Accounts, make_accounts
from qsuite.composition.audit import Audit, make_audit
from qsuite.composition.backtests import make_backtests, make_sweeps
from qsuite.composition.feeds import Feeds, make_feeds
from qsuite.composition.forwarding import Forwarding, make_forwarding
from qsuite.composition.gateways import Gateways, make_gateways
from qsuite.composition.jobs import Jobs, make_jobs
from qsuite.composition.market import Market, make_market
from qsuite.composition.models import make_models, make_training
from qsuite.composition.operations import Operations, make_operations
from qsuite.composition.parts import Parts
from qsuite.composition.reports import Reports, make_reports
from qsuite.composition.sealing import make_sealer
from qsuite.composition.sentiment import Sentiment, make_sentiment
from qsuite.composition.strategies import Strategies, StrategyWork, make_strategies, make_strategy_work
from qsuite.composition.throttle import make_throttle
from qsuite.composition.trading import Trading, make_trading
from qsuite.repos.database import Database
from qsuite.services.backtest_pages import BacktestPages
from qsuite.services.backtests import BacktestService
from qsuite.services.metrics import Metrics
from qsuite.services.model_training import ModelTraining
from qsuite.services.models import ModelStore
from qsuite.services.supervisor import Supervisor
from qsuite.services.sweeps import SweepService
from qsuite.services.throttle import Throttle
from qsuite.services.tick_sealer import TickSealer
from qsuite.services.tracing import Traces, make_traces
from qsuite.services.workers import WorkerPool
from qsuite.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Sections:
    """What was made, by theme, and what all of it shares."""

    supervisor: Supervisor
    metrics: Metrics
    traces: Traces | None
    workers: WorkerPool
    audit: Audit
    access: Access
    throttle: Throttle
    market: Market
    sealer: TickSealer | None
    strategies: Strategies
    trading: Trading
    feeds: Feeds
    gateways: Gateways
    forwarding: Forwarding
    strategy_work: StrategyWork
    jobs: Jobs
    backtests: BacktestService
    backtest_pages: BacktestPages
    sweeps: SweepService
    accounts: Accounts
    reports: Reports
    operations: Operations
    models: ModelStore
    model_training: ModelTraining
    sentiment: Sentiment


def make_sections(settings: Settings, database: Database, parts: Parts) -> Sections:
    """Make every section; nothing runs yet."""
    clock, new_id = parts.clock, parts.new_id
    supervisor, metrics, workers = Supervisor(clock=clock), Metrics(), WorkerPool(settings.workers)
    traces = make_traces(settings.tracing, role=settings.role)
    audit = make_audit(settings=settings, database=database, metrics=metrics, clock=clock)
    access = make_access(settings=settings, database=database, trail=audit.trail, clock=clock)
    market = make_market(
        settings=settings,
        database=database,
        auth=access.auth,
        trail=audit.trail,
        workers=workers,
        new_id=new_id,
        clock=clock,
    )
    models = make_models(database, clock=clock)
    strategies = make_strategies(
        database=database, reference=market.reference, models=models, new_id=new_id, clock=clock
    )
    trading = make_trading(
        settings=settings,
        database=database,
        store=parts.engine_store,
        market=market,
        accounts=access.accounts,
        strategy=strategies.service.strategy,
        traces=traces,
        new_id=new_id,
        clock=clock,
    )
    sealer = make_sealer(settings=settings.market, database=database, market=market, trading=trading)
    feeds = make_feeds(settings=settings, database=database, market=market, trading=trading, clock=clock)
    gateways = make_gateways(
        settings=settings, database=database, market=market, trading=trading, new_id=new_id, clock=clock
    )
    strategy_work = make_strategy_work(
        settings=settings.risk,
        public=settings.signals,
        database=database,
        strategies=strategies,
        market=market,
        engine=trading.engine,
        trading=trading.service,
        users=access.users,
        workers=workers,
        models=models,
        new_id=new_id,
        clock=clock,
    )
    jobs = make_jobs(
        settings=settings,
        database=database,
        market=market,
        trail=audit.trail,
        catalogue=parts.catalogue,
        traces=traces,
        new_id=new_id,
        clock=clock,
    )
    backtests = make_backtests(settings=settings.trading, database=database, market=market, jobs=jobs.service)
    accounts = make_accounts(
        database=database,
        currency=settings.trading.currency,
        access=access,
        market=market,
        strategies=strategies,
        trading=trading,
        workers=workers,
        new_id=new_id,
        clock=clock,
    )
    operations = make_operations(
        settings=settings,
        database=database,
        audit=audit,
        supervisor=supervisor,
        metrics=metrics,
        workers=workers,
        jobs=jobs,
        market=market,
        trading=trading,
        feeds=feeds,
        gateways=gateways,
        watched=parts.watched,
        clock=clock,
    )
    return Sections(
        audit=audit,
        supervisor=supervisor,
        metrics=metrics,
        traces=traces,
        workers=workers,
        access=access,
        throttle=make_throttle(settings=settings, database=database, metrics=metrics),
        market=market,
        sealer=sealer,
        strategies=strategies,
        trading=trading,
        feeds=feeds,
        gateways=gateways,
        forwarding=make_forwarding(
            settings=settings,
            database=database,
            access=access,
            trading=trading,
            metrics=metrics,
            new_id=new_id,
            clock=clock,
        ),
        strategy_work=strategy_work,
        jobs=jobs,
        backtests=backtests,
        backtest_pages=BacktestPages(database),
        sweeps=make_sweeps(workers=settings.workers, database=database, backtests=backtests, jobs=jobs.service),
        accounts=accounts,
        reports=make_reports(
            database=database,
            access=access,
            market=market,
            trading=trading,
            trail=audit.trail,
            metrics=metrics,
            clock=clock,
        ),
        operations=operations,
        models=models,
        model_training=make_training(database=database, jobs=jobs.service, new_id=new_id, clock=clock),
        sentiment=make_sentiment(
            database=database, models=models, market=market, workers=workers, new_id=new_id, clock=clock
        ),
    )
