"""The composition root: the one place where everything is made and put together, top to bottom.

    database ─> repos ─> services ─> handlers ─> application ─> server

The sections of what is made stand in ``qsuite.composition``, one module each; ``sections`` makes them in their order.

    start:  reference data, market, stream, engine (recovered), loops; then listen
    stop:   not ready; sockets told and closed while requests in flight finish; loops, engine, market; all in reverse

Invariant: ``stop`` leaves nothing running that ``start`` began, also when ``start`` failed half way.
"""

import asyncio
import logging
import time
from contextlib import AsyncExitStack

from uuid_utils.compat import uuid7

from qsuite.composition.audit import Audit
from qsuite.composition.forwarding import Forwarding, advertised
from qsuite.composition.gateways import Gateways
from qsuite.composition.parts import Parts
from qsuite.composition.sections import Sections, make_sections
from qsuite.domain.analytics.algorithms import DEFAULT
from qsuite.domain.errors import SetupError
from qsuite.handlers.metrics import access_log
from qsuite.handlers.routes import ApiApplication, all_routes, make_application
from qsuite.handlers.server import ApiServer
from qsuite.repos.collections import collections_of
from qsuite.repos.database import Database
from qsuite.repos.market_data import MarketDataRepo
from qsuite.repos.schema import migrate, require_migrated
from qsuite.services.backup.told import tell_restored
from qsuite.services.book_market import BookMarket
from qsuite.services.container import Services
from qsuite.services.demo_market import NAMES, DemoMarket, Progress, load_demo
from qsuite.services.embedded_mongod import EmbeddedMongod
from qsuite.services.engine import TradingEngine
from qsuite.services.job_runner import JobRunner
from qsuite.services.keyring import Keyring
from qsuite.services.market_training import MarketModelTraining
from qsuite.services.mongod_keeper import MongodKeeper
from qsuite.services.neighbours import Neighbours
from qsuite.services.passwords import Passwords
from qsuite.services.quiet_symbols import QuietSymbols
from qsuite.services.redis_probe import RedisProbe
from qsuite.services.signal_watch import SignalWatch
from qsuite.services.supervisor import Loop, Supervisor
from qsuite.services.watchdog import LoopWatchdog
from qsuite.settings import Settings


