"""The made-up market live: through the same door as every other tick, and into storage."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from qsuite.domain.errors import SetupError
from qsuite.domain.market import Quote, Tick, Trade
from qsuite.domain.times import NS_PER_S, parse_rfc3339
from qsuite.repos.database import Database
from qsuite.repos.ticks import TickQuery
from qsuite.services.feeds.synthetic_feed import CATCH_UP_NS, SyntheticFeed
from qsuite.settings import FeedSettings, Settings, SyntheticSettings
from tests.support.market import Parts, open_market, trade
from tests.support.running_app import running_api
from tests.support.waiting import eventually

NOW = parse_rfc3339("2026-11-21T14:30:00Z")
FEED = FeedSettings(kind="synthetic", symbols=("ALPHA", "BETA"))


def feed_of(parts: Parts, *, leading: bool = True, rate: float = 100.0) -> SyntheticFeed:
    return SyntheticFeed(
        settings=FEED,
        synthetic=SyntheticSettings(rate=rate),
        market=parts.market,
        reference=parts.reference,
        leading=lambda: leading,
    )


async def play(parts: Parts, feed: SyntheticFeed, seconds: float = 1.0) -> list[Tick]:
    """Play on in rounds of 20 ms and return what came."""
    came: list[Tick] = []
    parts.market.on_ticks(came.extend)
    for now in range(parts.clock.now, parts.clock.now + int(seconds * NS_PER_S) + 1, NS_PER_S // 50):
        parts.clock.now = now
        await feed.run_once(now)
    return came


async def test_every_tick_is_the_market_when_it_is_due_and_then_stored(database: Database) -> None:
    parts = await open_market(database, NOW)
    came = await play(parts, feed_of(parts))
    assert [tick.ts_ns for tick in came] == sorted(tick.ts_ns for tick in came)
    assert all(NOW <= tick.ts_ns <= parts.clock.now for tick in came)
    for symbol in FEED.symbols:
        assert parts.reference.require(symbol).tick_size == Decimal("0.01")
        own = [tick for tick in came if tick.symbol == symbol]
        assert 198 <= len(own) <= 200
        await parts.market.stored()
        assert await parts.ticks.read(TickQuery(symbol), 1_000) == own


async def test_the_same_settings_give_the_same_market_on_another_empty_database(
    database: Database, memory_database: Database
) -> None:
    markets = []
    for each, start in ((database, NOW), (memory_database, NOW + 77 * NS_PER_S)):
        parts = await open_market(each, start)
        came = await play(parts, feed_of(parts), 0.5)
        markets.append([tick._replace(ts_ns=tick.ts_ns - start, seq=0) for tick in came])
    assert markets[0] == markets[1]


async def test_after_a_restart_the_price_goes_on_from_where_it_was(database: Database) -> None:
    parts = await open_market(database, NOW)
    await parts.reference.ensure_ticker("ALPHA", {"name": "ALPHA"})
    await parts.market.publish([trade(NOW - NS_PER_S, "250.00", symbol="ALPHA")])
    came = await play(parts, feed_of(parts), 0.2)
    prices = {symbol: [t.price for t in came if isinstance(t, Trade) and t.symbol == symbol] for symbol in FEED.symbols}
    assert all(abs(price - 250) < 5 for price in prices["ALPHA"])
    assert all(abs(price - 100) < 2 for price in prices["BETA"])


async def test_only_the_process_with_the_engine_plays(database: Database) -> None:
    parts = await open_market(database, NOW)
    assert await play(parts, feed_of(parts, leading=False)) == []
    assert parts.reference.tickers() == []


async def test_after_a_silence_it_goes_on_from_now(database: Database) -> None:
    parts = await open_market(database, NOW)
    feed = feed_of(parts)
    await play(parts, feed, 0.1)
    parts.clock.now += 3_600 * NS_PER_S
    woken_ns = parts.clock.now
    came = await play(parts, feed, 0.1)
    assert 0 < len(came) < 100
    assert all(tick.ts_ns > woken_ns - CATCH_UP_NS for tick in came)


async def test_many_trades_at_once_come_in_order_and_none_is_left_out(database: Database) -> None:
    parts = await open_market(database, NOW)
    feed = feed_of(parts, rate=1_000.0)
    came: list[Tick] = []
    parts.market.on_ticks(came.extend)
    await feed.run_once(NOW)
    await feed.run_once(NOW + NS_PER_S)
    for symbol in FEED.symbols:
        own = [tick for tick in came if tick.symbol == symbol]
        assert len(own) == 2_000
        assert [tick.ts_ns for tick in own] == sorted(tick.ts_ns for tick in own)
        assert [tick.seq for tick in own] == list(range(own[0].seq, own[0].seq + len(own)))


async def test_a_server_with_the_setting_has_a_market_to_trade_in(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    settings = replace(settings, feed=FEED, synthetic=SyntheticSettings(rate=50.0))
    async with running_api(settings, database, tmp_path) as api:
        quote = await eventually(lambda: api.services.market.snapshot("ALPHA").quote)
        assert isinstance(quote, Quote)
        health = await api.anonymous.get("/health")
        assert health.json["services"]["feed"] == "up"
        order = {"symbol": "ALPHA", "side": "BUY", "order_type": "MARKET", "quantity": "1"}
        placed = await api.trader.post("/api/v1/orders/", order)
        assert (placed.status, placed.json["status"]) == (201, "FILLED")
        latest = await api.viewer.get("/api/v1/tickers/BETA/latest_price/")
        assert latest.status == 200
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "loop:synthetic_feed"]


@pytest.mark.parametrize("symbols", [("A B",), ("ALPHA", "ALPHA"), ("*",)])
async def test_what_is_no_symbol_stops_the_start(
    database: Database, settings: Settings, tmp_path: Path, symbols: tuple[str, ...]
) -> None:
    settings = replace(settings, feed=replace(FEED, symbols=symbols))
    with pytest.raises(SetupError, match=r"feed\.symbols"):
        async with running_api(settings, database, tmp_path):
            pass
