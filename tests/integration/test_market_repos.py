"""Ticks and bars in a real MongoDB: stored once, in order, to the last digit and nanosecond."""

import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from bson.decimal128 import Decimal128
from tornado.ioloop import IOLoop

from qsuite.domain.errors import AlreadyExists, Invalid, NotFound, PreconditionFailed
from qsuite.domain.listing import Condition, Listing
from qsuite.domain.market import Bar, Quote, Snapshot, Tick, Trade
from qsuite.domain.market_record import MarketRecord
from qsuite.domain.reference import DataSource, Ticker
from qsuite.domain.times import DAY_NS, parse_rfc3339
from qsuite.repos import data_sources, imports, market_data, tick_blocks, tick_seals, tickers, ticks
from qsuite.repos.database import Database
from qsuite.repos.imports import ImportRecord, ImportsRepo
from qsuite.repos.market_data import BarQuery, MarketDataRepo
from qsuite.repos.market_documents import to_document
from qsuite.repos.schema import migrate
from qsuite.repos.tickers import TickersRepo
from qsuite.repos.ticks import TickQuery, TicksRepo

SPECS = (data_sources.SPEC, tickers.SPEC, market_data.SPEC, ticks.SPEC, tick_blocks.SPEC, tick_seals.SPEC, imports.SPEC)
T0 = parse_rfc3339("2013-10-07T13:30:00.123456789Z")
MS = 1_000_000


@pytest.fixture
def real(database: Database, io_loop: IOLoop) -> Database:
    io_loop.run_sync(lambda: migrate(database, SPECS))
    return database


@pytest.fixture(params=["real", "memory"])
def any_database(request: pytest.FixtureRequest, io_loop: IOLoop) -> Database:
    found: Database = request.getfixturevalue("database" if request.param == "real" else "memory_database")
    io_loop.run_sync(lambda: migrate(found, SPECS))
    return found


def trade(ts_ns: int, price: str = "181.52", size: str = "100", seq: int = 0, symbol: str = "IBM") -> Trade:
    return Trade(symbol, ts_ns, Decimal(price), Decimal(size), seq)


def quote(ts_ns: int, bid: str | None, ask: str | None, seq: int = 0) -> Quote:
    sizes = [None if side is None else Decimal(300) for side in (bid, ask)]
    sides = [None if side is None else Decimal(side) for side in (bid, ask)]
    return Quote("IBM", ts_ns, sides[0], sides[1], sizes[0], sizes[1], seq)


async def stored(repo: TicksRepo, symbol: str = "IBM", **query: Any) -> list[Tick]:
    return await repo.read(TickQuery(symbol, **query), 1_000_000)


def texts(found: Sequence[Tick]) -> list[str]:
    return [repr(tick) for tick in found]


# -- ticks ----------------------------------------------------------------------------------------------------------


async def test_a_tick_comes_back_to_the_nanosecond_and_with_its_trailing_zeros(any_database: Database) -> None:
    repo = TicksRepo(any_database)
    given = [
        trade(T0, "181.50", "1E+2"),
        quote(T0 + 1, None, "181.6000"),
        quote(T0 + 2, "0.000000000000000001", None),
        trade(T0 + 3, "1234567890123456.789012345678901234", "0.05655554"),
        trade(-1, "1", "1"),  # the last nanosecond before 1970
    ]
    await repo.add(given)
    assert texts(await stored(repo)) == texts(sorted(given, key=lambda tick: tick.ts_ns))


async def test_ticks_of_one_millisecond_come_in_their_own_order(any_database: Database) -> None:
    repo = TicksRepo(any_database)
    given: list[Tick] = [trade(T0 + ns, size=str(ns + 1), seq=seq) for ns, seq in [(5, 0), (5, 1), (5, 2), (7, 0)]]
    await repo.add([given[3], given[1], given[0], given[2]])
    assert await stored(repo) == given


async def test_a_quote_comes_before_the_trade_that_met_it(any_database: Database) -> None:
    repo = TicksRepo(any_database)
    await repo.add([trade(T0), quote(T0, "181.51", "181.52")])
    assert [type(tick) for tick in await stored(repo)] == [Quote, Trade]


