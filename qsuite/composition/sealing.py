"""Sealing: what moves past ticks into blocks, beside the engine."""

from qsuite.composition.market import Market
from qsuite.composition.trading import Trading
from qsuite.repos.database import Database
from qsuite.services.tick_sealer import TickSealer
from qsuite.settings import MarketSettings


def make_sealer(*, settings: MarketSettings, database: Database, market: Market, trading: Trading) -> TickSealer | None:
    """Make the loop that seals; None where nothing is to be sealed, or blocks cannot be kept."""
    if not (database.transactions and settings.ticks_sealed_after_s):
        return None
    return TickSealer(
        market.ticks,
        lambda: [ticker.symbol for ticker in market.reference.tickers()],
        after_s=settings.ticks_sealed_after_s,
        kept_days=settings.ticks_kept_days,
        leading=lambda: trading.engine.active,
    )
