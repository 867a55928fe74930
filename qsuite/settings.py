"""All that can be configured, in one frozen value: environment, ``.env``, ``config/<profile>.toml``, defaults, in this
order.

Invariant: read once, at the composition root; unknown keys and out-of-bound values stop the start with one line that
names the key. Secrets never show in ``repr``.

``OTEL_EXPORTER_OTLP_ENDPOINT`` stands for ``tracing.endpoint`` where that is not given.
Nested names join by two underscores in the environment: ``QSUITE_ENGINE__LEASE_S=3``. A secret may stand in a file
that the same name with ``_FILE`` points to (``qsuite.secret_files``).
"""

import dataclasses
import math
import os
import re
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from qsuite.domain.errors import SetupError
from qsuite.domain.money import parse_decimal
from qsuite.domain.off import OFF, Off
from qsuite.domain.throttling import Rate, parse_rate
from qsuite.safe_start import refuse_unsafe
from qsuite.secret_files import with_secret_files

PREFIX = "QSUITE_"
OTLP_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
PROFILES = ("local", "test", "production")
ROLES = ("all", "gateway")
EXECUTORS = ("process", "dask")
FEEDS = ("off", "synthetic", "websocket", "exchange")
SOURCE_FIELDS = (
    *("kind=type", "key=channel", "seq=seq", "symbol=symbol", "ts=ts", "price=price", "size=size"),
    *("bid=bid", "ask=ask", "bid_size=bid_size", "ask_size=ask_size"),
)
"""The messages of QSuite's own stream, so that one server can follow another."""
ADDRESS = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?")
TIME_UNITS = ("rfc3339", "s", "ms", "us", "ns")
Figure = Decimal | Off
Limit = Rate | Off


def _setting(default: Any, text: str, *, low: Any = None, high: Any = None, choices: tuple[Any, ...] = ()) -> Any:
    return field(default=default, metadata={"help": text, "low": low, "high": high, "choices": choices})


def _secret(text: str, *, default: Any = None) -> Any:
    return field(default=default, repr=False, metadata={"help": text, "secret": True})  # nosec B105


def _figure(default: str, text: str) -> Any:
    return _setting(Decimal(default), text, low=Decimal(0))


