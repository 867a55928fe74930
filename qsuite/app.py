"""The composition root: the one place where everything is made and put together, top to bottom.

    database ─> repos ─> services ─> handlers ─> application ─> server

    start:  reference data, market, stream, engine (recovered), loops; then listen
    stop:   not ready; sockets told and closed while requests in flight finish; loops, engine, market; all in reverse

Invariant: ``stop`` leaves nothing running that ``start`` began, also when ``start`` failed half way.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from uuid import UUID

import structlog
from uuid_utils.compat import uuid7

from qsuite.domain.errors import SetupError
from qsuite.domain.listing import Condition, Listing
from qsuite.domain.strategies import Strategy
from qsuite.domain.times import NS_PER_S
from qsuite.domain.trading.audit import Chain
from qsuite.domain.trading.commands import Scope, TradingMode
from qsuite.domain.trading.order import OPEN
from qsuite.domain.trading.risk import OFF, LimitBook, ReferenceTape
from qsuite.domain.trading.risk.review import CUSHION
from qsuite.domain.trading.state import TradingState
from qsuite.handlers.metrics import access_log
from qsuite.handlers.routes import ApiApplication, all_routes, make_application
from qsuite.handlers.server import ApiServer
from qsuite.repos.account_history import AccountHistoryRepo
from qsuite.repos.accounts import AccountsRepo
from qsuite.repos.api_keys import ApiKeysRepo
from qsuite.repos.collections import collections_of
from qsuite.repos.daily_closes import DailyClosesRepo
from qsuite.repos.data_sources import DataSourcesRepo
from qsuite.repos.database import Database
from qsuite.repos.engine_store import EngineStore
from qsuite.repos.executions import ExecutionsRepo
from qsuite.repos.journal import Journal
from qsuite.repos.market_data import MarketDataRepo
from qsuite.repos.memory_engine_store import MemoryEngineStore
from qsuite.repos.orders import OrdersRepo
from qsuite.repos.performance import PerformanceRepo
from qsuite.repos.positions import PositionsRepo
from qsuite.repos.processes import ProcessesRepo
from qsuite.repos.refresh_tokens import RefreshTokensRepo
from qsuite.repos.risk_controls import RiskControlsRepo
from qsuite.repos.risk_events import RiskEventsRepo
from qsuite.repos.schema import migrate
from qsuite.repos.signals import SignalsRepo
from qsuite.repos.strategies import StrategiesRepo
from qsuite.repos.strategy_books import StrategyBooks
from qsuite.repos.tick_feed import TickFeed
from qsuite.repos.tickers import TickersRepo
from qsuite.repos.ticks import TicksRepo
from qsuite.repos.users import UsersRepo
from qsuite.services.account_history import AccountHistory
from qsuite.services.account_opening import account_opener
from qsuite.services.accounts import AccountService
from qsuite.services.auth import AuthService
from qsuite.services.book_market import BookMarket
from qsuite.services.canonical import canonical_json
from qsuite.services.closed_bars import ClosedBars
from qsuite.services.container import Services
from qsuite.services.demo_market import DemoMarket, Progress, load_demo
from qsuite.services.depth import DepthService
from qsuite.services.embedded_mongod import EmbeddedMongod
from qsuite.services.engine import TradingEngine
from qsuite.services.engine_jobs import EngineState
from qsuite.services.exposure import ExposureService
from qsuite.services.figures import show_engine, show_host, show_market, show_process, show_stream, show_workers
from qsuite.services.fill_rules import rules_from
from qsuite.services.follower import Follower
from qsuite.services.health import HealthService, State
from qsuite.services.host_watch import HostWatch
from qsuite.services.market_data import MarketDataService
from qsuite.services.market_records import MarketRecords
from qsuite.services.metrics import Metrics
from qsuite.services.mongod_keeper import MongodKeeper
from qsuite.services.neighbours import ForeignTicks, Neighbours
from qsuite.services.passwords import Passwords
from qsuite.services.performance import PerformanceService
from qsuite.services.price_history import PriceHistory
from qsuite.services.quiet_symbols import QuietSymbols
from qsuite.services.redis_probe import RedisProbe
from qsuite.services.reference import ReferenceService
from qsuite.services.risk import RiskService
from qsuite.services.sessions import TradingSessions
from qsuite.services.signals import SignalService
from qsuite.services.strategies import StrategyService
from qsuite.services.strategy_performance import StrategyPerformance
from qsuite.services.strategy_runs import StrategyRuns
from qsuite.services.stream import StreamHub
from qsuite.services.supervisor import Supervisor
from qsuite.services.system_metrics import SystemMetrics
from qsuite.services.tick_ingest import TickIngest
from qsuite.services.tokens import TokenSigner, secret_of
from qsuite.services.trading import TradingService, limits_from
from qsuite.services.users import UserService
from qsuite.services.watchdog import LoopWatchdog
from qsuite.services.workers import WorkerPool
from qsuite.settings import Settings

log = structlog.get_logger(__name__)

Clock = Callable[[], int]

STALE_NS = 30 * NS_PER_S
ENGINE_STATES = {
    EngineState.ACTIVE: State.UP,
    EngineState.STANDBY: State.STANDBY,
    EngineState.RECOVERING: State.STARTING,
    EngineState.STOPPED: State.DOWN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What tests put in the place of the real thing."""

    clock: Clock = time.time_ns
    new_id: Callable[[], UUID] = uuid7
    engine_store: EngineStore | None = None
    watched: bool = True
    """Watch the event loop for blocks."""


