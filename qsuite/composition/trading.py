"""Trading: the engine with its storage, memory and rules, and who hears what it made durable.

    market ──ticks──> engine with its reference tape, depth
    engine ──what is durable──> book market, stream, depth

Each hears in the order in which it is made here.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from uuid import UUID

from qsuite.composition.market import Market
from qsuite.domain.listing import Condition, Listing
from qsuite.domain.strategies import Strategy
from qsuite.domain.trading.audit import Chain
from qsuite.domain.trading.order import OPEN
from qsuite.domain.trading.risk import LimitBook, Limits, ReferenceTape
from qsuite.domain.trading.state import TradingState
from qsuite.repos.accounts import AccountsRepo
from qsuite.repos.database import Database
from qsuite.repos.engine_store import EngineStore, OnlookersStore
from qsuite.repos.executions import ExecutionsRepo
from qsuite.repos.journal import Journal
from qsuite.repos.memory_engine_store import MemoryEngineStore
from qsuite.repos.orders import OrdersRepo
from qsuite.repos.positions import PositionsRepo
from qsuite.services.book_market import BookMarket
from qsuite.services.canonical import canonical_json
from qsuite.services.depth import DepthService
from qsuite.services.engine import TradingEngine
from qsuite.services.fill_rules import rules_from
from qsuite.services.follower import Follower
from qsuite.services.market_values import MarketValues
from qsuite.services.reference import ReferenceService
from qsuite.services.stream import StreamHub
from qsuite.services.tracing import Traces
from qsuite.services.trading import TradingService
from qsuite.services.trading_stream import CHANNEL_OF, TradingStream
from qsuite.settings import RiskSettings, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Trading:
    """What takes orders; ``limits`` are the profile's, which hold where nobody set others."""

    limits: Limits
    engine: TradingEngine
    orders: OrdersRepo
    positions: PositionsRepo
    book_market: BookMarket
    values: MarketValues
    service: TradingService
    depth: DepthService


def make_trading(
    *,
    settings: Settings,
    database: Database,
    store: EngineStore | None,
    market: Market,
    accounts: AccountsRepo,
    strategy: Callable[[UUID], Strategy | None],
    traces: Traces | None,
    new_id: Callable[[], UUID],
    clock: Callable[[], int],
) -> Trading:
    """Make the engine and what speaks for it; ``store`` takes the place of the database's own."""
    limits = limits_from(settings.risk)
    engine = TradingEngine(
        store=store or make_store(settings, database),
        new_state=state_maker(settings, limits, market=market, strategy=strategy, new_id=new_id, clock=clock),
        settings=settings.engine,
        clock=clock,
        follower=make_follower(database, market.stream) if database.transactions else None,
        traces=traces,
    )
    book_market = BookMarket(market.data.publish, clock)
    engine.listen(book_market.heard)
    market.data.on_ticks(lambda ticks: engine.on_ticks(ticks, market.data.before))
    orders, executions, positions = OrdersRepo(database), ExecutionsRepo(database), PositionsRepo(database)
    values = MarketValues(market.data, clock)
    service = TradingService(
        engine=engine,
        orders=orders,
        executions=executions,
        accounts=accounts,
        positions=positions,
        values=values,
        new_id=new_id,
    )
    stream = TradingStream(
        trading=service,
        orders=orders,
        executions=executions,
        values=values,
        stream=market.stream,
        settled=engine.settled,
    )
    engine.listen(stream.heard)
    protect_tickers(market.reference, orders, engine)
    depth = make_depth(engine=engine, orders=orders, market=market, clock=clock)
    return Trading(
        limits=limits,
        engine=engine,
        orders=orders,
        positions=positions,
        book_market=book_market,
        values=values,
        service=service,
        depth=depth,
    )


def limits_from(settings: RiskSettings) -> Limits:
    """Read the configured limits."""
    return Limits(**{item.name: getattr(settings, item.name) for item in fields(Limits)})


def make_store(settings: Settings, database: Database) -> EngineStore:
    """Make the engine's storage, as far as the database can give it; a gateway's engine stands by for ever."""
    kind = EngineStore if database.transactions else MemoryEngineStore
    if settings.role == "gateway":
        kind = OnlookersStore
    return kind(database, lease_s=settings.engine.lease_s, commit_timeout_s=settings.engine.commit_timeout_s)


def make_follower(database: Database, stream: StreamHub) -> Follower:
    """Make what tells subscribers of another process's orders while this one stands by."""
    return Follower(Journal(database), owners=stream.registry.private_owners, cut_off=stream.cut_off)


def state_maker(
    settings: Settings,
    limits: Limits,
    *,
    market: Market,
    strategy: Callable[[UUID], Strategy | None],
    new_id: Callable[[], UUID],
    clock: Callable[[], int],
) -> Callable[[], TradingState]:
    """Return what makes an empty memory; all of them look at one market and one tape of reference prices."""
    rules, tape = rules_from(settings.trading), ReferenceTape()
    return lambda: TradingState(
        limits=LimitBook(limits),
        rules=rules,
        ticker=market.reference.ticker,
        market=market.data.snapshot,
        reference=tape.look,
        see=lambda tick: tape.see(tick, clock()),
        strategy=strategy,
        sessions=market.sessions,
        new_id=new_id,
        chain=Chain(canonical=canonical_json),
        heard=lambda account, kind: market.stream.wanted_private(account, CHANNEL_OF[kind]),
    )


def protect_tickers(reference: ReferenceService, orders: OrdersRepo, engine: TradingEngine) -> None:
    """Let a ticker stay while it has orders, and its terms while one of them is open."""

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


def make_depth(*, engine: TradingEngine, orders: OrdersRepo, market: Market, clock: Callable[[], int]) -> DepthService:
    """Make what shows the depth of books, and let it hear of orders and quotes."""
    depth = DepthService(
        engine=engine,
        orders=orders,
        market=market.data,
        reference=market.reference,
        stream=market.stream,
        clock=clock,
    )
    engine.listen(depth.heard)
    market.data.on_ticks(depth.quoted)
    return depth
