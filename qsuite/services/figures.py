"""What ``/metrics`` shows besides requests: the engine, the stream, the market, the loops, the event loop.

Names follow Prometheus' conventions: a unit at the end, ``_total`` for what only grows. Read at the scrape.
"""

from typing import TYPE_CHECKING

from qsuite.domain.feeds.breaker import BreakerState
from qsuite.services.engine import TradingEngine
from qsuite.services.feeds.watch import FeedWatch
from qsuite.services.health import HealthService, State
from qsuite.services.host_watch import HostWatch
from qsuite.services.job_runner import JobRunner
from qsuite.services.market_data import MarketDataService
from qsuite.services.metrics import Metrics
from qsuite.services.stream import StreamHub
from qsuite.services.supervisor import Supervisor
from qsuite.services.system_metrics import latencies
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

MS_PER_S = 1000.0


def show_engine(metrics: Metrics, engine: TradingEngine) -> None:
    """Show the engine's counters and the latencies of its last thousand orders."""
    stats = engine.stats
    metrics.counter("qsuite_engine_batches", "Batches committed", lambda: stats.batches)
    metrics.counter("qsuite_engine_commands", "Commands answered", lambda: stats.commands)
    metrics.counter("qsuite_engine_orders", "Orders answered", lambda: stats.orders)
    metrics.counter("qsuite_engine_recoveries", "Times the memory was rebuilt from storage", lambda: stats.recoveries)
    metrics.gauge("qsuite_engine_batch_size", "Commands in the last batch", lambda: stats.last_batch_size)
    metrics.gauge("qsuite_engine_queue", "Commands waiting or being committed", lambda: engine.queued)

    def quantiles() -> dict[str, float]:
        found = latencies(stats.latencies_s)
        named = {"0.5": found["p50_ms"], "0.99": found["p99_ms"]}
        return {quantile: value / MS_PER_S for quantile, value in named.items() if value is not None}

    text = "From an order's arrival at the engine to its durable answer, last thousand"
    metrics.gauges("qsuite_engine_order_seconds", text, "quantile", quantiles)


def show_market(metrics: Metrics, market: MarketDataService) -> None:
    """Show the live market."""
    writer = market.writer
    metrics.counter("qsuite_ticks_published", "Live ticks taken in", lambda: market.published)
    metrics.counter("qsuite_ticks_written", "Live ticks stored", lambda: writer.written)
    metrics.counter("qsuite_tick_write_failures", "Writes of live ticks that failed", lambda: writer.failures)
    metrics.gauge("qsuite_ticks_waiting", "Live ticks not known to be stored", lambda: writer.waiting)


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
    metrics.gauges("qsuite_stream_closed", "Sockets closed, by reason", "reason", lambda: dict(counters.closed))


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
        text = "1 while messages come through Redis, 0 while they are read from the database"
        metrics.gauge("qsuite_gateway_joined", text, lambda: float(uplink.joined))
        metrics.gauge("qsuite_gateway_lag_seconds", "Age of the newest flush as it arrived", lambda: uplink.lag_s)
        text = "Times readers were given other numbers, with a gap and snapshots"
        metrics.counter("qsuite_gateway_turns", text, lambda: uplink.turns)


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
    text = "Rounds of a loop that failed since the start"
    metrics.gauges("qsuite_loop_failures", text, "loop", lambda: {name: one.restarts for name, one in states.items()})
    if watchdog is not None:
        text = "Greatest lateness of the event loop since the last scrape"
        metrics.gauge("qsuite_event_loop_lag_seconds", text, watchdog.take_lag_max_s)
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


def show_host(metrics: Metrics, host: HostWatch) -> None:
    """Show the machine."""
    metrics.gauge("qsuite_disk_free_ratio", "Free share of the data directory's disk", lambda: host.disk_free)
    text = "How far the wall clock is ahead of the database's"
    metrics.gauge("qsuite_clock_drift_seconds", text, lambda: host.clock_drift_s)
    metrics.gauge("qsuite_clock_jump_seconds", "Greatest jump of the wall clock", lambda: host.clock_jump_s)


def _ups(health: HealthService) -> dict[str, float]:
    fine = (State.UP, State.IDLE, State.DISABLED)
    return {name: float(state in fine) for name, state in health.now.services.items()}