class App:
    """A built QSuite, not yet started. ``build`` makes one."""

    def __init__(
        self,
        *,
        database: Database,
        services: Services,
        engine: TradingEngine,
        supervisor: Supervisor,
        watchdog: LoopWatchdog | None,
        application: ApiApplication,
        passwords: Passwords,
        bars: MarketDataRepo,
        neighbours: Neighbours | None,
        redis: RedisProbe | None,
    ) -> None:
        self.database = database
        self.services = services
        self.engine = engine
        self.supervisor = supervisor
        self.application = application
        self.server: ApiServer | None = None
        self._watchdog = watchdog
        self._passwords = passwords
        self._bars = bars
        self._neighbours = neighbours
        self._redis = redis
        self._ends = AsyncExitStack()

    async def start(self) -> None:
        """Start everything but the server; the engine has recovered, or stands by, when this returns."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    def listen(self, port: int | None = None) -> int:
        """Open the door; return the port. SetupError when it cannot be had."""
        settings = self.services.settings
        port = settings.port if port is None else port
        server = ApiServer(self.application, settings.http)
        try:
            server.listen(port, settings.host)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise SetupError(f"cannot listen on {settings.host}:{port}: {reason}; set QSUITE_PORT") from None
        self.server = server
        self._ends.push_async_callback(self._close_door, server)
        self.services.health.serving(now=True)
        return server.port

    async def stop(self) -> None:
        """Stop everything that was started, in reverse order; twice is harmless."""
        self.services.health.serving(now=False)
        await self._ends.aclose()

    def keep_alive(self, mongod: EmbeddedMongod) -> None:
        """Start our own mongod again whenever it ends by itself."""
        self.supervisor.add(MongodKeeper(mongod))

    async def start_demo(self, progress: Progress) -> tuple[str, str]:
        """Load the demo's prices, play its market, and return the demo trader's name and password.

        The password is empty when it was changed since. SetupError where the demo's prices are not installed.
        """
        services = self.services
        await load_demo(services.reference, self._bars, new_id=uuid7, progress=progress)
        demo = DemoMarket(settings=services.settings.market, market=services.market, reference=services.reference)
        await demo.run_once(time.time_ns())  # there are prices when this returns
        self.supervisor.add(demo)
        return await services.users.ensure_demo()

    async def _start(self) -> None:
        services, ends = self.services, self._ends
        ends.push_async_callback(asyncio.to_thread, self._passwords.close)
        ends.push_async_callback(services.workers.stop)
        await migrate(self.database, collections_of(self.database))
        if self._watchdog is not None:
            await self._watchdog.start()
            ends.push_async_callback(self._watchdog.stop)
        await services.reference.start()
        await services.strategies.start()
        if self._neighbours is not None:
            await self._neighbours.start()
            ends.push_async_callback(self._neighbours.stop)
        await services.market.start()
        ends.push_async_callback(services.market.stop)
        await services.stream.start()
        ends.push_async_callback(services.stream.stop)
        await self.engine.start()
        ends.push_async_callback(self.engine.stop)
        await services.health.run_once(time.time_ns())
        ends.push_async_callback(services.health.stop)
        ends.push_async_callback(services.system.stop)
        if self._redis is not None:
            ends.push_async_callback(self._redis.stop)
        self.supervisor.start()
        ends.push_async_callback(self.supervisor.stop)

    async def _close_door(self, server: ApiServer) -> None:
        """Tell the sockets and close them, while requests in flight finish."""
        await asyncio.gather(self.services.stream.stop(), server.drain())


async def build(settings: Settings, database: Database, parts: Parts | None = None) -> App:
    """Make everything; nothing runs yet."""
    parts = parts or Parts()
    clock, new_id = parts.clock, parts.new_id
    supervisor, metrics = Supervisor(clock=clock), Metrics()

    # -- who is calling
    accounts, users, sessions = AccountsRepo(database), UsersRepo(database), RefreshTokensRepo(database)
    passwords = Passwords(settings.auth)
    auth = AuthService(
        settings=settings.auth,
        users=users,
        sessions=sessions,
        api_keys=ApiKeysRepo(database),
        passwords=passwords,
        signer=TokenSigner(secret_of(settings), settings.auth, clock=clock),
        clock=clock,
    )
    user_service = UserService(
        settings=settings,
        users=users,
        sessions=sessions,
        passwords=passwords,
        open_account=account_opener(accounts, settings.trading.currency, clock=clock),
        auth=auth,
        clock=clock,
    )

    # -- the market
    process = new_id()
    feed = TickFeed(database, process) if database.transactions else None
    tickers, ticks, bars = TickersRepo(database), TicksRepo(database, feed), MarketDataRepo(database)
    workers = WorkerPool(settings.workers)
    trading_sessions = TradingSessions(workers.run, clock=clock)
    reference = ReferenceService(
        tickers=tickers,
        data_sources=DataSourcesRepo(database),
        new_id=new_id,
        calendars=trading_sessions,
        clock=clock,
    )
    stream = StreamHub(
        settings=settings.stream,
        auth=auth,
        known_symbol=lambda symbol: reference.ticker(symbol) is not None,
        clock=clock,
    )
    market = MarketDataService(
        settings=settings.market, ticks=ticks, market_data=bars, reference=reference, stream=stream, clock=clock
    )

    # -- what the engine must know of strategies
    books = StrategyBooks(database)
    strategies = StrategyService(
        strategies=StrategiesRepo(database), books=books, reference=reference, new_id=new_id, clock=clock
    )
    neighbours = None
    if feed is not None:
        neighbours = Neighbours(ProcessesRepo(database, process), feed, market)
        supervisor.add(neighbours)
        supervisor.add(ForeignTicks(feed, market))

    # -- trading
    kind = EngineStore if database.transactions else MemoryEngineStore
    store = parts.engine_store or kind(
        database, lease_s=settings.engine.lease_s, commit_timeout_s=settings.engine.commit_timeout_s
    )
    limits, rules = limits_from(settings.risk), rules_from(settings.trading)
    tape = ReferenceTape()
    market.on_ticks(lambda ticks: tape.see_all(ticks, clock()))
    follower = Follower(Journal(database), owners=stream.registry.private_owners, cut_off=stream.cut_off)
    engine = TradingEngine(
        store=store,
        new_state=lambda: TradingState(
            limits=LimitBook(limits),
            rules=rules,
            ticker=reference.ticker,
            market=market.snapshot,
            reference=lambda symbol: tape.look(symbol, clock()),
            strategy=strategies.strategy,
            sessions=trading_sessions,
            new_id=new_id,
            chain=Chain(canonical=canonical_json),
            heard=lambda account: stream.wanted_private(account.id, "account"),
        ),
        settings=settings.engine,
        clock=clock,
        follower=follower if database.transactions else None,
    )
    book_market = BookMarket(market.publish, clock)
    engine.listen(book_market.heard)
    orders, positions = OrdersRepo(database), PositionsRepo(database)
    trading = TradingService(
        engine=engine,
        orders=orders,
        executions=ExecutionsRepo(database),
        accounts=accounts,
        positions=positions,
        market=market,
        stream=stream,
        new_id=new_id,
        clock=clock,
    )

    async def has_orders(symbol: str) -> bool:
        found = await orders.page(Listing((Condition("symbol", "eq", symbol),), page_size=1, cursor=""), None)
        return bool(found.items)

    async def has_open_orders(symbol: str) -> bool:
        if any(order.symbol == symbol for order in engine.memory.orders.values()):
            return True  # also what is not stored yet
        wanted = (Condition("symbol", "eq", symbol), Condition("status", "in", tuple(OPEN)))
        return bool((await orders.page(Listing(wanted, page_size=1, cursor=""), None)).items)

    reference.protect("orders", has_orders)
    reference.protect_terms(has_open_orders)

    # -- strategies at work
    history = PriceHistory(database=database, ticks=ticks, market_data=bars, clock=clock)
    signals_repo = SignalsRepo(database)
    signals = SignalService(
        signals=signals_repo,
        bars=ClosedBars(history=history, market_data=bars, market=market, clock=clock),
        reference=reference,
        workers=workers,
        stream=stream,
        new_id=new_id,
        clock=clock,
    )
    strategy_runs = StrategyRuns(
        strategies=strategies,
        signals=signals,
        repo=signals_repo,
        books=books,
        trading=trading,
        users=user_service,
        market=market,
        reference=reference,
        is_active=lambda: engine.state is EngineState.ACTIVE,
        halted=lambda strategy: _is_halted(engine, strategy),
        collar=CUSHION if settings.risk.price_collar is OFF else settings.risk.price_collar,
        clock=clock,
    )

    account_history = AccountHistory(engine=engine, history=AccountHistoryRepo(database), price_of=trading.market_price)

    # -- operations
    health = HealthService(
        ping=database.ping,
        supervisor=supervisor,
        probes={
            "engine": lambda: ENGINE_STATES[engine.state],
            "feed": lambda: _feed_state(market, clock),
        },
    )
    redis = RedisProbe(settings.redis_url) if settings.redis_url is not None else None
    host = HostWatch(settings.data_dir, database_time=database.time if database.transactions else None)
    health.probe("workers", lambda: workers.state)
    system = SystemMetrics(
        counts={"market_data_records": bars.count, "total_orders": orders.count, "ticks": ticks.count},
        engine=engine.stats,
        queued=lambda: engine.queued,
        stream=lambda: (stream.clients, stream.upkeep.messages_per_second),
        clock=clock,
    )
    watchdog = LoopWatchdog() if parts.watched else None
    show_engine(metrics, engine)
    show_market(metrics, market)
    show_stream(metrics, stream)
    show_process(metrics, health, supervisor, watchdog)
    show_host(metrics, host)
    show_workers(metrics, workers)
    for loop in (
        auth.watch,
        reference,
        strategies,
        strategy_runs,
        market.writer,
        market,
        QuietSymbols(market),
        stream.upkeep,
        health,
        system,
        host,
        workers,
        account_history,
        trading_sessions,
    ):
        supervisor.add(loop)
    if redis is not None:
        supervisor.add(redis)
        health.probe("redis", lambda: redis.state)

    depth = DepthService(engine=engine, orders=orders, market=market, reference=reference, stream=stream, clock=clock)
    engine.listen(depth.heard)
    market.on_ticks(depth.quoted)
    supervisor.add(depth)

    services = Services(
        settings=settings,
        auth=auth,
        users=user_service,
        reference=reference,
        market=market,
        records=MarketRecords(repo=bars, reference=reference, new_id=new_id, clock=clock),
        history=history,
        ingest=TickIngest(market=market, reference=reference),
        trading=trading,
        strategies=strategies,
        strategy_runs=strategy_runs,
        strategy_performance=StrategyPerformance(
            figures=PerformanceRepo(database), books=books, price_of=trading.market_price
        ),
        signals=signals,
        stream=stream,
        health=health,
        metrics=metrics,
        system=system,
        workers=workers,
        performance=PerformanceService(
            figures=PerformanceRepo(database), positions=positions, price_of=trading.market_price
        ),
        accounts=AccountService(
            accounts=accounts,
            positions=positions,
            users=user_service,
            engine=engine,
            price_of=trading.market_price,
            new_id=new_id,
            currency=settings.trading.currency,
            clock=clock,
        ),
        account_history=account_history,
        risk=RiskService(
            engine=engine,
            trading=trading,
            controls=RiskControlsRepo(database),
            events=RiskEventsRepo(database),
            accounts=accounts,
            reference=reference,
            strategy=strategies.strategy,
            stream=stream,
            defaults=limits,
        ),
        depth=depth,
        exposure=ExposureService(
            engine=engine,
            accounts=accounts,
            positions=positions,
            closes=DailyClosesRepo(database),
            workers=workers,
            price_of=trading.market_price,
            clock=clock,
        ),
    )
    routes = all_routes()
    application = make_application(
        services,
        routes=routes,
        log_function=access_log(metrics, routes, lowest=logging.getLevelName(settings.log.level.upper())),
    )
    return App(
        database=database,
        services=services,
        engine=engine,
        supervisor=supervisor,
        watchdog=watchdog,
        application=application,
        passwords=passwords,
        bars=bars,
        neighbours=neighbours,
        redis=redis,
    )


def _is_halted(engine: TradingEngine, strategy: Strategy) -> bool:
    """Say whether a kill switch keeps a strategy from trading at all."""
    covering = ((Scope.GLOBAL, None), (Scope.ACCOUNT, str(strategy.account)), (Scope.STRATEGY, str(strategy.id)))
    halts = [halt for key in covering if (halt := engine.memory.halts.get(key)) is not None]
    return any(halt.mode is TradingMode.HALTED for halt in halts)


def _feed_state(market: MarketDataService, clock: Clock) -> State:
    """Say whether prices come in: idle before the first, stale once none came for a while."""
    if not market.newest_arrival_ns:
        return State.IDLE
    return State.UP if clock() - market.newest_arrival_ns < STALE_NS else State.STALE
