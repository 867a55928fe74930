"""Following an exchange through ccxt: a server on this machine that speaks as one, and misbehaves as they do."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import Any

import pytest

from qsuite.domain.errors import SetupError
from qsuite.domain.feeds.breaker import BreakerState
from qsuite.domain.market import Tick, Trade
from qsuite.domain.times import NS_PER_MS, parse_rfc3339
from qsuite.repos.database import Database
from qsuite.repos.ticks import TickQuery
from qsuite.services.feeds.already_stored import AlreadyStored
from qsuite.services.feeds.exchange_feed import ExchangeFeed
from qsuite.services.feeds.exchange_source import PAGE
from qsuite.services.supervisor import Supervisor
from qsuite.settings import ExchangeSettings, load_settings
from tests.support.fake_exchange import FakeExchange
from tests.support.market import Parts, open_market, trade
from tests.support.waiting import eventually

NOW = parse_rfc3339("2026-11-21T14:30:00Z")
NOW_MS = NOW // NS_PER_MS
CONFIG = '{"enableRateLimit": false, "options": {"fetchMarkets": ["spot"], "fetchCurrencies": false}}'
SYMBOLS = ("BTCUSDT", "ETHUSDT")
RENAME = ("BTC/USDT=BTCUSDT", "ETH/USDT=ETHUSDT")

with_ccxt = pytest.mark.skipif(find_spec("ccxt") is None, reason="ccxt is not installed (the extra `exchange`)")


def settings_of(exchange: FakeExchange, **changed: Any) -> ExchangeSettings:
    given: dict[str, Any] = {
        "name": "binance", "url": exchange.url, "rename": RENAME, "config": CONFIG, "poll_s": 0.02, "timeout_s": 1.0,
        "pause_first_s": 0.01, "pause_max_s": 0.02, "failures_max": 3, "open_s": 0.1,
    }  # fmt: skip
    return ExchangeSettings(**{**given, **changed})


def feed_of(parts: Parts, settings: ExchangeSettings, symbols: tuple[str, ...] = SYMBOLS) -> ExchangeFeed:
    return ExchangeFeed(
        settings=settings,
        symbols=symbols,
        market=parts.market,
        reference=parts.reference,
        ticks=parts.ticks,
        leading=lambda: True,
        uniform=random.Random(7).random,
    )


@asynccontextmanager
async def following(exchange: FakeExchange, parts: Parts, **changed: Any) -> AsyncIterator[ExchangeFeed]:
    feed = feed_of(parts, settings_of(exchange, **changed))
    supervisor = Supervisor()
    supervisor.add(feed)
    supervisor.start()
    try:
        yield feed
    finally:
        await supervisor.stop()
        await parts.market.stored()


async def stored(parts: Parts, symbol: str = "BTCUSDT", kind: str | None = "trade") -> list[Tick]:
    await parts.market.stored()
    return await parts.ticks.read(TickQuery(symbol, kind=kind), 100_000)


def prices(ticks: list[Tick]) -> list[str]:
    return [str(tick.price) for tick in ticks if isinstance(tick, Trade)]


def wanted(exchange: FakeExchange, market: str = "BTCUSDT") -> list[str]:
    return [each["p"] for each in exchange.log[market]]


@with_ccxt
async def test_trades_and_tops_of_books_come_once_and_exactly(database: Database) -> None:
    parts = await open_market(database, NOW)
    async with FakeExchange().listening() as exchange:
        exchange.trade("BTCUSDT", NOW_MS, "64000.10", "0.00000001")
        exchange.trade("ETHUSDT", NOW_MS, "3000.00")
        exchange.tops["BTCUSDT"] = ("64000.01", "3", "64000.02", "0.25")
        async with following(exchange, parts) as feed:
            await eventually(lambda: feed.newest_ns and parts.market.snapshot("ETHUSDT").trade, timeout_s=60)
            exchange.trade("BTCUSDT", NOW_MS + 5, "64000.20")
            exchange.trade("BTCUSDT", NOW_MS + 5, "64000.20")
            exchange.trade("BTCUSDT", NOW_MS + 4, "63999.90")  # shown after a younger one
            await eventually(lambda: feed.counts.ticks == 6)
            assert exchange.asked["Markets"] == 1
            before = exchange.asked["Trades"]
            await eventually(lambda: exchange.asked["Trades"] > before + 6)
            assert feed.counts.ticks == 6
            assert (feed.connected, feed.breaker.state) == (True, BreakerState.CLOSED)
        assert prices(await stored(parts)) == ["64000.10", "63999.90", "64000.20", "64000.20"]
        first = (await stored(parts))[0]
        assert isinstance(first, Trade)
        assert (first.ts_ns, format(first.size, "f")) == (NOW, "0.00000001")
        (quote,) = await stored(parts, kind="quote")
        assert [str(figure) for figure in quote[2:4]] == ["64000.01", "64000.02"]


@with_ccxt
async def test_whatever_the_exchange_answers_every_trade_comes_once_and_in_order(database: Database) -> None:
    parts = await open_market(database, NOW)
    dice = random.Random(3)
    async with FakeExchange().listening() as exchange:
        exchange.trade("BTCUSDT", NOW_MS, "100.00")
        async with following(exchange, parts, timeout_s=0.2, quotes=False) as feed:
            await eventually(lambda: feed.counts.ticks == 1)
            for number in range(1, 25):
                exchange.trade("BTCUSDT", NOW_MS + number, f"{100 + number}.00")
                exchange.faults.extend(dice.choices(["", "error", "limit", "rubbish", "half", "stall"], k=2))
                asked = exchange.asked.total()
                await eventually(lambda: exchange.asked.total() > asked)  # noqa: B023
            await eventually(lambda: feed.counts.ticks == 25, timeout_s=60)
            assert feed.counts.failures > 5
            assert feed.counts.connects > 5
            assert exchange.asked["Markets"] == 1
        assert prices(await stored(parts)) == wanted(exchange)


@with_ccxt
async def test_an_exchange_that_fails_again_and_again_is_left_alone_and_then_tried_once(database: Database) -> None:
    parts = await open_market(database, NOW)
    async with FakeExchange().listening() as exchange:
        exchange.faults.extend(["error"] * 3)
        async with following(exchange, parts, open_s=0.5) as feed:
            await eventually(lambda: feed.breaker.state is BreakerState.OPEN)
            assert exchange.asked.total() == 3
            await eventually(lambda: feed.breaker.state is BreakerState.CLOSED)
            assert feed.counts.failures == 3


@with_ccxt
async def test_a_server_that_was_away_asks_for_what_it_missed_and_stores_nothing_twice(database: Database) -> None:
    async with FakeExchange().listening() as exchange:
        for number in range(5):
            exchange.trade("BTCUSDT", NOW_MS + number // 2, f"{number}.5")
        parts = await open_market(database, NOW)
        async with following(exchange, parts) as feed:
            await eventually(lambda: feed.counts.ticks == 5)
        exchange.trade("BTCUSDT", NOW_MS + 2, "4.5")  # the same figures and time as the last one that is stored
        for number in range(2 * PAGE + 100):
            exchange.trade("BTCUSDT", NOW_MS + 10 + 7 * number, f"{10 + number}.5")
        again = await open_market(database, NOW + 10_000 * NS_PER_MS)
        async with following(exchange, again) as feed:
            await eventually(lambda: feed.counts.ticks == 2 * PAGE + 101)
        assert prices(await stored(again)) == wanted(exchange)


@with_ccxt
async def test_a_gap_beyond_the_limit_is_left_out(database: Database) -> None:
    async with FakeExchange().listening() as exchange:
        exchange.trade("BTCUSDT", NOW_MS, "1.5")
        parts = await open_market(database, NOW)
        async with following(exchange, parts) as feed:
            await eventually(lambda: feed.counts.ticks == 1)
        exchange.trade("BTCUSDT", NOW_MS + 10_000, "2.5")
        exchange.trade("BTCUSDT", NOW_MS + 100_000, "3.5")
        again = await open_market(database, NOW + 101_000 * NS_PER_MS)
        async with following(exchange, again, catch_up_s=30.0) as feed:
            await eventually(lambda: feed.counts.ticks == 1)
        assert prices(await stored(again)) == ["1.5", "3.5"]


@with_ccxt
async def test_a_market_the_exchange_lacks_is_a_failure_that_names_it(database: Database) -> None:
    parts = await open_market(database, NOW)
    async with FakeExchange().listening() as exchange:
        feed = feed_of(parts, settings_of(exchange, rename=()), ("NOBODY",))
        await feed.run_once(NOW)
        assert (feed.counts.failures, feed.counts.connects) == (1, 0)


@with_ccxt
@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"name": "no_such_exchange"}, "ccxt knows no exchange"),
        ({"name": "../base/exchange"}, "ccxt knows no exchange"),
        ({"config": "[1]"}, "not a JSON object"),
        ({"config": "{"}, "not a JSON object"),
        ({"rename": ("BTC/USDT",)}, "exchange.rename"),
        ({"rename": ("BTC/USDT=OTHER",)}, "not among feed.symbols"),
    ],
)
async def test_settings_that_make_no_sense_are_told_at_the_start(
    database: Database, changed: dict[str, Any], why: str
) -> None:
    parts = await open_market(database, NOW)
    with pytest.raises(SetupError, match=why):
        feed_of(parts, settings_of(FakeExchange(), **changed))


@pytest.mark.skipif(find_spec("ccxt") is not None, reason="ccxt is installed")
async def test_without_the_extra_it_says_what_to_install(database: Database) -> None:
    parts = await open_market(database, NOW)
    with pytest.raises(SetupError, match=r"qsuite\[exchange\]"):
        feed_of(parts, settings_of(FakeExchange()))


def test_an_exchange_without_a_name_is_refused() -> None:
    with pytest.raises(SetupError, match="QSUITE_EXCHANGE__NAME"):
        load_settings({"QSUITE_FEED__KIND": "exchange", "QSUITE_FEED__SYMBOLS": "BTCUSD"}, dotenv=None)


def test_as_many_ticks_of_one_instant_are_known_as_are_stored() -> None:
    there = AlreadyStored([trade(1, "1.0"), trade(1, "1.00"), trade(1, "2")])
    assert [there.take(trade(1, price)) for price in ("1", "1", "1", "2", "2")] == [True, True, False, True, False]
    assert not there.take(trade(2, "1"))