def _limit(default: str, text: str) -> Any:
    return _setting(parse_rate(default), text)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """Limits and headers of the HTTP server."""

    max_body_bytes: int = _setting(1_048_576, "largest ordinary request body", low=1024)
    max_bulk_bytes: int = _setting(67_108_864, "largest body of a bulk route", low=1024)
    max_header_bytes: int = _setting(16_384, "largest request header block", low=1024)
    header_timeout_s: float = _setting(10.0, "a request's header must arrive within", low=0.1)
    body_timeout_s: float = _setting(60.0, "a request's body must arrive within", low=0.1)
    idle_timeout_s: float = _setting(120.0, "a kept-alive connection is closed after", low=0.1)
    stuck_s: float = _setting(15.0, "a client that takes nothing of its answer for this long is closed", low=0.1)
    shutdown_s: float = _setting(8.0, "requests in flight may finish within, on SIGTERM", low=0.0)
    cors_origins: tuple[str, ...] = _setting((), "exact origins of other sites that may call, comma separated")
    trusted_proxies: tuple[str, ...] = _setting(
        (), "addresses whose X-Forwarded-For is believed; what comes by others counts as theirs"
    )
    max_in_flight: int = _setting(512, "requests under way; what stays beyond is answered 503 at once", low=1)
    burst_s: float = _setting(1.0, "how long more requests than that are taken, up to eight times as many", low=0.0)
    max_downloads: int = _setting(16, "answers of whole ranges sent at once; one more is answered 429", low=1)
    hsts: bool = _setting(False, "send Strict-Transport-Security")
    advertise: str | None = _setting(
        None,
        "where other processes on the database reach this one, such as http://engine:8000; without it host and port,"
        " or nowhere where host stands for every address",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardSettings:
    """Commands that a process without the engine sends on to the one that has it."""

    connections: int = _setting(64, "connections to the engine's process at most; more requests wait", low=1)
    connect_timeout_s: float = _setting(1.0, "connecting may take", low=0.05)
    timeout_s: float = _setting(30.0, "an answer must come within; later its outcome is told to be unknown", low=0.1)
    takeover_s: float = _setting(
        8.0, "while another process takes the engine over, a command waits for it this long", low=0.0
    )
    ca_file: Path | None = _setting(None, "authorities that vouch for an https address; without one the system's")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthSettings:
    """Tokens and passwords."""

    issuer: str = _setting("qsuite", "iss of every token")
    audience: str = _setting("qsuite-api", "aud of every token")
    access_s: int = _setting(3_600, "life of an access token", low=1)
    refresh_s: int = _setting(86_400, "life of a refresh token", low=1)
    password_min_length: int = _setting(12, "shortest password", low=8)
    argon2_memory_kib: int = _setting(19_456, "argon2id memory", low=8)
    argon2_time_cost: int = _setting(2, "argon2id passes", low=1)
    argon2_parallelism: int = _setting(1, "argon2id lanes", low=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleSettings:
    """How often callers may ask, such as 1000/hour, 100/second burst 500 or off; a burst not given is the count."""

    anonymous: Limit = _limit("100/hour", "requests of an address without a login")
    user: Limit = _limit("1000/hour", "requests of a user, those of the scopes below apart")
    key: Limit = _limit("1000/hour", "of these, requests by one API key")
    orders: Limit = _limit("6000/minute burst 2000", "orders a user places or changes, each of a bulk counted")
    cancels: Limit = _limit("30000/minute burst 5000", "cancels and halts of a user")
    market_data: Limit = _limit("30000/minute burst 6000", "requests of a user that bring prices")
    auth: Limit = _limit("100/hour", "logins and refreshes from an address, password changes of a user")
    analytics: Limit = _limit("600/hour burst 100", "jobs and other long computations a user asks for")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """The single writer of orders, executions, positions and accounts."""

    lease_s: float = _setting(3.0, "another process may take over this long after the last sign of life", low=0.5)
    batch_max: int = _setting(256, "commands committed in one transaction at most", low=1, high=2_000)
    queue_max: int = _setting(10_000, "commands waiting at most; beyond it 503", low=1)
    commit_timeout_s: float = _setting(5.0, "a commit not known after this long is outcome-unknown", low=0.1)
    disk_alarm: float = _setting(
        0.20, "free share of a disk, the database's or ours, below which it is low", low=0.0, high=1.0
    )
    disk_halt: float = _setting(0.05, "and below which no new orders are taken; cancels are", low=0.0, high=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingSettings:
    """How paper orders fill and what they cost."""

    currency: str = _setting("USD", "currency of new accounts, and of tickers made for a feed or a file")
    initial_cash: Decimal = _setting(Decimal(1_000_000), "cash of a new trader", low=Decimal(0))
    commission_model: str = _setting("per_share", "what commission goes by", choices=("per_share", "percent", "tiered"))
    commission_per_share: Decimal = _setting(Decimal("0.005"), "commission for each unit filled", low=Decimal(0))
    commission_percent: Decimal = _setting(Decimal("0.1"), "commission in per cent of the value filled", low=Decimal(0))
    commission_tiers: tuple[str, ...] = _setting(
        (), "commission for each unit until an order has filled so many, the last without end: 1000:0.005,0.003"
    )
    commission_minimum: Decimal | None = _setting(None, "least commission of an order that fills at all")
    commission_maximum: Decimal | None = _setting(None, "most commission of an order")
    slippage_min_bps: Decimal = _setting(Decimal(1), "least slippage where only a last price is known", low=Decimal(0))
    slippage_max_bps: Decimal = _setting(
        Decimal(5), "most slippage where only a last price is known", low=Decimal(0), high=Decimal(10_000)
    )
    participation: Decimal = _setting(
        Decimal(1), "part of a shown size that a fill takes at most", low=Decimal("0.0001"), high=Decimal(1)
    )
    latency_ms: float = _setting(0.0, "how long an order takes to the market", low=0.0, high=60_000.0)
    limit_fill: str = _setting("touch", "a resting limit fills when the market does this", choices=("touch", "through"))
    quote_max_age_s: float = _setting(60.0, "an older quote (in market time) gives way to the last trade", low=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskSettings:
    """Defaults of the pre-trade controls: a number, or "off". Fractions are of one, rates a second."""

    max_quantity: Figure = _figure("10000", "largest quantity of an order")
    max_value: Figure = _figure("250000", "largest value of an order")
    min_value: Figure = _figure("1", "smallest value of an order")
    price_collar: Figure = _figure("0.05", "how far an order may go beyond the market; market orders count there")
    price_collar_passive: Figure = _figure("0.20", "how far a limit may stay away from the reference price")
    price_collar_window: Figure = _figure("0.03", "how far an order may go beyond the average of the last minute")
    reference_stale: Figure = _figure("10", "seconds after which the last price is too old to trade on")
    reference_suspect: Figure = _figure("0.10", "jump of the price that a second trade must confirm")
    position_limit: Figure = _figure("1000000", "largest position in a ticker, open orders counted")
    gross_exposure: Figure = _figure("2", "largest gross exposure of an account, in times of its equity")
    system_exposure: Figure = _figure("10", "largest gross exposure of all, in times of the largest account's limit")
    short_sale: bool = _setting(False, "selling more than is held")
    max_open_orders: Figure = _figure("200", "open orders of an account")
    max_open_orders_ticker: Figure = _figure("50", "open orders of an account in one ticker")
    order_rate: Figure = _figure("10", "orders of an account a second")
    order_burst: Figure = _figure("20", "orders of an account at once")
    cancel_rate: Figure = _figure("50", "cancels of an account a second")
    lookalike: Figure = _figure("3", "orders alike in a second")
    execution_throttle: Figure = _figure("100", "fills in ten seconds that stop a strategy")
    daily_loss: Figure = _figure("0.02", "loss of a day, of its opening equity, from which an account may only reduce")
    daily_loss_halt: Figure = _figure("0.05", "loss of a day, of its opening equity, that halts an account")
    self_trade: bool = _setting(True, "cancel the newer of two orders of an account that would trade with each other")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """Processes for analytics."""

    processes: int = _setting(0, "processes at most, 0 for one a processor; none runs before it is needed", low=0)
    timeout_s: float = _setting(30.0, "one computation may take, the wait for a free process included", low=0.1)
    executor: str = _setting(
        "process", "where jobs run: in processes of this machine, or on a dask grid", choices=EXECUTORS
    )
    dask_scheduler: str = _setting("", "the grid's scheduler, such as tcp://grid:8786, for executor dask")
    jobs_at_once: int = _setting(
        0, "jobs under way in this process's care, 0 for one a processor or grid thread", low=0
    )
    jobs_queued: int = _setting(200, "jobs that wait at most, all users together; more are refused", low=1)
    job_niceness: int = _setting(19, "how far job processes of this machine yield to all others", low=0, high=19)
    job_timeout_s: float = _setting(3_600.0, "one attempt at a job may take", low=0.1)
    job_lease_s: float = _setting(10.0, "a job nobody has worked on for so long is begun again", low=0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalSettings:
    """Public signals that are made by themselves."""

    algorithms: tuple[str, ...] = _setting((), "algorithms whose signals are made, comma separated; none makes none")
    intervals: tuple[str, ...] = _setting(("1m",), "of bars of these lengths, comma separated")
    symbols: tuple[str, ...] = _setting((), "of these symbols, comma separated; without any, of all active tickers")
    every_s: int = _setting(
        0, "0: as each bar closes; else at the newest closed bars, this often", low=0, high=7 * 86_400
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSettings:
    """The WebSocket."""

    heartbeat_s: float = _setting(15.0, "a heartbeat message this often", low=0.1)
    auth_timeout_s: float = _setting(10.0, "a socket must authenticate within", low=0.1)
    max_message_bytes: int = _setting(65_536, "largest client message", low=256)
    max_subscriptions: int = _setting(1_000, "channels of one socket at most", low=1)
    max_sockets: int = _setting(10_000, "sockets at most", low=1)
    max_bad_messages: int = _setting(10, "bad messages before the socket is closed", low=1)
    kept_messages: int = _setting(1_000, "messages kept per channel for `since`", low=0)
    queue_bytes: int = _setting(524_288, "unsent bytes of a socket before its prices are conflated", low=1024)
    compression: bool = _setting(False, "compress messages for clients that offer it (permessage-deflate)")
    stuck_s: float = _setting(15.0, "a socket that takes nothing for this long is closed", low=0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketSettings:
    """Live prices."""

    tick_flush_s: float = _setting(0.2, "live ticks are written to storage this often", low=0.01, high=1.0)
    ticks_kept_days: int = _setting(0, "days that ticks are kept, live or in blocks, 0 for ever", low=0)
    ticks_sealed_after_s: int = _setting(
        3_600, "ticks of an hour are sealed into blocks this long after its end, 0 never", low=0
    )
    demo_seed: int = _setting(20000301, "seed of the demo market's intraday paths")
    demo_speed: float = _setting(60.0, "market seconds of the demo per real second", low=0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedSettings:
    """Where this server takes live prices from by itself."""

    kind: str = _setting("off", "nothing, a made-up market, a source over WebSocket, or an exchange", choices=FEEDS)
    symbols: tuple[str, ...] = _setting((), "symbols it brings, comma separated; missing tickers are made")
    stale_s: float = _setting(30.0, "no price for this long is an alarm", low=0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticSettings:
    """The made-up market of `feed.kind` synthetic: prices in volatility clusters, with jumps."""

    seed: int = _setting(20261121, "the same seed gives the same market")
    rate: float = _setting(5.0, "trades of each symbol a second, a quote before each", low=0.01, high=1_000.0)
    price: Decimal = _setting(Decimal(100), "price of a symbol that had none", low=Decimal("0.01"))
    volatility_bps: float = _setting(1.0, "standard deviation from trade to trade, long run", low=0.0, high=100.0)
    jump_rate: float = _setting(0.0005, "share of the trades at which the price jumps", low=0.0, high=1.0)
    jump_bps: float = _setting(30.0, "standard deviation of a jump", low=0.0, high=1_000.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """The source of `feed.kind` websocket: where it is, what its messages look like, how it may misbehave."""

    url: str | None = _secret("ws:// or wss:// address of the source")
    authorization: str | None = _secret("value of the Authorization header sent to the source")
    subscribe: str | None = _secret("JSON sent once connected; of an array each element is a message of its own")
    items: str = _setting("", "path to the list of messages in a frame, where they are not the frame itself")
    fields: tuple[str, ...] = _setting(
        SOURCE_FIELDS,
        "our name of a field = its path in a message (data.0.p); key names the sequence that seq numbers",
    )
    trade: str = _setting("trade", "what kind says of a trade")
    quote: str = _setting("quote", "what kind says of a quote")
    time_unit: str = _setting("rfc3339", "how ts is written", choices=TIME_UNITS)
    rename: tuple[str, ...] = _setting((), "the source's symbol = ours, comma separated")
    fill_url: str | None = _secret("where messages {first} to {last} of {key} are had again, by GET")
    fill_items: str = _setting(
        "", "path to the list of messages in such an answer, where they are not the answer itself"
    )
    handshake_s: float = _setting(10.0, "connecting may take", low=0.1)
    silence_s: float = _setting(60.0, "a connection that says nothing for this long is made anew", low=0.1)
    reorder_s: float = _setting(0.25, "a message may be overtaken for this long before it counts as missing", low=0.001)
    held_max: int = _setting(10_000, "messages held behind a gap before reading waits", low=10)
    max_message_bytes: int = _setting(1_048_576, "largest message", low=1024)
    pause_first_s: float = _setting(0.5, "longest pause after a first failure; it doubles with each", low=0.01)
    pause_max_s: float = _setting(30.0, "longest pause after many failures", low=0.01)
    failures_max: int = _setting(8, "failures in a row that make the source be left alone for a while", low=1)
    open_s: float = _setting(30.0, "it is left alone for this long, then tried once", low=0.1)
    fill_timeout_s: float = _setting(5.0, "one request for missing messages may take", low=0.1)
    fill_give_up_s: float = _setting(60.0, "missing messages are given up after", low=0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeSettings:
    """The exchange of `feed.kind` exchange, asked through ccxt (`pip install qsuite[exchange]`)."""

    name: str | None = _setting(None, "what ccxt calls the exchange, such as kraken")
    rename: tuple[str, ...] = _setting((), "the exchange's market = our symbol, such as BTC/USDT=BTCUSDT")
    url: str | None = _setting(None, "scheme and host in the place of the exchange's own, such as a test net's")
    config: str | None = _secret("JSON object handed to ccxt: keys, options")
    quotes: bool = _setting(True, "bring the top of the book beside the trades")
    poll_s: float = _setting(1.0, "pause between two rounds of requests", low=0.01)
    timeout_s: float = _setting(10.0, "one request may take", low=0.1)
    catch_up_s: float = _setting(86_400.0, "trades missed in a longer absence are left out", low=0.0)
    pause_first_s: float = _setting(0.5, "longest pause after a first failure; it doubles with each", low=0.01)
    pause_max_s: float = _setting(30.0, "longest pause after many failures", low=0.01)
    failures_max: int = _setting(8, "failures in a row that make it be left alone for a while", low=1)
    open_s: float = _setting(30.0, "it is left alone for this long, then tried once", low=0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class MongoSettings:
    """The connection, and the embedded server."""

    cache_gib: float = _setting(0.5, "cache of the embedded mongod", low=0.25)
    pool_size: int = _setting(32, "connections, and threads that wait on them", low=4, high=512)
    timeout_s: float = _setting(5.0, "bound of one database operation", low=0.1)
    admin_uri: str | None = _secret("address with an administrator's rights, for `qsuite migrate --grant` alone")
    grant_password: str | None = _secret("password that `qsuite migrate --grant` gives the user it makes")


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrateSettings:
    """Who brings the database up to date."""

    at_start: bool = _setting(True, "servers and commands do when they start; else only `qsuite migrate` does")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """The record of who did what, and the signed copies of where it ends."""

    heads_file: Path | None = _setting(
        None, "where signed heads of the audit chains are added; without one audit-heads.jsonl in the data directory"
    )
    heads_s: float = _setting(60.0, "where the chains end is signed and copied out this often", low=0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """What is logged, and how."""

    level: str = _setting("info", "least severe line shown", choices=("debug", "info", "warning", "error"))
    format: str = _setting("json", "one JSON object a line, or text for people", choices=("json", "console"))
    security_file: Path | None = _setting(
        None, "security events, one JSON object a line; without one security.jsonl in the data directory"
    )
    security_bytes: int = _setting(10_485_760, "size from which that file is begun anew", low=4096)
    security_files: int = _setting(9, "files of before that are kept beside it", low=1, high=1_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class TracingSettings:
    """Traces of single orders, for OpenTelemetry."""

    endpoint: str | None = _secret(
        "collector that takes OTLP over HTTP, such as http://collector:4318; without one nothing is traced"
    )
    ratio: float = _setting(1.0, "share of the requests that are traced", low=0.0, high=1.0)
    every_s: float = _setting(5.0, "what was traced is sent this often", low=0.05, high=60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SentrySettings:
    """Where errors of our own are told of, for Sentry."""

    dsn: str | None = _secret("address of the project in Sentry; without one nothing is sent")
    environment: str = _setting("", "environment shown there; the profile if empty")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything, frozen. ``load_settings`` makes one."""

    profile: str = _setting("local", "which config/<profile>.toml", choices=PROFILES)
    role: str = _setting("all", "all, or gateway: serves all but never takes the engine", choices=ROLES)
    host: str = _setting("127.0.0.1", "address to listen on")
    port: int = _setting(8000, "port to listen on, 0 for any", low=0, high=65_535)
    data_dir: Path = _setting(Path("data"), "where the embedded database and secrets are kept")
    mongodb_uri: str | None = _secret("database to use; without one an embedded mongod is started")
    database: str = _setting("qsuite", "name of the database")
    mongod: Path | None = _setting(None, "mongod binary for the embedded database")
    redis_url: str | None = _secret("Redis for several processes")
    plain_network: bool = _setting(
        False, "the network to MongoDB, Redis and other processes is closed to others: no TLS is asked for there"
    )
    secret_key: str | None = _secret("at least 32 characters; signs tokens; made on first start in the local profile")
    secret_keys_retired: tuple[str, ...] = _secret(
        "secrets of before, comma separated, while keys derived from them are in use", default=()
    )
    http: HttpSettings = field(default_factory=HttpSettings)
    forward: ForwardSettings = field(default_factory=ForwardSettings)
    auth: AuthSettings = field(default_factory=AuthSettings)
    throttle: ThrottleSettings = field(default_factory=ThrottleSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    trading: TradingSettings = field(default_factory=TradingSettings)
    risk: RiskSettings = field(default_factory=RiskSettings)
    workers: WorkerSettings = field(default_factory=WorkerSettings)
    signals: SignalSettings = field(default_factory=SignalSettings)
    stream: StreamSettings = field(default_factory=StreamSettings)
    market: MarketSettings = field(default_factory=MarketSettings)
    feed: FeedSettings = field(default_factory=FeedSettings)
    synthetic: SyntheticSettings = field(default_factory=SyntheticSettings)
    source: SourceSettings = field(default_factory=SourceSettings)
    exchange: ExchangeSettings = field(default_factory=ExchangeSettings)
    mongo: MongoSettings = field(default_factory=MongoSettings)
    migrate: MigrateSettings = field(default_factory=MigrateSettings)
    log: LogSettings = field(default_factory=LogSettings)
    audit: AuditSettings = field(default_factory=AuditSettings)
    tracing: TracingSettings = field(default_factory=TracingSettings)
    sentry: SentrySettings = field(default_factory=SentrySettings)


def load_settings(environ: Mapping[str, str] | None = None, *, dotenv: Path | None = Path(".env")) -> Settings:
    """Build the settings. SetupError names the first key that is unknown, malformed or out of bounds."""
    given: dict[str, str] = {}
    if dotenv is not None and dotenv.is_file():
        given.update({key: value for key, value in dotenv_values(dotenv).items() if value is not None})
    given.update(os.environ if environ is None else environ)
    env = {key[len(PREFIX) :].lower(): value for key, value in given.items() if key.startswith(PREFIX)}
    env = with_secret_files(env, _secret_names(), PREFIX)
    if given.get(OTLP_ENDPOINT):  # what all programs of a host are told
        env.setdefault("tracing__endpoint", given[OTLP_ENDPOINT])
    profile = env.pop("profile", "local")
    if profile not in PROFILES:
        raise SetupError(f"QSUITE_PROFILE is {profile!r}; it must be one of {', '.join(PROFILES)}")
    merged: dict[str, Any] = {"profile": profile}
    for name in ("default", profile):
        _merge(merged, tomllib.loads(profile_text(name)), f"config/{name}.toml")
    for key, value in env.items():
        _merge(merged, _nest(key.split("__"), value), "the environment")
    return _check(typing.cast(Settings, _build(Settings, merged, "")))


def profile_text(name: str) -> str:
    """Return the text of a shipped profile, from the checkout's config/ or the installed package's copy."""
    beside = Path(__file__).resolve().parent.parent / "config" / f"{name}.toml"
    if beside.is_file():
        return beside.read_text()
    return resources.files("qsuite_config").joinpath(f"{name}.toml").read_text()


def _check(settings: Settings) -> Settings:
    """Refuse what is unsafe, and what only makes sense together: a gateway without a database, slippage upside down."""
    refuse_unsafe(settings)
    if settings.role == "gateway" and settings.mongodb_uri is None:
        raise SetupError("role is gateway: set QSUITE_MONGODB_URI to the database of the process with the engine")
    if settings.http.advertise is not None and ADDRESS.fullmatch(settings.http.advertise) is None:
        raise SetupError("http.advertise is no address such as http://engine:8000: scheme, host and port, no path")
    if settings.trading.slippage_min_bps > settings.trading.slippage_max_bps:
        raise SetupError("trading.slippage_min_bps is above trading.slippage_max_bps")
    if settings.feed.kind != "off" and not settings.feed.symbols:
        raise SetupError(f"feed.kind is {settings.feed.kind}: set QSUITE_FEED__SYMBOLS to what it should bring")
    if settings.feed.kind == "exchange" and not settings.exchange.name:
        raise SetupError("feed.kind is exchange: set QSUITE_EXCHANGE__NAME to what ccxt calls it")
    if settings.feed.kind == "websocket" and not settings.source.url:
        raise SetupError("feed.kind is websocket: set QSUITE_SOURCE__URL to the source's address")
    return settings


def _secret_names(cls: Any = None, prefix: str = "") -> list[str]:
    """Return the names of the settings that hide their value, as the environment nests them."""
    cls = Settings if cls is None else cls
    kinds = typing.get_type_hints(cls)
    names = []
    for item in dataclasses.fields(cls):
        if dataclasses.is_dataclass(kinds[item.name]):
            names += _secret_names(kinds[item.name], f"{prefix}{item.name}__")
        elif item.metadata.get("secret"):
            names.append(prefix + item.name)
    return names


def _nest(path: list[str], value: str) -> dict[str, Any]:
    head, *rest = path
    return {head: _nest(rest, value) if rest else value}


def _merge(into: dict[str, Any], new: Mapping[str, Any], source: str) -> None:
    for key, value in new.items():
        if isinstance(value, Mapping):
            section = into.setdefault(key, {})
            if not isinstance(section, dict):
                raise SetupError(f"{key} in {source} is not a section")
            _merge(section, value, source)
        else:
            into[key] = value


def _build(cls: Any, raw: Mapping[str, Any], prefix: str) -> Any:
    hints = typing.get_type_hints(cls)
    fields = {item.name: item for item in dataclasses.fields(cls)}
    for key in raw:
        if key not in fields:
            raise SetupError(f"unknown setting {prefix + key} ({PREFIX}{(prefix + key).replace('.', '__').upper()})")
    values: dict[str, Any] = {}
    for key, value in raw.items():
        kind = hints[key]
        if dataclasses.is_dataclass(kind):
            if not isinstance(value, Mapping):
                raise SetupError(f"{prefix}{key} is a section, not a value")
            values[key] = _build(kind, value, f"{prefix}{key}.")
        else:
            values[key] = _value(kind, value, fields[key], prefix + key)
    return cls(**values)


def _value(kind: Any, raw: Any, item: "dataclasses.Field[Any]", name: str) -> Any:
    try:
        value = _cast(kind, raw)
    except (ValueError, TypeError) as error:
        shown = "" if item.metadata.get("secret") else f" {raw!r}"
        raise SetupError(f"setting {name}{shown}: {error}") from None
    low, high, choices = (item.metadata.get(key) for key in ("low", "high", "choices"))
    if choices and value not in choices:
        raise SetupError(f"setting {name} must be one of {', '.join(map(str, choices))}, not {value!r}")
    if value is OFF:
        return value
    if (low is not None and value < low) or (high is not None and value > high):
        raise SetupError(f"setting {name} must be between {low} and {high if high is not None else 'any'}, not {value}")
    return value


def _cast(kind: Any, raw: Any) -> Any:
    if kind == Figure:  # nothing but the word switches a control off: an empty value is a mistake
        return OFF if raw == OFF.value else _cast(Decimal, raw)
    if kind == Limit:
        return OFF if raw == OFF.value else parse_rate(str(raw))
    if isinstance(kind, types.UnionType):  # the optional ones: X | None
        return None if raw in (None, "") else _cast(typing.get_args(kind)[0], raw)
    if kind is bool:
        return _cast_bool(raw)
    if kind is Decimal:
        return parse_decimal(str(raw) if isinstance(raw, float) else raw)
    if kind is Path:
        return Path(str(raw)).expanduser()
    if kind is str:
        return str(raw)
    if typing.get_origin(kind) is tuple:
        parts = raw.split(",") if isinstance(raw, str) else raw
        return tuple(str(part).strip() for part in parts if str(part).strip())
    return _cast_number(kind, raw)


def _cast_number(kind: Any, raw: Any) -> Any:
    """Read an int or a float. NaN and infinities are none: they would pass any bound."""
    what = "an integer" if kind is int else "a finite number"
    if isinstance(raw, bool) or (kind is int and isinstance(raw, float)):
        raise ValueError(f"not {what}")
    if isinstance(raw, str) and not (raw.isascii() and "_" not in raw):
        raise ValueError(f"not {what}")
    try:
        value = kind(raw)
    except (ValueError, OverflowError):
        raise ValueError(f"not {what}") from None
    if not math.isfinite(value):
        raise ValueError(f"not {what}")
    return value


def _cast_bool(raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    word = str(raw).lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    raise ValueError("not true or false")