async def test_a_range_holds_its_start_and_not_its_end_to_the_nanosecond(any_database: Database) -> None:
    repo = TicksRepo(any_database)
    await repo.add([trade(T0 + ns) for ns in range(5)])
    found = await stored(repo, start_ns=T0 + 1, end_ns=T0 + 4)
    assert [tick.ts_ns - T0 for tick in found] == [1, 2, 3]


@pytest.mark.parametrize("year", ["1678", "1969", "1970", "2013", "2038", "2107", "2200"])
async def test_ranges_hold_what_is_in_them_in_every_century(any_database: Database, year: str) -> None:
    repo = TicksRepo(any_database)
    ticks = [
        trade(parse_rfc3339(f"{when}-06-01T00:00:00.000000001Z")) for when in ("1680", "1969", "2013", "2107", "2250")
    ]
    edge = parse_rfc3339(f"{year}-01-01T00:00:00Z")
    await repo.add(ticks[2:3])
    assert await stored(repo, start_ns=edge) == [tick for tick in ticks[2:3] if tick.ts_ns >= edge]
    assert await stored(repo, end_ns=edge) == [tick for tick in ticks[2:3] if tick.ts_ns < edge]
    await repo.add([*ticks[:2], *ticks[3:]])
    assert await stored(repo, start_ns=edge) == [tick for tick in ticks if tick.ts_ns >= edge]
    assert await stored(repo, end_ns=edge) == [tick for tick in ticks if tick.ts_ns < edge]


