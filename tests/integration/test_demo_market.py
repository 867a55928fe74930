"""The demo: real days loaded once, and a live market that stays inside them."""

import csv
import gzip
import uuid
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from qsuite.domain.market import Bar, Quote, Trade
from qsuite.domain.times import DAY_NS, NS_PER_S, parse_rfc3339
from qsuite.repos.database import Database
from qsuite.repos.market_data import BarQuery
from qsuite.services.demo_market import NAMES, YIELD_NS, DemoMarket, load_demo, read_demo_bars
from qsuite.settings import MarketSettings
from tests.support.market import Parts, open_market, trade

pytest.importorskip("bokeh_sampledata")

NOW = parse_rfc3339("2026-11-21T14:30:00Z")
SESSION_S = 390  # six and a half hours at sixty times the speed
SETTINGS = MarketSettings()


ALL: dict[str, list[Bar]] = {}


@pytest.fixture(scope="module", autouse=True)
def _read() -> None:
    ALL.update(read_demo_bars())


def history(days: int = 3) -> dict[str, list[Bar]]:
    return {symbol: bars[-days:] for symbol, bars in ALL.items()}


async def playing(database: Database, **more: Any) -> tuple[Parts, DemoMarket]:
    parts = await open_market(database, NOW, *NAMES)
    demo = DemoMarket(settings=SETTINGS, market=parts.market, reference=parts.reference, bars=history(), **more)
    return parts, demo


async def test_the_days_are_the_real_ones(shared_data: Path) -> None:
    with gzip.open(shared_data / "daily" / "us_equities_wiki_daily.csv.gz", "rt") as file:
        published = [tuple(row.values()) for row in csv.DictReader(file) if row["symbol"] in NAMES]
    ours = [
        (bar.symbol, bar.ts_ns, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.adjusted_close)
        for bars in ALL.values()
        for bar in bars
    ]
    assert ours == [
        (symbol, parse_rfc3339(f"{date}T00:00:00Z"), *map(Decimal, figures)) for symbol, date, *figures in published
    ]
    assert len(ours) == 11_958


async def test_loading_stores_everything_once_and_reports_progress(database: Database) -> None:
    parts = await open_market(database, NOW)
    told: list[tuple[int, int]] = []
    first = await load_demo(
        parts.reference, parts.market_data, new_id=uuid.uuid4, progress=lambda done, total: told.append((done, total))
    )
    again = await load_demo(parts.reference, parts.market_data, new_id=uuid.uuid4)
    assert first == (11_958, 0, 0)
    assert again == (0, 11_958, 0)
    assert told[-1] == (11_958, 11_958)
    assert sorted(told) == told
    assert await parts.market_data.count_of(BarQuery("GOOG", "1d")) == 2_148
    ticker = parts.reference.require("AAPL")
    assert "simulated" in ticker.description
    assert (await parts.reference.data_source(ticker.data_source or uuid.uuid4())).code == "demo"


async def test_a_load_that_was_cut_off_is_completed(database: Database) -> None:
    parts = await open_market(database, NOW)
    await load_demo(parts.reference, parts.market_data, new_id=uuid.uuid4)
    await database.collection("market_data").delete_many({"symbol": "IBM", "volume": {"$lt": 5_000_000}})
    found = await load_demo(parts.reference, parts.market_data, new_id=uuid.uuid4)
    assert found.created > 0
    assert found.created + found.unchanged == 11_958


