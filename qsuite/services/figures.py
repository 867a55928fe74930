"""What ``/metrics`` shows besides requests: the engine, the stream, the market, the loops, the event loop.

Names follow Prometheus' conventions: a unit at the end, ``_total`` for what only grows. Read at the scrape.
"""

from collections import Counter
from typing import TYPE_CHECKING

from qsuite.domain.feeds.breaker import BreakerState
from qsuite.domain.trading.commands import Scope
from qsuite.repos.database import Database
from qsuite.services.engine import TradingEngine
from qsuite.services.engine_jobs import EngineState
from qsuite.services.feeds.watch import FeedWatch
from qsuite.services.health import HealthService, State
from qsuite.services.host_watch import HostWatch
from qsuite.services.job_runner import JobRunner
from qsuite.services.market_data import MarketDataService
from qsuite.services.metrics import Metrics
from qsuite.services.order_latency import OrderLatency
from qsuite.services.stream import StreamHub
from qsuite.services.supervisor import Supervisor
from qsuite.services.throttle import Throttle
from qsuite.services.watchdog import LoopWatchdog
from qsuite.services.workers import WorkerPool

if TYPE_CHECKING:
    from qsuite.services.feeds.exchange_feed import ExchangeFeed
    from qsuite.services.feeds.stream_feed import StreamFeed
    from qsuite.services.forwarding.forwarder import Forwarder
    from qsuite.services.gateways.publisher import Publisher
    from qsuite.services.gateways.relay import Relay
    from qsuite.services.gateways.uplink import Uplink

WATCHED_ENDS = {"overflow": 0, "stuck": 0}
"""Shown before the first one, so that the first is seen to be more."""


def show_engine(metrics: Metrics, engine: TradingEngine) -> None:
    """Show the engine's counters and the latencies of its last thousand orders."""
    stats = engine.stats
    metrics.counter("qsuite_engine_batches", "Batches committed", lambda: stats.batches)
    metrics.counter("qsuite_engine_commands", "Commands answered", lambda: stats.commands)
    metrics.counter("qsuite_engine_orders", "Orders answered", lambda: stats.orders)
    metrics.counter("qsuite_engine_deaths", "Times the engine's loop ended and was begun again", lambda: stats.deaths)
    metrics.counter("qsuite_engine_recoveries", "Times the memory was rebuilt from storage", lambda: stats.recoveries)
    metrics.gauge("qsuite_engine_batch_size", "Commands in the last batch", lambda: stats.last_batch_size)
    metrics.counter("qsuite_engine_commands_retried", "Commands decided again after a recovery", lambda: stats.retried)
    metrics.counter("qsuite_engine_commands_unknown", "Callers told that the outcome is unknown", lambda: stats.unknown)
    metrics.counter(
        "qsuite_engine_breaches", "Decisions that contradicted the engine's own books", lambda: stats.breaches
    )
    metrics.gauge("qsuite_engine_queue", "Commands waiting or being committed", lambda: engine.queued)
    metrics.gauges(
        "qsuite_engine_state", "1 for what the engine of this process does", "state", lambda: _states(engine)
    )
    metrics.counters("qsuite_orders_refused", "Orders a control refused, by its code", "code", lambda: stats.refused)
    metrics.gauges("qsuite_halts", "Kill switches thrown, by scope", "scope", lambda: _halts(engine))
    metrics.histogram(
        "qsuite_engine_order_seconds",
        "From an order's arrival at the engine to its durable answer",
        stats.order_seconds,
    )
    metrics.histograms(
        "qsuite_engine_stage_seconds", "Time a command or batch is in a stage of the engine", ("stage",),
        stats.stages.shown,
    )  # fmt: skip
    commits = engine.commits
    metrics.histograms(
        "qsuite_commit_seconds", "Time of a batch's transaction, by outcome", ("outcome",), lambda: commits.seconds
    )
    metrics.counter(
        "qsuite_commit_statements", "Statements sent in transactions of batches", lambda: commits.statements
    )


