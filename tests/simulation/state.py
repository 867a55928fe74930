"""The engine's memory as the simulated processes make it: real rules, two symbols, limits that are met at times."""

from collections.abc import Callable
from decimal import Decimal
from uuid import UUID

from qsuite.domain.market import Snapshot
from qsuite.domain.reference import Ticker
from qsuite.domain.trading.paper import FillRules
from qsuite.domain.trading.risk import Limits
from qsuite.domain.trading.state import TradingState

SYMBOLS = ("ALPHA", "BETA")
TICKERS = {symbol: Ticker(id=UUID(int=number), symbol=symbol, name=symbol) for number, symbol in enumerate(SYMBOLS)}


def new_state(market: dict[str, Snapshot], new_id: Callable[[], UUID]) -> TradingState:
    """Make an empty memory that looks at this market."""
    return TradingState(
        limits=Limits(max_quantity=Decimal(200), position_limit=Decimal(300)),
        rules=FillRules(),
        ticker=TICKERS.get,
        market=lambda symbol: market.get(symbol, Snapshot()),
        new_id=new_id,
    )