async def test_a_whole_session_is_the_real_day_to_the_cent(database: Database) -> None:
    parts, demo = await playing(database)
    start = (NOW // (SESSION_S * NS_PER_S) + 1) * SESSION_S * NS_PER_S
    await demo.run_once(start - 1)
    parts.stream.messages.clear()
    for second in range(SESSION_S):
        await demo.run_once(start + second * NS_PER_S)
    await demo.run_once(start + SESSION_S * NS_PER_S - 1)
    day = parse_rfc3339(f"{demo.day(start)}T00:00:00Z")
    real = {symbol: bar for symbol, bars in history().items() for bar in bars if bar.ts_ns == day}
    assert len(real) == 4
    for symbol, bar in real.items():
        prices = [Decimal(message["price"]) for message in parts.stream.on(f"trades:{symbol}")]
        cents = [price.quantize(Decimal("0.01")) for price in (bar.open, bar.high, bar.low, bar.close)]
        assert [prices[0], max(prices), min(prices), prices[-1]] == cents
        assert len(prices) == 780


async def test_ticks_carry_the_present_time_and_quotes_stand_around_trades(database: Database) -> None:
    parts, demo = await playing(database)
    await demo.run_once(NOW)
    for symbol in NAMES:
        found = parts.market.snapshot(symbol)
        assert isinstance(found.trade, Trade)
        assert isinstance(found.quote, Quote)
        assert NOW - NS_PER_S <= found.trade.ts_ns <= NOW
        assert found.quote.bid is not None
        assert found.quote.ask is not None
        assert found.quote.bid <= found.trade.price <= found.quote.ask


async def test_the_same_seed_at_the_same_time_shows_the_same_market_also_after_a_restart(database: Database) -> None:
    parts, demo = await playing(database)
    other, later = await playing(database)
    for tenth in range(30):
        await demo.run_once(NOW + tenth * NS_PER_S // 10)
    await later.run_once(NOW + 2 * NS_PER_S)
    await later.run_once(NOW + 29 * NS_PER_S // 10)
    assert parts.market.latest_price("IBM") == other.market.latest_price("IBM")


async def test_a_long_sleep_is_not_rushed_through(database: Database) -> None:
    parts, demo = await playing(database)
    await demo.run_once(NOW)
    parts.stream.messages.clear()
    await demo.run_once(NOW + 100 * NS_PER_S)
    times = [parse_rfc3339(message["ts"]) for message in parts.stream.on("trades:IBM")]
    assert 3 <= len(times) <= 5
    assert min(times) > NOW + 98 * NS_PER_S


async def test_the_close_of_a_day_is_played_although_the_next_round_is_in_the_next_day(database: Database) -> None:
    parts, demo = await playing(database)
    end = (NOW // (SESSION_S * NS_PER_S) + 1) * SESSION_S * NS_PER_S
    await demo.run_once(end - NS_PER_S)
    ending = demo.day(end - 1)
    await demo.run_once(end + NS_PER_S // 4)
    close = next(bar.close for bar in history()["IBM"] if bar.ts_ns == parse_rfc3339(f"{ending}T00:00:00Z"))
    prices = [Decimal(message["price"]) for message in parts.stream.on("trades:IBM")]
    opening = next(bar.open for bar in history()["IBM"] if bar.ts_ns == parse_rfc3339(f"{demo.day(end)}T00:00:00Z"))
    assert prices[prices.index(close) + 1] == opening


async def test_a_symbol_that_another_feed_plays_is_left_to_it(database: Database) -> None:
    parts, demo = await playing(database)
    await demo.run_once(NOW)
    await parts.market.publish([trade(NOW - 4_000 * DAY_NS, "999")])
    await demo.run_once(NOW + 1 * NS_PER_S)
    await demo.run_once(NOW + 2 * NS_PER_S)
    assert parts.market.latest_price("IBM").price == 999
    assert parts.market.latest_price("AAPL").ts_ns > NOW + NS_PER_S
    await demo.run_once(NOW + YIELD_NS + 3 * NS_PER_S)
    assert parts.market.latest_price("IBM").ts_ns > NOW


async def test_days_follow_one_another_and_start_over(database: Database) -> None:
    _, demo = await playing(database)
    await demo.run_once(NOW)
    dates = [demo.day(NOW + session * SESSION_S * NS_PER_S) for session in range(7)]
    assert len(set(dates)) == 3
    assert dates[0] == dates[3] == dates[6]
    assert all(len(list(group)) == 1 for _, group in groupby(dates))
