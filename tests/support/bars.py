"""Tickers with a past: stored daily bars whose closes and volumes a test chooses."""

import itertools
import time
import uuid
from decimal import Decimal

from qsuite.domain.analytics.signals import BarSeries
from qsuite.domain.market import Bar
from qsuite.domain.market_record import MarketRecord
from qsuite.domain.times import DAY_NS, floor_ms
from qsuite.repos.market_data import MarketDataRepo
from tests.support.running_app import Api

_NUMBERS = itertools.count(1)


def new_symbol() -> str:
    """Return a symbol that no other test uses."""
    return f"SIG{next(_NUMBERS)}"


async def symbol_with(api: Api, series: BarSeries, *, days_ago: int = 1) -> str:
    """Make a ticker with daily bars of these closes, the last of them that many days ago; return its symbol."""
    symbol = new_symbol()
    ticker = await api.services.reference.ensure_ticker(symbol, {"name": symbol})
    last = time.time_ns() // DAY_NS * DAY_NS - days_ago * DAY_NS
    now = floor_ms(time.time_ns())
    records = [
        MarketRecord(id=uuid.uuid4(), ticker=ticker.id, bar=bar, created_at=now, updated_at=now)
        for bar in bars_of(symbol, series, last)
    ]
    await MarketDataRepo(api.database).add_new(records)
    return symbol


def bars_of(symbol: str, series: BarSeries, last_ns: int) -> list[Bar]:
    """Return daily bars of these closes that end with the one starting at ``last_ns``."""
    first_ns = last_ns - (len(series.closes) - 1) * DAY_NS
    made = []
    for place, (close, volume) in enumerate(zip(series.closes, series.volumes, strict=True)):
        price = Decimal(f"{close:.4f}")
        bar = Bar(symbol, "1d", first_ns + place * DAY_NS, price, price, price, price, Decimal(f"{volume:.2f}"))
        made.append(bar)
    return made
