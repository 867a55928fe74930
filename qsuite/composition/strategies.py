"""Strategies: what the engine must know of them, made before it; and their work, made after it."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from qsuite.composition.market import Market
from qsuite.domain.analytics.algorithms import ALGORITHMS
from qsuite.domain.errors import SetupError
from qsuite.domain.intervals import parse_interval
from qsuite.domain.strategies import Strategy
from qsuite.domain.trading.commands import Scope, TradingMode
from qsuite.domain.trading.paper.rules import CUSHION
from qsuite.domain.trading.risk import OFF
from qsuite.repos.database import Database
from qsuite.repos.signals import SignalsRepo
from qsuite.repos.strategies import StrategiesRepo
from qsuite.repos.strategy_books import StrategyBooks
from qsuite.services.closed_bars import ClosedBars
from qsuite.services.engine import TradingEngine
from qsuite.services.indicators import IndicatorService
from qsuite.services.market_models import MarketModels
from qsuite.services.model_choice import ModelChoice
from qsuite.services.models import ModelStore
from qsuite.services.reference import ReferenceService
from qsuite.services.signal_news import SignalNews
from qsuite.services.signal_watch import SignalWatch
from qsuite.services.signals import SignalService
from qsuite.services.strategies import StrategyService
from qsuite.services.strategy_runs import StrategyRuns
from qsuite.services.trading import TradingService
from qsuite.services.users import UserService
from qsuite.services.workers import WorkerPool
from qsuite.settings import RiskSettings, SignalSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategies:
    """Which strategies there are, the books of what each holds, and which trained model each goes by."""

    books: StrategyBooks
    service: StrategyService
    choice: ModelChoice


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyWork:
    """What turns bars into figures and signals, and signals into orders."""

    indicators: IndicatorService
    signals: SignalService
    watch: SignalWatch
    news: SignalNews
    runs: StrategyRuns


def make_strategies(
    *,
    database: Database,
    reference: ReferenceService,
    models: ModelStore,
    new_id: Callable[[], UUID],
    clock: Callable[[], int],
) -> Strategies:
    """Make what the engine asks of strategies."""
    books, choice = StrategyBooks(database), ModelChoice(models)
    service = StrategyService(
        strategies=StrategiesRepo(database),
        books=books,
        reference=reference,
        models=choice,
        new_id=new_id,
        clock=clock,
    )
    return Strategies(books=books, service=service, choice=choice)


def make_strategy_work(
    *,
    settings: RiskSettings,
    public: SignalSettings,
    database: Database,
    strategies: Strategies,
    market: Market,
    engine: TradingEngine,
    trading: TradingService,
    users: UserService,
    workers: WorkerPool,
    models: ModelStore,
    new_id: Callable[[], UUID],
    clock: Callable[[], int],
) -> StrategyWork:
    """Make what lets strategies trade. SetupError for public signals that nothing could make."""
    repo = SignalsRepo(database)
    bars = ClosedBars(history=market.history, market_data=market.bars, market=market.data, clock=clock)
    signals = SignalService(
        signals=repo,
        bars=bars,
        reference=market.reference,
        workers=workers,
        models=MarketModels(store=models, choice=strategies.choice, bars=bars, workers=workers),
        stream=market.stream,
        new_id=new_id,
        clock=clock,
    )
    watch = SignalWatch(
        signals=signals,
        bars=bars,
        market=market.data,
        reference=market.reference,
        is_active=lambda: engine.active,
    )
    watch.follow(*_checked(public), public.symbols, every_s=public.every_s)
    news = SignalNews(
        signals=signals,
        repo=repo,
        is_active=lambda: engine.active,
        others=lambda: market.neighbours is not None and market.neighbours.count > 0,
        wanted=market.stream.wanted,
    )
    runs = StrategyRuns(
        strategies=strategies.service,
        signals=signals,
        repo=repo,
        books=strategies.books,
        trading=trading,
        users=users,
        market=market.data,
        reference=market.reference,
        is_active=lambda: engine.active,
        halted=lambda strategy: is_halted(engine, strategy),
        collar=CUSHION if settings.price_collar is OFF else settings.price_collar,
        clock=clock,
    )
    return StrategyWork(indicators=IndicatorService(bars), signals=signals, watch=watch, news=news, runs=runs)


def _checked(public: SignalSettings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the algorithms and intervals by their usual names."""
    for name in public.algorithms:
        if name not in ALGORITHMS:
            raise SetupError(f"setting signals.algorithms {name!r}: there are {', '.join(ALGORITHMS)}")
    try:
        return public.algorithms, tuple(parse_interval(text).name for text in public.intervals)
    except ValueError as error:
        raise SetupError(f"setting signals.intervals: {error}") from None


def is_halted(engine: TradingEngine, strategy: Strategy) -> bool:
    """Say whether a kill switch keeps a strategy from trading at all."""
    covering = ((Scope.GLOBAL, None), (Scope.ACCOUNT, str(strategy.account)), (Scope.STRATEGY, str(strategy.id)))
    halts = [halt for key in covering if (halt := engine.memory.halts.get(key)) is not None]
    return any(halt.mode is TradingMode.HALTED for halt in halts)
