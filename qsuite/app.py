"""The composition root: the one place where everything is made and put together, top to bottom.

    database ─> repos ─> services ─> handlers ─> application ─> server

The sections of what is made stand in ``qsuite.composition``, one module each; their order is that of ``build``.

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

from uuid_utils.compat import uuid7

from qsuite.composition.access import make_access
from qsuite.composition.accounts import make_accounts
from qsuite.composition.market import make_market
from qsuite.composition.operations import make_operations
from qsuite.composition.strategies import make_strategies, make_strategy_work
from qsuite.composition.trading import make_trading
from qsuite.domain.errors import SetupError
from qsuite.handlers.metrics import access_log
from qsuite.handlers.routes import ApiApplication, all_routes, make_application
from qsuite.handlers.server import ApiServer
from qsuite.repos.collections import collections_of
from qsuite.repos.database import Database
from qsuite.repos.engine_store import EngineStore
from qsuite.repos.market_data import MarketDataRepo
from qsuite.repos.schema import migrate
from qsuite.services.book_market import BookMarket
from qsuite.services.container import Services
from qsuite.services.demo_market import DemoMarket, Progress, load_demo
from qsuite.services.embedded_mongod import EmbeddedMongod
from qsuite.services.engine import TradingEngine
from qsuite.services.metrics import Metrics
from qsuite.services.mongod_keeper import MongodKeeper
from qsuite.services.neighbours import Neighbours
from qsuite.services.passwords import Passwords
from qsuite.services.quiet_symbols import QuietSymbols
from qsuite.services.redis_probe import RedisProbe
from qsuite.services.supervisor import Supervisor
from qsuite.services.watchdog import LoopWatchdog
from qsuite.services.workers import WorkerPool
from qsuite.settings import Settings

Clock = Callable[[], int]


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
        book_market: BookMarket,
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
        self._book_market = book_market
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
        # After the engine's last batch, before the market's last write.
        ends.push_async_callback(self._book_market.stop)
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
    """Make everything, each section from those before it; nothing runs yet."""
    parts = parts or Parts()
    clock, new_id = parts.clock, parts.new_id
    supervisor, metrics, workers = Supervisor(clock=clock), Metrics(), WorkerPool(settings.workers)

    access = make_access(settings=settings, database=database, clock=clock)
    market = make_market(
        settings=settings, database=database, auth=access.auth, workers=workers, new_id=new_id, clock=clock
    )
    strategies = make_strategies(database=database, reference=market.reference, new_id=new_id, clock=clock)
    trading = make_trading(
        settings=settings,
        database=database,
        store=parts.engine_store,
        market=market,
        accounts=access.accounts,
        strategy=strategies.service.strategy,
        new_id=new_id,
        clock=clock,
    )
    strategy_work = make_strategy_work(
        settings=settings.risk,
        database=database,
        strategies=strategies,
        market=market,
        engine=trading.engine,
        trading=trading.service,
        users=access.users,
        workers=workers,
        new_id=new_id,
        clock=clock,
    )
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
        supervisor=supervisor,
        metrics=metrics,
        workers=workers,
        market=market,
        trading=trading,
        watched=parts.watched,
        clock=clock,
    )

    # In this order they start; they stop in the reverse order.
    for loop in (
        market.neighbours,
        market.foreign,
        access.auth.watch,
        market.reference,
        strategies.service,
        strategy_work.runs,
        market.data.writer,
        market.data,
        QuietSymbols(market.data),
        market.stream.upkeep,
        operations.health,
        operations.system,
        operations.host,
        workers,
        accounts.history,
        market.sessions,
        operations.redis,
        trading.depth,
    ):
        if loop is not None:
            supervisor.add(loop)

    services = Services(
        settings=settings,
        auth=access.auth,
        users=access.users,
        reference=market.reference,
        market=market.data,
        records=market.records,
        history=market.history,
        ingest=market.ingest,
        trading=trading.service,
        strategies=strategies.service,
        strategy_runs=strategy_work.runs,
        strategy_performance=accounts.strategy_performance,
        signals=strategy_work.signals,
        stream=market.stream,
        health=operations.health,
        metrics=metrics,
        system=operations.system,
        workers=workers,
        performance=accounts.performance,
        accounts=accounts.service,
        account_history=accounts.history,
        risk=accounts.risk,
        depth=trading.depth,
        exposure=accounts.exposure,
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
        engine=trading.engine,
        book_market=trading.book_market,
        supervisor=supervisor,
        watchdog=operations.watchdog,
        application=application,
        passwords=access.passwords,
        bars=market.bars,
        neighbours=market.neighbours,
        redis=operations.redis,
    )
