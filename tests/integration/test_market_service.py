"""The live market over a real database: prices now, numbers that rise, what survives a restart."""

import uuid
from decimal import Decimal

import pytest

from qsuite.domain.errors import Conflict, Invalid, NotFound, PreconditionFailed
from qsuite.domain.market import NO_MARKET, Bar, Snapshot, Tick
from qsuite.domain.market_record import MarketRecord
from qsuite.domain.roles import Caller, Role
from qsuite.domain.times import DAY_NS, NS_PER_S, parse_rfc3339
from qsuite.repos.database import Database
from qsuite.repos.ticks import TickQuery
from qsuite.services.quiet_symbols import QuietSymbols
from tests.support.market import Parts, open_market, quote, trade

NOW = parse_rfc3339("2026-11-21T14:30:00Z")
LONG_AGO = parse_rfc3339("2013-10-07T13:30:00.123456789Z")
ANYBODY = Caller(uuid.uuid4(), "viewer", Role.VIEWER)


async def stored(parts: Parts, symbol: str = "IBM") -> list[Tick]:
    return await parts.ticks.read(TickQuery(symbol), 1_000_000)


async def test_a_tick_is_the_market_now_on_the_stream_and_then_stored(database: Database) -> None:
    parts = await open_market(database, NOW, "IBM")
    seen: list[Snapshot] = []
    parts.market.on_ticks(lambda ticks: seen.append(parts.market.snapshot("IBM")))
    await parts.market.publish([quote(LONG_AGO, "181.50", None), trade(LONG_AGO, "181.50")])
    assert [(found.trade is not None, found.quote is not None) for found in seen] == [(True, True)]
    assert parts.stream.on("trades:IBM") == [
        {"type": "trade", "ts": "2013-10-07T13:30:00.123456789Z", "symbol": "IBM", "price": "181.50", "size": "100"}
    ]
    assert parts.stream.on("quotes:IBM") == [
        {
            "type": "quote",
            "ts": "2013-10-07T13:30:00.123456789Z",
            "symbol": "IBM",
            "bid": "181.50",
            "ask": None,
            "bid_size": "300",
            "ask_size": None,
        }
    ]
    await parts.market.stored()
    assert len(await stored(parts)) == 2


async def test_numbers_rise_by_one_for_each_symbol_and_go_on_above_after_a_restart(database: Database) -> None:
    parts = await open_market(database, NOW, "IBM", "SPY")
    await parts.market.publish([trade(LONG_AGO), trade(LONG_AGO, symbol="SPY"), trade(LONG_AGO)])
    await parts.market.stop()
    again = await open_market(database, NOW + NS_PER_S, "IBM")
    await again.market.publish([trade(LONG_AGO)])
    await again.market.stop()
    first, second, third = [tick.seq for tick in await stored(again)]
    assert second == first + 1
    assert third > second
    assert [tick.seq for tick in await stored(again, "SPY")] == [first]


async def test_what_arrived_last_is_the_market_whatever_its_time(database: Database) -> None:
    parts = await open_market(database, NOW, "IBM")
    await parts.market.publish([trade(NOW, "120")])
    await parts.market.publish([trade(LONG_AGO, "181")])
    found = parts.market.latest_price("IBM")
    assert (found.price, found.ts_ns, found.source) == (181, LONG_AGO, "trade")


async def test_prices_are_known_again_after_a_restart(database: Database) -> None:
    parts = await open_market(database, NOW, "IBM", "EURUSD", "AAPL", "NONE")
    await parts.market.publish([trade(NOW, "120.10"), quote(NOW + 1, "120.00", "120.20")])
    await parts.market.publish([quote(NOW, "1.38727", "1.38729", symbol="EURUSD")])
    aapl = parts.reference.require("AAPL")
    day = NOW - NOW % DAY_NS - DAY_NS
    bar = Bar("AAPL", "1d", day, *map(Decimal, ("118.56", "132.06", "118.50", "130.31", "9616100")))
    await parts.market_data.add(MarketRecord(id=uuid.uuid4(), ticker=aapl.id, bar=bar, created_at=0, updated_at=0))
    await parts.market.stop()

    again = await open_market(database, NOW + NS_PER_S)
    ibm = again.market.latest_price("IBM")
    assert (ibm.price, ibm.bid, ibm.ask, ibm.source) == (
        Decimal("120.10"),
        Decimal("120.00"),
        Decimal("120.20"),
        "trade",
    )
    euro = again.market.latest_price("EURUSD")
    assert (euro.price, euro.source) == (Decimal("1.38728"), "quote")
    apple = again.market.latest_price("AAPL")
    assert (apple.price, apple.ts_ns, apple.source) == (Decimal("130.31"), day + DAY_NS, "bar")
    with pytest.raises(NotFound) as refused:
        again.market.latest_price("NONE")
    assert refused.value.code == "ticker.no_price"
    assert again.market.snapshot("NONE") == NO_MARKET