class App:
    """A built QSuite, not yet started. ``build`` makes one."""

    def __init__(
        self,
        *,
        database: Database,
        services: Services,
        engine: TradingEngine,
        book_market: BookMarket,
        keyring: Keyring,
        supervisor: Supervisor,
        watchdog: LoopWatchdog | None,
        application: ApiApplication,
        audit: Audit,
        passwords: Passwords,
        bars: MarketDataRepo,
        neighbours: Neighbours | None,
        redis: RedisProbe | None,
        gateways: Gateways,
        forwarding: Forwarding,
        job_runner: JobRunner | None,
        signal_watch: SignalWatch,
    ) -> None:
        self.database = database
        self.services = services
        self.engine = engine
        self._book_market = book_market
        self._keyring = keyring
        self.supervisor = supervisor
        self.application = application
        self.server: ApiServer | None = None
        self._watchdog = watchdog
        self._audit = audit
        self._passwords = passwords
        self._bars = bars
        self._neighbours = neighbours
        self._redis = redis
        self._gateways = gateways
        self._forwarding = forwarding
        self._job_runner = job_runner
        self._signal_watch = signal_watch
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
        self.engine.announce(advertised(settings, server.port))
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

        Its symbols' signals are made at each minute's close, where the settings do not say which others are.
        The password is empty when it was changed since. SetupError where the demo's prices are not installed.
        """
        services = self.services
        await load_demo(services.reference, self._bars, new_id=uuid7, progress=progress)
        demo = DemoMarket(settings=services.settings.market, market=services.market, reference=services.reference)
        await demo.run_once(time.time_ns())  # there are prices when this returns
        self.supervisor.add(demo)
        if not self._signal_watch.on:
            self._signal_watch.follow((DEFAULT,), ("1m",), tuple(NAMES))
        return await services.users.ensure_demo()

    async def _start(self) -> None:
        services, ends = self.services, self._ends
        ends.push_async_callback(asyncio.to_thread, self._passwords.close)
        if services.traces is not None:
            ends.push_async_callback(services.traces.stop)
        ends.push_async_callback(services.workers.stop)
        bring_up = migrate if services.settings.migrate.at_start else require_migrated
        await bring_up(self.database, collections_of(self.database))
        await tell_restored(self.database, services.audit)
        ends.push_async_callback(self._audit.stop)
        await self._keyring.start()
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
        await services.stream.start(None if self._neighbours is None else self._neighbours.life)
        ends.push_async_callback(services.stream.stop)
        # After the engine's last batch, before the market's last write.
        ends.push_async_callback(self._book_market.stop)
        await self.engine.start()
        ends.push_async_callback(self.engine.stop)
        await services.health.run_once(time.time_ns())
        ends.push_async_callback(services.health.stop)
        ends.push_async_callback(services.system.stop)
        ends.push_async_callback(self._gateways.stop)
        ends.push_async_callback(self._forwarding.stop)
        if self._forwarding.whereabouts is not None:
            await self._forwarding.whereabouts.run_once(time.time_ns())  # known before the first command comes
        if services.throttle.shared is not None:
            ends.push_async_callback(services.throttle.shared.stop)
        if self._redis is not None:
            ends.push_async_callback(self._redis.stop)
        if self._job_runner is not None:
            ends.push_async_callback(self._job_runner.stop)
        self.supervisor.start()
        ends.push_async_callback(self.supervisor.stop)

    async def _close_door(self, server: ApiServer) -> None:
        """Tell the sockets and close them, while requests in flight finish."""
        await asyncio.gather(self.services.stream.stop(), server.drain())


async def build(settings: Settings, database: Database, parts: Parts | None = None) -> App:
    """Make everything; nothing runs yet."""
    made = make_sections(settings, database, parts or Parts())
    for loop in _loops(made):
        made.supervisor.add(loop)
    services = _services(settings, made)
    routes = all_routes()
    application = make_application(
        services,
        routes=routes,
        forward=made.forwarding.forwarder,
        log_function=access_log(
            made.metrics,
            routes,
            lowest=logging.getLevelName(settings.log.level.upper()),
            latency=made.operations.latency,
            traces=made.traces,
        ),
    )
    return App(
        database=database,
        services=services,
        engine=made.trading.engine,
        book_market=made.trading.book_market,
        keyring=made.access.keyring,
        supervisor=made.supervisor,
        watchdog=made.operations.watchdog,
        application=application,
        audit=made.audit,
        passwords=made.access.passwords,
        bars=made.market.bars,
        neighbours=made.market.neighbours,
        redis=made.operations.redis,
        gateways=made.gateways,
        forwarding=made.forwarding,
        job_runner=made.jobs.runner,
        signal_watch=made.strategy_work.watch,
    )


def _loops(made: Sections) -> list[Loop]:
    """Return what runs beside the requests, in the order it starts; it stops in the reverse order."""
    loops = (
        made.audit.security,
        made.audit.trail,
        made.audit.heads,
        made.market.neighbours,
        made.market.foreign,
        made.access.auth.watch,
        made.access.auth.keys.uses,
        made.access.keyring,
        made.market.reference,
        made.strategies.service,
        made.strategy_work.runs,
        made.strategy_work.watch,
        made.strategy_work.news,
        made.market.data.writer,
        made.market.data,
        QuietSymbols(made.market.data),
        made.sealer,
        made.market.stream.upkeep,
        made.operations.health,
        made.operations.system,
        made.operations.host,
        made.workers,
        made.jobs.runner,
        made.jobs.stream,
        made.accounts.history,
        made.reports.daily,
        made.market.sessions,
        made.operations.redis,
        made.trading.depth,
        made.throttle.shared,
        made.gateways.publisher,
        made.gateways.asks,
        made.gateways.uplink,
        made.forwarding.whereabouts,
        made.feeds.watch,
        made.feeds.synthetic,
        made.feeds.stream,
        made.feeds.exchange,
    )
    return [loop for loop in loops if loop is not None]


def _services(settings: Settings, made: Sections) -> Services:
    """Return what the handlers call."""
    return Services(
        settings=settings,
        audit=made.audit.trail,
        audit_reading=made.audit.service,
        auth=made.access.auth,
        users=made.access.users,
        sessions=made.access.sessions,
        second_factor=made.access.second_factor,
        idempotency=made.access.idempotency,
        throttle=made.throttle,
        reference=made.market.reference,
        market=made.market.data,
        records=made.market.records,
        history=made.market.history,
        quoted_trades=made.market.quoted_trades,
        downloads=made.market.downloads,
        ingest=made.market.ingest,
        trading=made.trading.service,
        strategies=made.strategies.service,
        strategy_runs=made.strategy_work.runs,
        strategy_performance=made.accounts.strategy_performance,
        signals=made.strategy_work.signals,
        indicators=made.strategy_work.indicators,
        jobs=made.jobs.service,
        backtests=made.backtests,
        backtest_pages=made.backtest_pages,
        sweeps=made.sweeps,
        stream=made.market.stream,
        health=made.operations.health,
        metrics=made.metrics,
        traces=made.traces,
        latency=made.operations.latency,
        system=made.operations.system,
        workers=made.workers,
        performance=made.accounts.performance,
        accounts=made.accounts.service,
        account_history=made.accounts.history,
        reports=made.reports.service,
        risk=made.accounts.risk,
        depth=made.trading.depth,
        exposure=made.accounts.exposure,
        models=made.models,
        market_training=MarketModelTraining(jobs=made.jobs.service, reference=made.market.reference),
        model_training=made.model_training,
        sentiment=made.sentiment.service,
        news=made.sentiment.news,
        correlation=made.accounts.correlation,
    )
