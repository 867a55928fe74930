"""The feed: what brings live prices by itself, if one is configured."""

from qsuite.composition.market import Market
from qsuite.composition.trading import Trading
from qsuite.domain.errors import SetupError
from qsuite.services.engine_jobs import EngineState
from qsuite.services.feeds.synthetic_feed import SyntheticFeed
from qsuite.services.files.rows import read_symbol
from qsuite.settings import FeedSettings, Settings


def make_feed(*, settings: Settings, market: Market, trading: Trading) -> SyntheticFeed | None:
    """Make the configured feed. SetupError for symbols that cannot be any."""
    if settings.feed.kind == "off":
        return None
    _check_symbols(settings.feed)
    return SyntheticFeed(
        settings=settings.feed,
        synthetic=settings.synthetic,
        market=market.data,
        reference=market.reference,
        leading=lambda: trading.engine.state is EngineState.ACTIVE,
    )


def _check_symbols(feed: FeedSettings) -> None:
    for symbol in feed.symbols:
        try:
            read_symbol(symbol)
        except ValueError:
            raise SetupError(f"feed.symbols: {symbol!r} is not a symbol") from None
    if len(set(feed.symbols)) < len(feed.symbols):
        raise SetupError("feed.symbols names a symbol twice")