async def test_what_others_store_is_seen_until_a_live_tick_comes(database: Database) -> None:
    here, elsewhere = [await open_market(database, NOW, "IBM") for _ in range(2)]
    loop = QuietSymbols(here.market)
    await loop.run_once(NOW)
    assert here.market.snapshot("IBM") == NO_MARKET
    for number, price in enumerate(("120.10", "121.00")):
        await elsewhere.market.publish([trade(NOW + number, price)])
        await elsewhere.market.stored()
        await loop.run_once(NOW)
        assert here.market.latest_price("IBM").price == Decimal(price)
    await here.market.publish([trade(NOW, "119.00")])
    await loop.run_once(NOW)
    assert here.market.latest_price("IBM").price == Decimal("119.00")


async def test_a_subscription_starts_with_what_the_market_is_now(database: Database) -> None:
    parts = await open_market(database, NOW, "IBM", "SPY")
    await parts.market.publish([trade(NOW, "120"), quote(NOW, "119", "121"), trade(NOW, "99", symbol="SPY")])
    sources = parts.stream.sources
    assert [each["price"] for each in await sources["trades"](ANYBODY, "trades:*")] == ["120", "99"]
    assert [each["bid"] for each in await sources["quotes"](ANYBODY, "quotes:IBM")] == ["119"]
    assert await sources["quotes"](ANYBODY, "quotes:SPY") == []
    (bar,) = await sources["bars"](ANYBODY, "bars:1m:SPY")
    assert bar == {
        "type": "bar",
        "ts": "2026-11-21T14:30:00.000Z",
        "symbol": "SPY",
        "interval": "1m",
        "open": "99",
        "high": "99",
        "low": "99",
        "close": "99",
        "volume": "100",
        "vwap": "99",
        "trades": 1,
        "final": False,
    }


async def test_a_long_batch_leaves_others_their_turn(database: Database) -> None:
    parts = await open_market(database, NOW, "IBM")
    batches: list[int] = []
    parts.market.on_ticks(lambda ticks: batches.append(len(ticks)))
    await parts.market.publish([trade(NOW + index) for index in range(600)])
    assert batches == [256, 256, 88]
    await parts.market.stop()
    assert len(await stored(parts)) == 600


# -- reference data -------------------------------------------------------------------------------------------------


async def test_another_process_change_is_seen_in_the_next_round(database: Database) -> None:
    here, there = await open_market(database, NOW, "IBM"), await open_market(database, NOW)
    assert there.reference.ticker("IBM") is not None
    await here.reference.change_ticker("IBM", {"is_active": False})
    made = await here.reference.create_ticker({"symbol": "SPY", "name": "SPDR S&P 500"})
    await there.reference.run_once(NOW)
    found = there.reference.ticker("IBM")
    assert found is not None
    assert not found.is_active
    assert there.reference.ticker(str(made.id)) == there.reference.ticker("SPY") == made
    await here.reference.delete_ticker("SPY")
    await there.reference.run_once(NOW)
    assert there.reference.ticker("SPY") is None
    assert there.reference.ticker(str(made.id)) is None


async def test_a_ticker_that_goes_as_another_comes_is_missed_in_the_next_round(database: Database) -> None:
    here, there = await open_market(database, NOW, "IBM", "SPY"), await open_market(database, NOW)
    await there.reference.run_once(NOW)
    await here.reference.delete_ticker("SPY")
    await here.reference.create_ticker({"symbol": "QQQ", "name": "Invesco QQQ"})
    await there.reference.run_once(NOW)
    assert [ticker.symbol for ticker in there.reference.tickers()] == ["IBM", "QQQ"]
    await here.reference.delete_ticker("QQQ")
    await there.reference.create_ticker({"symbol": "DIA", "name": "SPDR Dow Jones"})
    await there.reference.run_once(NOW)
    assert [ticker.symbol for ticker in there.reference.tickers()] == ["DIA", "IBM"]


async def test_a_ticker_that_something_refers_to_is_not_deleted(database: Database) -> None:
    parts = await open_market(database, NOW, "IBM", "SPY")
    parts.reference.protect("ticks", parts.ticks.any_of)
    await parts.market.publish([trade(NOW)])
    await parts.market.stored()
    with pytest.raises(Conflict) as refused:
        await parts.reference.delete_ticker("IBM")
    assert refused.value.code == "ticker.in_use"
    await parts.reference.delete_ticker("SPY")


async def test_a_symbol_never_changes_and_old_readings_do_not_overwrite(database: Database) -> None:
    parts = await open_market(database, NOW, "IBM")
    with pytest.raises(Invalid):
        await parts.reference.change_ticker("IBM", {"symbol": "IBN"})
    await parts.reference.change_ticker("IBM", {"name": "Big Blue"}, 1)
    with pytest.raises(PreconditionFailed):
        await parts.reference.change_ticker("IBM", {"name": "Blue"}, 1)
    with pytest.raises(Invalid):
        await parts.reference.change_ticker("IBM", {"data_source": uuid.uuid4()})


async def test_a_data_source_in_use_is_not_deleted(database: Database) -> None:
    parts = await open_market(database, NOW, "IBM")
    source = await parts.reference.ensure_data_source("lean", "LEAN")
    assert await parts.reference.ensure_data_source("lean", "again") == source
    await parts.reference.change_ticker("IBM", {"data_source": source.id})
    with pytest.raises(Conflict):
        await parts.reference.delete_data_source(source.id)
    await parts.reference.change_ticker("IBM", {"data_source": None})
    await parts.reference.delete_data_source(source.id)
    with pytest.raises(NotFound):
        await parts.reference.data_source(source.id)
