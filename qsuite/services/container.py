"""Everything handlers may call, built by the composition root (``qsuite.app``) and nowhere else."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qsuite.settings import Settings

if TYPE_CHECKING:
    from qsuite.services.account_history import AccountHistory
    from qsuite.services.accounts import AccountService
    from qsuite.services.audit import AuditService
    from qsuite.services.audit_trail import AuditTrail
    from qsuite.services.auth import AuthService
    from qsuite.services.backtest_pages import BacktestPages
    from qsuite.services.backtests import BacktestService
    from qsuite.services.correlation import CorrelationService
    from qsuite.services.depth import DepthService
    from qsuite.services.downloads import Downloads
    from qsuite.services.exposure import ExposureService
    from qsuite.services.health import HealthService
    from qsuite.services.idempotency import IdempotencyKeys
    from qsuite.services.indicators import IndicatorService
    from qsuite.services.jobs import JobService
    from qsuite.services.market_data import MarketDataService
    from qsuite.services.market_records import MarketRecords
    from qsuite.services.market_training import MarketModelTraining
    from qsuite.services.metrics import Metrics
    from qsuite.services.model_training import ModelTraining
    from qsuite.services.models import ModelStore
    from qsuite.services.news import NewsService
    from qsuite.services.order_latency import OrderLatency
    from qsuite.services.own_second_factor import OwnSecondFactor
    from qsuite.services.performance import PerformanceService
    from qsuite.services.price_history import PriceHistory
    from qsuite.services.quoted_trades import QuotedTrades
    from qsuite.services.reference import ReferenceService
    from qsuite.services.reports.service import ReportService
    from qsuite.services.risk import RiskService
    from qsuite.services.sentiment.service import SentimentService
    from qsuite.services.signals import SignalService
    from qsuite.services.strategies import StrategyService
    from qsuite.services.strategy_performance import StrategyPerformance
    from qsuite.services.strategy_runs import StrategyRuns
    from qsuite.services.stream import StreamHub
    from qsuite.services.sweeps import SweepService
    from qsuite.services.system_metrics import SystemMetrics
    from qsuite.services.throttle import Throttle
    from qsuite.services.tick_ingest import TickIngest
    from qsuite.services.tracing import Traces
    from qsuite.services.trading import TradingService
    from qsuite.services.user_sessions import UserSessions
    from qsuite.services.users import UserService
    from qsuite.services.workers import WorkerPool


@dataclass(slots=True)
class Services:
    """One instance a process."""

    settings: Settings
    audit: "AuditTrail"
    audit_reading: "AuditService"
    auth: "AuthService"
    users: "UserService"
    sessions: "UserSessions"
    second_factor: "OwnSecondFactor"
    idempotency: "IdempotencyKeys"
    throttle: "Throttle"
    reference: "ReferenceService"
    market: "MarketDataService"
    records: "MarketRecords"
    history: "PriceHistory"
    ingest: "TickIngest"
    quoted_trades: "QuotedTrades"
    downloads: "Downloads"
    trading: "TradingService"
    strategies: "StrategyService"
    strategy_runs: "StrategyRuns"
    strategy_performance: "StrategyPerformance"
    signals: "SignalService"
    indicators: "IndicatorService"
    jobs: "JobService"
    backtests: "BacktestService"
    backtest_pages: "BacktestPages"
    sweeps: "SweepService"
    stream: "StreamHub"
    health: "HealthService"
    metrics: "Metrics"
    traces: "Traces | None"
    latency: "OrderLatency"
    system: "SystemMetrics"
    workers: "WorkerPool"
    performance: "PerformanceService"
    accounts: "AccountService"
    account_history: "AccountHistory"
    reports: "ReportService"
    risk: "RiskService"
    exposure: "ExposureService"
    correlation: "CorrelationService"
    depth: "DepthService"
    models: "ModelStore"
    market_training: "MarketModelTraining"
    model_training: "ModelTraining"
    sentiment: "SentimentService"
    news: "NewsService"
