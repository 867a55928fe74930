"""The market: tickers and their sessions, ticks and bars, the stream that shows them, other processes' ticks."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from qsuite.domain.times import NS_PER_S
from qsuite.repos.data_sources import DataSourcesRepo
from qsuite.repos.database import Database
from qsuite.repos.market_data import MarketDataRepo
from qsuite.repos.processes import ProcessesRepo
from qsuite.repos.tick_feed import TickFeed
from qsuite.repos.tickers import TickersRepo
from qsuite.repos.ticks import TicksRepo
from qsuite.services.audit_trail import AuditTrail
from qsuite.services.auth import AuthService
from qsuite.services.downloads import Downloads
from qsuite.services.market_data import MarketDataService
from qsuite.services.market_records import MarketRecords
from qsuite.services.neighbours import ForeignTicks, Neighbours
from qsuite.services.price_history import PriceHistory
from qsuite.services.price_marks import PriceMarks
from qsuite.services.quoted_trades import QuotedTrades
from qsuite.services.reference import ReferenceService
from qsuite.services.sessions import TradingSessions
from qsuite.services.stream import StreamHub
from qsuite.services.tick_ingest import TickIngest
from qsuite.services.workers import WorkerPool
from qsuite.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """What knows prices. ``neighbours`` and ``foreign`` are there where other processes may share the database."""

    ticks: TicksRepo
    bars: MarketDataRepo
    sessions: TradingSessions
    reference: ReferenceService
    stream: StreamHub
    data: MarketDataService
    records: MarketRecords
    history: PriceHistory
    ingest: TickIngest
    quoted_trades: QuotedTrades
    downloads: Downloads
    neighbours: Neighbours | None
    foreign: ForeignTicks | None


def make_market(
    *,
    settings: Settings,
    database: Database,
    auth: AuthService,
    trail: AuditTrail,
    workers: WorkerPool,
    new_id: Callable[[], UUID],
    clock: Callable[[], int],
) -> Market:
    """Make what takes prices in, keeps them and shows them."""
    process = new_id()
    feed = TickFeed(database, process) if database.transactions else None
    ticks, bars = TicksRepo(database, feed), MarketDataRepo(database)
    sessions = TradingSessions(workers.run, clock=clock)
    reference = ReferenceService(
        tickers=TickersRepo(database),
        data_sources=DataSourcesRepo(database),
        new_id=new_id,
        trail=trail,
        calendars=sessions,
        currency=settings.trading.currency,
        clock=clock,
    )
    stream = StreamHub(
        settings=settings.stream,
        auth=auth,
        known_symbol=lambda symbol: reference.ticker(symbol) is not None,
        clock=clock,
    )
    data = MarketDataService(
        settings=settings.market,
        ticks=ticks,
        market_data=bars,
        reference=reference,
        stream=stream,
        marks=make_marks(settings, reference),
        clock=clock,
    )
    return Market(
        ticks=ticks,
        bars=bars,
        sessions=sessions,
        reference=reference,
        stream=stream,
        data=data,
        records=MarketRecords(repo=bars, reference=reference, new_id=new_id, trail=trail, clock=clock),
        history=PriceHistory(database=database, ticks=ticks, market_data=bars, clock=clock),
        ingest=TickIngest(market=data, reference=reference),
        quoted_trades=QuotedTrades(database, ticks),
        downloads=Downloads(settings.http.max_downloads),
        neighbours=None if feed is None else Neighbours(ProcessesRepo(database, process), feed, data),
        foreign=None if feed is None else ForeignTicks(feed, data),
    )


def make_marks(settings: Settings, reference: ReferenceService) -> PriceMarks:
    """Make what marks prices, by the figures of the profile."""
    suspect, stale = settings.risk.reference_suspect, settings.risk.reference_stale
    stale_s = stale if isinstance(stale, Decimal) else Decimal(settings.feed.stale_s)

    def in_book(symbol: str) -> bool:
        ticker = reference.ticker(symbol)
        return ticker is not None and ticker.execution_mode == "book"

    return PriceMarks(
        jump=suspect if isinstance(suspect, Decimal) else None, stale_ns=int(stale_s * NS_PER_S), in_book=in_book
    )
