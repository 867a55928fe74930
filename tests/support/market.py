"""A live market for tests: the real service over a real database, with a stream that writes down what it is told."""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from qsuite.domain.market import Quote, Trade
from qsuite.domain.roles import Caller
from qsuite.domain.times import NS_PER_S
from qsuite.repos import data_sources, imports, market_data, tick_blocks, tick_seals, tickers, ticks
from qsuite.repos.audit_access import AuditAccessRepo
from qsuite.repos.data_sources import DataSourcesRepo
from qsuite.repos.database import Database
from qsuite.repos.market_data import MarketDataRepo
from qsuite.repos.schema import migrate
from qsuite.repos.tickers import TickersRepo
from qsuite.repos.ticks import TicksRepo
from qsuite.services.audit_trail import AuditTrail
from qsuite.services.market_data import MarketDataService
from qsuite.services.price_marks import PriceMarks
from qsuite.services.reference import ReferenceService
from qsuite.settings import MarketSettings

SPECS = (
    data_sources.SPEC,
    tickers.SPEC,
    market_data.SPEC,
    ticks.SPEC,
    tick_blocks.SPEC,
    tick_seals.SPEC,
    imports.SPEC,
)


class WrittenDown:
    """A stream on which somebody listens to everything."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self.sources: dict[str, Callable[[Caller, str], Awaitable[list[dict[str, Any]]]]] = {}

    def publish(self, channel: str, message: dict[str, Any]) -> None:
        self.messages.append((channel, message))

    def wanted(self, channel: str) -> bool:
        return True

    def snapshot_source(self, prefix: str, source: Callable[[Caller, str], Awaitable[list[dict[str, Any]]]]) -> None:
        self.sources[prefix] = source

    def on(self, channel: str) -> list[dict[str, Any]]:
        return [message for name, message in self.messages if name == channel]


@dataclass
class Clock:
    """A clock that stands until it is moved."""

    now: int

    def __call__(self) -> int:
        return self.now


@dataclass
class Parts:
    """What a market is made of."""

    database: Database
    clock: Clock
    stream: WrittenDown = field(default_factory=WrittenDown)

    def __post_init__(self) -> None:
        self.ticks = TicksRepo(self.database)
        self.market_data = MarketDataRepo(self.database)
        self.reference = ReferenceService(
            tickers=TickersRepo(self.database),
            data_sources=DataSourcesRepo(self.database),
            new_id=uuid.uuid4,
            trail=AuditTrail(AuditAccessRepo(self.database)),
            clock=self.clock,
        )
        self.market = MarketDataService(
            settings=MarketSettings(),
            ticks=self.ticks,
            market_data=self.market_data,
            reference=self.reference,
            stream=self.stream,
            marks=PriceMarks(jump=Decimal("0.10"), stale_ns=30 * NS_PER_S, in_book=lambda _: False),
            clock=self.clock,
        )


async def open_market(database: Database, now: int, *symbols: str) -> Parts:
    """Migrate, make tickers, start."""
    await migrate(database, SPECS)
    parts = Parts(database, Clock(now))
    await parts.reference.start()
    for symbol in symbols:
        await parts.reference.ensure_ticker(symbol, {"name": symbol})
    await parts.market.start()
    return parts


def trade(ts_ns: int, price: str = "181.52", size: str = "100", seq: int = 0, symbol: str = "IBM") -> Trade:
    """Make a trade."""
    return Trade(symbol, ts_ns, Decimal(price), Decimal(size), seq)


def quote(ts_ns: int, bid: str | None, ask: str | None, seq: int = 0, symbol: str = "IBM") -> Quote:
    """Make a quote of 300 each side."""
    sizes = [None if side is None else Decimal(300) for side in (bid, ask)]
    sides = [None if side is None else Decimal(side) for side in (bid, ask)]
    return Quote(symbol, ts_ns, sides[0], sides[1], sizes[0], sizes[1], seq)
