"""Operations: whether everything is well, and the figures that show it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from qsuite.composition.audit import Audit
from qsuite.composition.feeds import Feeds
from qsuite.composition.gateways import GATEWAY, Gateways, stream_source
from qsuite.composition.jobs import Jobs
from qsuite.composition.market import Market
from qsuite.composition.trading import Trading
from qsuite.repos.database import Database
from qsuite.services.audit_heads import AuditHeads
from qsuite.services.engine_jobs import EngineState
from qsuite.services.figures import (
    show_database,
    show_engine,
    show_feed,
    show_gateways,
    show_host,
    show_jobs,
    show_market,
    show_orders,
    show_process,
    show_requests,
    show_stream,
    show_workers,
)
from qsuite.services.health import HealthService, Record, State
from qsuite.services.host_watch import HostWatch
from qsuite.services.job_runner import JobRunner
from qsuite.services.metrics import Metrics
from qsuite.services.order_latency import OrderLatency
from qsuite.services.redis_probe import RedisProbe
from qsuite.services.supervisor import Supervisor
from qsuite.services.system_metrics import SystemMetrics
from qsuite.services.watchdog import LoopWatchdog
from qsuite.services.workers import WorkerPool
from qsuite.settings import Settings

ENGINE_STATES = {
    EngineState.ACTIVE: State.UP,
    EngineState.STANDBY: State.STANDBY,
    EngineState.RECOVERING: State.STARTING,
    EngineState.STOPPED: State.DOWN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """What watches the rest. ``watchdog`` where the event loop is watched, ``redis`` where one is configured."""

    health: HealthService
    host: HostWatch
    system: SystemMetrics
    latency: OrderLatency
    watchdog: LoopWatchdog | None
    redis: RedisProbe | None


def make_operations(
    *,
    settings: Settings,
    database: Database,
    audit: Audit,
    supervisor: Supervisor,
    metrics: Metrics,
    workers: WorkerPool,
    jobs: Jobs,
    market: Market,
    trading: Trading,
    feeds: Feeds,
    gateways: Gateways,
    watched: bool,
    clock: Callable[[], int],
) -> Operations:
    """Make what tells how things stand, and let ``metrics`` show it."""
    engine = trading.engine
    redis = RedisProbe(settings.redis_url) if settings.redis_url is not None else None
    health = HealthService(
        ping=database.ping,
        supervisor=supervisor,
        probes={
            "engine": lambda: ENGINE_STATES[engine.state],
            "feed": lambda: feeds.watch.state,
        },
        gateway=settings.role == GATEWAY,
    )
    health.stream = stream_source(trading, gateways)
    health.audit = partial(record_state, audit.heads)
    health.probe("workers", lambda: workers_state(workers, jobs.runner))
    if redis is not None:
        health.probe("redis", lambda: redis.state)
    host = HostWatch(
        settings.data_dir,
        alarm=settings.engine.disk_alarm,
        halt=settings.engine.disk_halt,
        database_free=database.disk_free if database.transactions else None,
        database_time=database.time if database.transactions else None,
    )
    market.data.marks.away = lambda: health.database_away
    market.stream.prices_stale = lambda: health.database_away or feeds.watch.state in (State.STALE, State.DOWN)
    health.probe("disk", lambda: host.disk)
    health.probe("clock", lambda: host.clock)
    engine.disk_full = lambda: host.full
    watchdog = LoopWatchdog() if watched else None
    show_engine(metrics, engine)
    show_market(metrics, market.data)
    show_feed(metrics, feeds.watch, feeds.stream or feeds.exchange)
    show_stream(metrics, market.stream)
    show_gateways(metrics, gateways.relay, gateways.publisher, gateways.uplink)
    show_process(metrics, health, supervisor, watchdog)
    show_host(metrics, host)
    show_workers(metrics, workers)
    show_jobs(metrics, jobs.runner)
    latency = OrderLatency()
    show_orders(metrics, latency)
    show_requests(metrics)
    show_database(metrics, database)
    system = make_system_metrics(market=market, trading=trading, latency=latency, clock=clock)
    return Operations(health=health, host=host, system=system, latency=latency, watchdog=watchdog, redis=redis)


def record_state(heads: AuditHeads) -> Record:
    """Return how the audit record is, as the last look at it found."""
    if heads.broken:
        return Record.BROKEN
    return Record.UNSIGNED if heads.lost else Record.OK


def workers_state(workers: WorkerPool, runner: JobRunner | None) -> State:
    """Return how what computes is: the pool of short computations, which trading needs, then what jobs run on."""
    if workers.state is State.UP and runner is not None and not runner.executor.ready:
        return State.AWAY
    return workers.state


def make_system_metrics(
    *, market: Market, trading: Trading, latency: OrderLatency, clock: Callable[[], int]
) -> SystemMetrics:
    """Make what counts for the figures of the system."""
    engine, stream = trading.engine, market.stream
    return SystemMetrics(
        counts={
            "market_data_records": market.bars.count,
            "total_orders": trading.orders.count,
            "ticks": market.ticks.count,
        },
        engine=engine.stats,
        queued=lambda: engine.queued,
        stream=lambda: (stream.clients, stream.upkeep.messages_per_second),
        latency=latency,
        clock=clock,
    )