def show_orders(metrics: Metrics, latency: OrderLatency) -> None:
    """Show how long callers waited for their orders."""
    metrics.histograms(
        "qsuite_order_seconds", "From the receipt of an order's request to its durable answer", ("way", "venue"),
        lambda: latency.spread,
    )  # fmt: skip


def show_requests(metrics: Metrics) -> None:
    """Show what no handler saw."""
    metrics.counter(
        "qsuite_http_turned_away", "Requests refused because too many were under way", lambda: metrics.turned_away
    )


def show_database(metrics: Metrics, database: Database) -> None:
    """Show what the driver does; a database in memory has none."""
    figures = database.figures
    if figures is None:
        return
    commands, pool = figures.commands, figures.pool
    metrics.histograms(
        "qsuite_database_command_seconds", "Time of a command to the database, as its caller waits", ("command",),
        lambda: {(name,): seconds for name, seconds in commands.seconds.items()},
    )  # fmt: skip
    metrics.counters(
        "qsuite_database_command_failures", "Commands refused or not answered", "command", lambda: commands.failures
    )
    metrics.gauge("qsuite_database_pool_connections", "Connections to the database", lambda: pool.open)
    metrics.gauge("qsuite_database_pool_in_use", "Connections in use", lambda: pool.in_use)
    metrics.gauge("qsuite_database_pool_waiting", "Threads that wait for a connection", lambda: pool.waiting)
    metrics.counter("qsuite_database_connects", "Connections opened to the database", lambda: pool.opened)
    metrics.counter("qsuite_database_pool_failures", "Waits for a connection in vain", lambda: pool.waits_failed)
    metrics.gauge("qsuite_database_primary", "1 while the driver sees a primary", lambda: float(figures.primary))
    metrics.gauges("qsuite_database_members", "Servers as the driver sees them, by kind", "kind", figures.members)


def show_market(metrics: Metrics, market: MarketDataService) -> None:
    """Show the live market."""
    writer = market.writer
    metrics.counter("qsuite_ticks_published", "Live ticks taken in", lambda: market.published)
    metrics.counter("qsuite_ticks_written", "Live ticks stored", lambda: writer.written)
    metrics.counter("qsuite_tick_write_failures", "Writes of live ticks that failed", lambda: writer.failures)
    metrics.gauge("qsuite_ticks_waiting", "Live ticks not known to be stored", lambda: writer.waiting)
    marks = market.marks
    metrics.gauge(
        "qsuite_prices_stale", "Symbols that had live prices and have none now", lambda: marks.old(market.now())
    )
    metrics.gauge(
        "qsuite_prices_suspect", "Symbols with a jump nothing confirmed, or a crossed quote", lambda: marks.suspects
    )
    metrics.counter("qsuite_suspect_ticks", "Ticks marked as suspect", lambda: marks.suspected)


def show_feed(metrics: Metrics, watch: FeedWatch, feed: "StreamFeed | ExchangeFeed | None") -> None:
    """Show whether prices come in and, where this server follows a source, what the source did."""
    metrics.gauge("qsuite_feed_alarm", "1 while prices should come in and do not", lambda: float(watch.alarmed))
    if feed is None:
        return
    counts = feed.counts
    metrics.gauge("qsuite_feed_connected", "1 while the source is connected", lambda: float(feed.connected))
    metrics.gauge(
        "qsuite_feed_breaker_open",
        "1 while the source is left alone after failures in a row",
        lambda: float(feed.breaker.state is not BreakerState.CLOSED),
    )
    metrics.counter("qsuite_feed_connects", "Connections to the source", lambda: counts.connects)
    metrics.counter("qsuite_feed_failures", "Connections that failed or ended", lambda: counts.failures)
    metrics.counter("qsuite_feed_ticks", "Ticks of the source published", lambda: counts.ticks)
    metrics.counter("qsuite_feed_bad_messages", "Messages that could not be read", lambda: counts.bad)
    if feed.gaps is None:
        return
    gaps, sequence = feed.gaps.counts, feed.gaps.counts.sequence
    metrics.counter("qsuite_feed_duplicates", "Messages that had come before", lambda: sequence.duplicates)
    metrics.counter("qsuite_feed_late", "Messages overtaken by later ones", lambda: sequence.late)
    metrics.counter("qsuite_feed_filled", "Missing messages had by asking for them", lambda: gaps.filled)
    metrics.counter("qsuite_feed_lost", "Missing messages given up", lambda: sequence.lost)
    metrics.counter("qsuite_feed_restarts", "Times the source began to count anew", lambda: sequence.restarts)


