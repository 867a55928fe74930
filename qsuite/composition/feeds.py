"""The feed: what brings live prices by itself, if something is configured, and the watch over all that bring some."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qsuite.composition.market import Market
from qsuite.composition.trading import Trading
from qsuite.domain.errors import SetupError
from qsuite.repos.database import Database
from qsuite.repos.feed_positions import FeedPositionsRepo
from qsuite.services.feeds.synthetic_feed import SyntheticFeed
from qsuite.services.feeds.watch import FeedWatch
from qsuite.settings import FeedSettings, Settings

if TYPE_CHECKING:
    from qsuite.services.feeds.exchange_feed import ExchangeFeed
    from qsuite.services.feeds.stream_feed import StreamFeed


@dataclass(frozen=True, slots=True, kw_only=True)
class Feeds:
    """At most one of the feeds is there, and always the watch."""

    synthetic: SyntheticFeed | None
    stream: "StreamFeed | None"
    exchange: "ExchangeFeed | None"
    watch: FeedWatch


def make_feeds(
    *, settings: Settings, database: Database, market: Market, trading: Trading, clock: Callable[[], int]
) -> Feeds:
    """Make the configured feed. SetupError for settings that make no sense."""
    feed = settings.feed
    _check_symbols(feed)

    def leading() -> bool:
        return trading.engine.leading

    synthetic = stream = exchange = None
    if feed.kind == "synthetic":
        synthetic = SyntheticFeed(
            settings=feed,
            synthetic=settings.synthetic,
            market=market.data,
            reference=market.reference,
            leading=leading,
        )
    elif feed.kind == "websocket":
        from qsuite.services.feeds.stream_feed import StreamFeed  # with it comes what reads files: not at every start

        stream = StreamFeed(
            settings=settings.source,
            symbols=feed.symbols,
            market=market.data,
            reference=market.reference,
            positions=FeedPositionsRepo(database),
            ticks=market.ticks,
            leading=leading,
            uniform=random.Random().random,
        )
    elif feed.kind == "exchange":
        from qsuite.services.feeds.exchange_feed import ExchangeFeed

        exchange = ExchangeFeed(
            settings=settings.exchange,
            symbols=feed.symbols,
            market=market.data,
            reference=market.reference,
            ticks=market.ticks,
            leading=leading,
            uniform=random.Random().random,
        )
    watch = FeedWatch(
        market=market.data,
        stale_s=feed.stale_s,
        clock=clock,
        playing=lambda: feed.kind != "off" and leading(),
        source=stream or exchange,
    )
    return Feeds(synthetic=synthetic, stream=stream, exchange=exchange, watch=watch)


def _check_symbols(feed: FeedSettings) -> None:
    if not feed.symbols:
        return
    from qsuite.services.files.rows import read_symbol

    for symbol in feed.symbols:
        try:
            read_symbol(symbol)
        except ValueError:
            raise SetupError(f"feed.symbols: {symbol!r} is not a symbol") from None
    if len(set(feed.symbols)) < len(feed.symbols):
        raise SetupError("feed.symbols names a symbol twice")