async def test_pages_by_cursor_hold_every_tick_once_even_inside_one_millisecond(any_database: Database) -> None:
    repo = TicksRepo(any_database)
    given = [trade(T0 + 100 * (index // 7), seq=index % 7) for index in range(50)]
    await repo.add(list(reversed(given)))
    found: list[Tick] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await repo.page(TickQuery("IBM"), page_size=3, cursor=cursor)
        assert page.count is None
        found += page.items
        cursor = page.next_cursor
    assert found == given


async def test_numbered_pages_are_counted(any_database: Database) -> None:
    repo = TicksRepo(any_database)
    given = [trade(T0 + index) for index in range(5)]
    await repo.add(given)
    page = await repo.page(TickQuery("IBM"), page=2, page_size=2)
    assert (page.items, page.count, page.has_next) == (given[2:4], 5, True)


async def test_a_cursor_of_one_query_is_refused_by_another(real: Database) -> None:
    repo = TicksRepo(real)
    await repo.add([trade(T0 + index) for index in range(3)])
    page = await repo.page(TickQuery("IBM"), page_size=1, cursor="")
    with pytest.raises(Invalid):
        await repo.page(TickQuery("IBM", kind="quote"), page_size=1, cursor=page.next_cursor)


async def test_ticks_given_again_are_stored_once(any_database: Database) -> None:
    repo = TicksRepo(any_database)
    given = [*(trade(T0 + index * MS) for index in range(20)), quote(T0, "1", "2")]
    assert await repo.add_new(given[:10]) == (10, 0)
    assert await repo.add_new(given) == (11, 10)
    assert await repo.add_new(given) == (0, 21)
    assert len(await stored(repo)) == 21


async def test_another_tick_of_the_same_instant_and_number_is_kept_beside_the_first(any_database: Database) -> None:
    repo = TicksRepo(any_database)
    first, second = trade(T0, "181.52"), trade(T0, "181.53")
    assert await repo.add_new([first]) == (1, 0)
    assert await repo.add_new([second]) == (1, 0)
    assert await repo.add_new([first, second]) == (0, 2)
    assert [tick.price for tick in await stored(repo) if isinstance(tick, Trade)] == [
        Decimal("181.52"),
        Decimal("181.53"),
    ]


async def test_the_newest_trade_and_quote_are_found_behind_many_of_the_other_kind(any_database: Database) -> None:
    repo = TicksRepo(any_database)
    last_trade, last_quote = trade(T0 + 2, seq=9), quote(T0 + 10 * MS, "181.51", "181.52", seq=1)
    await repo.add([trade(T0), trade(T0 + 2, seq=3), last_trade, quote(T0 + 10 * MS, "1", "2"), last_quote])
    await repo.add([trade(T0 + DAY_NS, symbol="SPY")])
    assert await repo.newest(["IBM", "SPY", "AAPL"]) == {
        "IBM": Snapshot(last_trade, last_quote),
        "SPY": Snapshot(trade(T0 + DAY_NS, symbol="SPY"), None),
    }


async def test_ticks_read_in_the_shell_as_contract_and_picture_say(real: Database) -> None:
    await TicksRepo(real).add([trade(T0, "181.50", "283", seq=7)])
    document = await real.collection("ticks").find_one()
    assert document is not None
    assert document == {
        "ts": document["ts"],
        "symbol": "IBM",
        "kind": "trade",
        "ts_ns": T0,
        "seq": 7,
        "price": Decimal128("181.50"),
        "size": Decimal128("283"),
    }
    assert document["ts"].isoformat() == "2013-10-07T13:30:00.123000+00:00"


async def test_ticks_are_counted_also_those_that_another_process_adds(any_database: Database) -> None:
    repo, other = TicksRepo(any_database), TicksRepo(any_database)
    assert await repo.count() == 0
    await repo.add([trade(T0 + index) for index in range(3)])
    assert await repo.count() == 3
    await other.add([trade(T0 + index, symbol="SPY") for index in range(4)])
    assert await repo.count() == await other.count() == 7


async def test_old_ticks_are_dropped_by_the_database_only_when_asked_for(real: Database) -> None:
    repo = TicksRepo(real)

    def kept() -> Any:
        (listed,) = real.sync.list_collections(filter={"name": "ticks"})
        return listed["options"].get("expireAfterSeconds")

    await repo.keep_days(7)
    assert kept() == 7 * 86_400
    await repo.keep_days(0)
    assert kept() is None


# -- bars -----------------------------------------------------------------------------------------------------------

TICKER = uuid.uuid4()


def record(day: int, close: str = "130.31", symbol: str = "AAPL", interval: str = "1d", **more: Any) -> MarketRecord:
    prices = (Decimal("118.56"), Decimal("132.06"), Decimal("118.50"), Decimal(close), Decimal(9616100 + day))
    bar = Bar(symbol, interval, day * DAY_NS, *prices, **more)
    return MarketRecord(id=uuid.uuid4(), ticker=TICKER, bar=bar, created_at=T0 - T0 % MS, updated_at=T0 - T0 % MS)


async def test_a_bar_comes_back_as_it_was(any_database: Database) -> None:
    repo = MarketDataRepo(any_database)
    given = record(11017, adjusted_close=Decimal("4.186662803811"), vwap=Decimal("125.40"), trades=3)
    await repo.add(given)
    assert repr(await repo.get(given.id)) == repr(given)


async def test_a_second_bar_of_the_same_place_is_refused(real: Database) -> None:
    repo = MarketDataRepo(real)
    await repo.add(record(1))
    with pytest.raises(AlreadyExists):
        await repo.add(record(1))


async def test_a_batch_given_again_is_unchanged_and_other_figures_conflict(any_database: Database) -> None:
    repo = MarketDataRepo(any_database)
    batch = [record(day) for day in range(10)]
    assert await repo.add_new(batch) == (10, 0, [])
    assert await repo.add_new([record(day) for day in range(12)]) == (2, 10, [])
    assert await repo.add_new([record(3, "130.310"), record(4, "130.32"), record(20), record(20, "131")]) == (
        1,
        1,
        [1, 3],
    )
    assert len(await repo.read(BarQuery("AAPL", "1d"), 100)) == 13


async def test_bars_stored_by_somebody_else_in_between_are_recognised(real: Database) -> None:
    class Slow(MarketDataRepo):
        def _known(self, records: Any) -> Any:
            known = super()._known(records)
            if not looked:  # another process stores two of them after we looked
                looked.append(True)
                MarketDataRepo(real)._add_new([record(2), record(3, "131")])
            return known

    looked: list[bool] = []
    assert await Slow(real).add_new([record(day) for day in range(5)]) == (3, 1, [3])


async def test_bars_are_read_by_time_from_either_end(any_database: Database) -> None:
    repo = MarketDataRepo(any_database)
    await repo.add_new([record(day) for day in (3, 1, 2)] + [record(1, interval="1h")])
    assert [bar.ts_ns // DAY_NS for bar in await repo.read(BarQuery("AAPL", "1d"), 10)] == [1, 2, 3]
    assert [bar.ts_ns // DAY_NS for bar in await repo.read(BarQuery("AAPL", "1d", DAY_NS + 1, 3 * DAY_NS), 10)] == [2]
    newest = await repo.newest("AAPL")
    assert newest is not None
    assert newest.ts_ns == 3 * DAY_NS
    assert await repo.newest("IBM") is None
    assert await repo.intervals("AAPL") == ["1d", "1h"]


async def test_statistics_are_exact(any_database: Database) -> None:
    repo = MarketDataRepo(any_database)
    await repo.add_new([record(day, close) for day, close in enumerate(["130.10", "130.20", "130.41"])])
    found = await repo.statistics(BarQuery("AAPL", "1d"))
    # 390.71 / 3, to 34 digits
    assert found.avg_close == Decimal("130.2366666666666666666666666666667")
    assert (found.record_count, found.max_high, found.min_low) == (3, Decimal("132.06"), Decimal("118.50"))
    assert (found.first_ns, found.last_ns, found.last_close) == (0, 2 * DAY_NS, Decimal("130.41"))
    assert (found.total_volume, found.avg_volume) == (Decimal(28848303), Decimal(9616101))
    assert (await repo.statistics(BarQuery("IBM"))).record_count == 0


async def test_lists_of_bars_page_by_cursor_from_the_newest(real: Database) -> None:
    repo = MarketDataRepo(real)
    await repo.add_new([record(day) for day in range(7)] + [record(9, symbol="IBM")])
    listing = Listing((Condition("symbol", "eq", "AAPL"),), order=(("timestamp", True),), page_size=3, cursor="")
    page = await repo.page(listing)
    assert [item.bar.ts_ns // DAY_NS for item in page.items] == [6, 5, 4]


async def test_the_validator_keeps_floats_out_of_prices(real: Database) -> None:
    document = to_document(record(1)) | {"close": 130.31}
    with pytest.raises(Exception, match="failed validation"):
        await real.collection("market_data").insert_one(document)


# -- reference data -------------------------------------------------------------------------------------------------


def ticker(symbol: str, **more: Any) -> Ticker:
    return Ticker(id=uuid.uuid4(), symbol=symbol, name=symbol.title(), **more)


async def test_a_ticker_comes_back_as_it_was_and_its_symbol_is_unique(real: Database) -> None:
    repo = TickersRepo(real)
    given = ticker("EURUSD", tick_size=Decimal("0.00001"), data_source=uuid.uuid4(), description="euros", updated_at=MS)
    await repo.add(given)
    assert await repo.get(given.id) == given
    assert given.data_source is not None
    assert await repo.uses_data_source(given.data_source)
    with pytest.raises(AlreadyExists):
        await repo.add(ticker("EURUSD"))
    with pytest.raises(NotFound):
        await repo.get(uuid.uuid4())


async def test_of_two_changes_made_from_one_reading_the_second_is_refused(any_database: Database) -> None:
    repo = data_sources.DataSourcesRepo(any_database)
    source = DataSource(id=uuid.uuid4(), name="One", code="one")
    await repo.add(source)
    changed = DataSource(id=source.id, name="Two", code="one", version=2)
    await repo.save(changed)
    with pytest.raises(PreconditionFailed):
        await repo.save(DataSource(id=source.id, name="Three", code="one", version=2))
    with pytest.raises(PreconditionFailed):
        await repo.delete(source.id, 1)
    assert await repo.find_by_code("one") == changed
    await repo.delete(source.id, 2)
    assert await repo.find(source.id) is None


async def test_changes_are_found_by_their_time(real: Database) -> None:
    repo = TickersRepo(real)
    old, new = ticker("AAPL", updated_at=T0 - T0 % MS), ticker("IBM", updated_at=T0 - T0 % MS + MS)
    await repo.add(old)
    await repo.add(new)
    assert await repo.changed_since(new.updated_at) == [new]
    assert await repo.all() == [old, new]


async def test_an_import_record_is_replaced_as_it_goes_on(any_database: Database) -> None:
    repo = ImportsRepo(any_database)
    begun = ImportRecord(id="9f2c", file="a.csv", kind="trades", started_at=MS, updated_at=MS)
    ended = ImportRecord(id="9f2c", file="a.csv", kind="trades", started_at=MS, updated_at=2 * MS, done=True, line=5)
    assert await repo.find("9f2c") is None
    await repo.save(begun)
    assert await repo.find("9f2c") == begun
    await repo.save(ended)
    assert await repo.find("9f2c") == ended