def show_stream(metrics: Metrics, stream: StreamHub) -> None:
    """Show the sockets and what became of their messages."""
    counters = stream.counters
    metrics.gauge("qsuite_stream_clients", "Open sockets", lambda: stream.clients)
    metrics.counter(
        "qsuite_stream_published", "Messages published to a channel somebody has", lambda: counters.published
    )
    metrics.counter("qsuite_stream_delivered", "Messages handed to sockets", lambda: counters.delivered)
    metrics.counter("qsuite_stream_conflated", "Price messages replaced by newer ones", lambda: counters.conflated)
    metrics.gauges(
        "qsuite_stream_closed", "Sockets closed, by reason", "reason", lambda: WATCHED_ENDS | counters.closed
    )
    metrics.histogram(
        "qsuite_stream_lag_seconds", "Age of a flush's oldest message when its last socket was written to", stream.lag
    )
    metrics.gauge("qsuite_stream_unsent_bytes", "Bytes that wait for sockets", lambda: sum(stream.unsent))
    metrics.gauge(
        "qsuite_stream_unsent_max_bytes",
        "Bytes that wait for the slowest socket",
        lambda: max(stream.unsent, default=0),
    )


def show_gateways(
    metrics: Metrics, relay: "Relay | None", publisher: "Publisher | None", uplink: "Uplink | None"
) -> None:
    """Show what goes through Redis: on the process that publishes, or on a gateway."""
    if relay is not None and publisher is not None:
        metrics.gauge("qsuite_relay_open", "1 while messages are published for gateways", lambda: float(relay.open))
        metrics.gauge("qsuite_relay_gateways", "Gateways that follow this process", lambda: len(relay.gateways))
        metrics.gauge("qsuite_relay_waiting_bytes", "Bytes waiting for Redis", lambda: relay.waiting)
        metrics.counter("qsuite_relay_flushes", "Writes to Redis", lambda: publisher.written)
        metrics.counter("qsuite_relay_losses", "Times gateways had to begin again", lambda: relay.lost)
    if uplink is not None:
        metrics.gauge(
            "qsuite_gateway_joined",
            "1 while messages come through Redis, 0 while they are read from the database",
            lambda: float(uplink.joined),
        )
        metrics.gauge("qsuite_gateway_lag_seconds", "Age of the newest flush as it arrived", lambda: uplink.lag_s)
        metrics.counter(
            "qsuite_gateway_turns",
            "Times readers were given other numbers, with a gap and snapshots",
            lambda: uplink.turns,
        )


def show_forward(metrics: Metrics, forwarder: "Forwarder") -> None:
    """Show what became of commands that another process has to carry out."""
    metrics.gauges(
        "qsuite_forward_requests",
        "Commands sent on to the engine's process, by what became of them; again counts each further attempt",
        "outcome",
        lambda: forwarder.counts,
    )
    metrics.gauge(
        "qsuite_forward_connections", "Connections kept to the engine's process", lambda: forwarder.connections
    )


def show_throttle(metrics: Metrics, throttle: Throttle) -> None:
    """Show whom the limits kept out, and whether all processes count together."""
    metrics.gauges("qsuite_throttle_refused", "Requests over a limit", "limit", lambda: throttle.refused)
    metrics.gauge("qsuite_throttle_buckets", "Callers and addresses counted in this process", lambda: throttle.kept)
    shared = throttle.shared
    if shared is not None:
        metrics.gauge(
            "qsuite_throttle_shared",
            "1 while all processes count requests together, 0 while this one counts by itself at half the rates",
            lambda: float(shared.up),
        )
        metrics.counter("qsuite_throttle_falls", "Times Redis did not answer for the limits", lambda: shared.falls)


