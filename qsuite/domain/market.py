"""What a market says: trades, quotes and bars.

    tick    one event of a market: a trade or a quote
    trade   a price and size at which something changed hands
    quote   the best bid and ask at an instant; either side may be missing
    bar     open, high, low, close and volume of one interval, stamped with the interval's START

Times are ``ts_ns``: nanoseconds since the epoch, UTC. Ticks of one symbol are ordered by ``(ts_ns, seq)``.
"""

from decimal import Decimal
from typing import NamedTuple


class Trade(NamedTuple):
    """One trade print."""

    symbol: str
    ts_ns: int
    price: Decimal
    size: Decimal
    seq: int = 0


class Quote(NamedTuple):
    """The best bid and offer; a side nobody quotes is None."""

    symbol: str
    ts_ns: int
    bid: Decimal | None
    ask: Decimal | None
    bid_size: Decimal | None = None
    ask_size: Decimal | None = None
    seq: int = 0


Tick = Trade | Quote

TRADE = "trade"
QUOTE = "quote"


def kind_of(tick: Tick) -> str:
    """Name a tick's kind, as documents and answers do."""
    return TRADE if isinstance(tick, Trade) else QUOTE


class Bar(NamedTuple):
    """One interval's summary; ``vwap`` and ``trades`` are None where the source does not give them."""

    symbol: str
    interval: str
    ts_ns: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    vwap: Decimal | None = None
    trades: int | None = None
    adjusted_close: Decimal | None = None
    final: bool = True


class Snapshot(NamedTuple):
    """What is known of a symbol's market now: the last trade and the last quote, each None before the first."""

    trade: Trade | None = None
    quote: Quote | None = None

    def then(self, tick: Tick) -> "Snapshot":
        """Return what is known after a further tick."""
        return Snapshot(tick, self.quote) if isinstance(tick, Trade) else Snapshot(self.trade, tick)


NO_MARKET = Snapshot()
