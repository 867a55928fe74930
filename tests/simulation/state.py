"""The engine's memory as the simulated processes make it: real rules, two markets and a book, limits that are met."""

from collections.abc import Callable
from decimal import Decimal
from uuid import UUID

from qsuite.domain.market import Snapshot
from qsuite.domain.reference import Ticker
from qsuite.domain.trading.paper import FillRules
from qsuite.domain.trading.risk import OFF, LimitBook, Limits, ReferencePrice
from qsuite.domain.trading.state import TradingState

PAPER = ("ALPHA", "BETA")
BOOK = "GAMMA"
FAR_OFF = "BETA"
SYMBOLS = (*PAPER, BOOK)
TICKERS = {
    "ALPHA": Ticker(id=UUID(int=1), symbol="ALPHA", name="paper"),
    "BETA": Ticker(id=UUID(int=2), symbol="BETA", name="paper, some way off", fill={"latency_ms": "20"}),
    "GAMMA": Ticker(id=UUID(int=3), symbol="GAMMA", name="a book among users", execution_mode="book"),
}

LIMITS = Limits(
    max_quantity=Decimal(200),
    position_limit=Decimal(300),
    short_sale=True,
    price_collar_window=OFF,
    reference_suspect=OFF,
)


def new_state(market: dict[str, Snapshot], new_id: Callable[[], UUID]) -> TradingState:
    """Make an empty memory that looks at this market."""
    return TradingState(
        limits=LimitBook(LIMITS),
        reference=lambda symbol: ReferencePrice(),
        rules=FillRules(),
        ticker=TICKERS.get,
        market=lambda symbol: market.get(symbol, Snapshot()),
        new_id=new_id,
    )