def show_process(
    metrics: Metrics, health: HealthService, supervisor: Supervisor, watchdog: LoopWatchdog | None
) -> None:
    """Show health, the supervised loops and the event loop."""
    metrics.gauges("qsuite_up", "1 while a service is up, idle or not configured", "service", lambda: _ups(health))
    metrics.gauge("qsuite_ready", "1 while this process takes orders", lambda: float(health.ready))
    states = supervisor.states
    metrics.gauges(
        "qsuite_loop_failures", "Rounds of a loop that failed since the start", "loop",
        lambda: {name: one.restarts for name, one in states.items()},
    )  # fmt: skip
    if watchdog is not None:
        metrics.gauge(
            "qsuite_event_loop_lag_seconds",
            "Greatest lateness of the event loop since the last scrape",
            watchdog.take_lag_max_s,
        )
        metrics.histogram(
            "qsuite_event_loop_delay_seconds",
            "How late the event loop does what is due, 20 looks a second",
            watchdog.lag,
        )
        metrics.counter(
            "qsuite_event_loop_blocks", "Times the event loop was held over 100 ms", lambda: watchdog.blocks
        )


def show_workers(metrics: Metrics, pool: WorkerPool) -> None:
    """Show the process pool."""
    metrics.counter("qsuite_worker_calls", "Computations handed to the process pool", lambda: pool.calls)
    metrics.counter("qsuite_worker_deaths", "Times a worker process died at its work", lambda: pool.deaths)
    metrics.gauge("qsuite_worker_running", "Computations under way or waiting for a process", lambda: pool.running)


def show_jobs(metrics: Metrics, runner: JobRunner | None) -> None:
    """Show the jobs of all users together, and what this process does for them."""
    if runner is None:
        return
    counts = runner.counts
    metrics.gauges("qsuite_jobs", "Jobs that have not ended, by state", "state", lambda: dict(counts.open))
    metrics.gauge("qsuite_jobs_running_here", "Attempts at jobs in this process's care", lambda: runner.running)
    metrics.counter("qsuite_job_attempts", "Attempts at jobs begun", lambda: counts.attempts)
    metrics.counter("qsuite_job_deaths", "Attempts at jobs whose worker or server died", lambda: counts.deaths)
    metrics.histograms(
        "qsuite_job_seconds",
        "Time of an attempt at a job, by how it ended",
        ("kind", "outcome"),
        lambda: counts.seconds,
    )
    metrics.histograms(
        "qsuite_job_wait_seconds", "Time a job waited for its first attempt", ("kind",), lambda: counts.waits
    )


def show_host(metrics: Metrics, host: HostWatch) -> None:
    """Show the machine."""
    metrics.gauge("qsuite_disk_free_ratio", "Free share of the data directory's disk", lambda: host.disk_free)
    metrics.gauge(
        "qsuite_database_disk_free_ratio",
        "Free share of the disk of the database's primary",
        lambda: host.database_disk_free,
    )
    metrics.gauge("qsuite_disk_full", "1 while new orders are refused for want of room", lambda: float(host.full))
    text = "How far the wall clock is ahead of the database's"
    metrics.gauge("qsuite_clock_drift_seconds", text, lambda: host.clock_drift_s)
    metrics.counter("qsuite_clock_jumps", "Times the wall clock jumped by over a second", lambda: host.clock_jumps)
    metrics.gauge("qsuite_clock_jump_seconds", "Greatest jump of the wall clock", lambda: host.clock_jump_s)


def _ups(health: HealthService) -> dict[str, float]:
    fine = (State.UP, State.IDLE, State.DISABLED)
    return {name: float(state in fine) for name, state in health.now.services.items()}


def _states(engine: TradingEngine) -> dict[str, float]:
    return {state.value: float(engine.state is state) for state in EngineState}


def _halts(engine: TradingEngine) -> dict[str, float]:
    thrown = Counter(scope for scope, _ in engine.memory.halts)
    return {scope.value: float(thrown[scope]) for scope in Scope}
