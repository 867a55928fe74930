"""Columns of ticks into blocks, each tick once; ``add_new``, which adds them one by one, is the judge."""

import random
from decimal import Decimal

import pytest
from tornado.ioloop import IOLoop

from qsuite.domain.market import Quote, Tick, Trade
from qsuite.domain.tick_columns.columns import TickColumns, to_columns
from qsuite.repos import tick_blocks, tick_column_additions, tick_seals, ticks
from qsuite.repos.database import Database
from qsuite.repos.schema import migrate
from qsuite.repos.tick_queries import order_of
from qsuite.repos.tick_sealing import TickSealing
from qsuite.repos.ticks import TickQuery, TicksRepo
from tests.support.market import quote, trade

T0 = 1_381_152_600_123_456_789
SPECS = (ticks.SPEC, tick_blocks.SPEC, tick_seals.SPEC)
FOR_EVER_NS = 2**62


@pytest.fixture
def real(database: Database, io_loop: IOLoop, monkeypatch: pytest.MonkeyPatch) -> Database:
    io_loop.run_sync(lambda: migrate(database, SPECS))
    cut = tick_column_additions.blocks_of
    monkeypatch.setattr(ticks, "blocks_of", lambda parts: cut(parts, 7))
    return database


def columns(found: list[Tick]) -> list[TickColumns]:
    """Turn ticks into columns, in parts and symbol by symbol, out of order as they are."""
    parts = []
    for symbol in dict.fromkeys(tick.symbol for tick in found):
        of_symbol = [tick for tick in found if tick.symbol == symbol]
        parts += [to_columns(symbol, of_symbol[start : start + 9]) for start in range(0, len(of_symbol), 9)]
    return parts


async def stored(database: Database, symbol: str = "IBM") -> list[Tick]:
    return await TicksRepo(database).read(TickQuery(symbol), 1_000_000)


def same(found: list[Tick], wanted: list[Tick]) -> None:
    assert [repr(tick) for tick in found] == [repr(tick) for tick in wanted]


def history(count: int = 40) -> list[Tick]:
    return [
        trade(T0 + place // 3 * 1_000, f"{180 + place}.10", seq=place % 3)
        if place % 4
        else quote(T0 + place // 3 * 1_000, "181.5", None, seq=place % 3)
        for place in range(count)
    ]


async def test_history_is_there_whole_and_counted_and_again_changes_nothing(real: Database) -> None:
    repo, given = TicksRepo(real), history()
    other = [Trade("SPY", T0, Decimal("167.410"), Decimal(100))]
    assert await repo.add_columns(columns([*reversed(given), *other])) == (41, 0)
    assert await repo.add_columns(columns([*given, *other])) == (0, 41)
    same(await stored(real), sorted(given, key=order_of))
    same(await stored(real, "SPY"), other)
    assert real.sync.ticks.find_one() is None
    assert await repo.count() == 41
    assert (await repo.page(TickQuery("IBM"), page_size=5)).count == 40
    newest = await repo.newest(["IBM", "SPY"])
    assert (newest["IBM"].trade, newest["IBM"].quote) == (given[39], given[36])
    assert newest["SPY"].trade == other[0]


async def test_no_instant_is_parted_between_blocks(real: Database) -> None:
    given: list[Tick] = [trade(T0 + place // 5, seq=place % 5) for place in range(40)]
    await TicksRepo(real).add_columns(columns(given))
    found = list(real.sync.tick_blocks.find().sort("first_ns"))
    assert [each["count"] for each in found] == [10, 10, 10, 10]
    assert not any(each["in_series"] for each in found)


ODD = ("1.5", "1.50", "0", "0.00", "1E+2", "1234567890123456.789012345678901234", "0.000000000000000001", "99")


def any_tick(chance: random.Random) -> Tick:
    """Make a tick of which there are often several with one identity, and not always the same figures."""
    ts_ns, seq = T0 + chance.randrange(12), chance.randrange(2)
    values = [Decimal(chance.choice(ODD[:2] if chance.random() < 0.9 else ODD)) for _ in range(2)]
    if chance.random() < 0.5:
        return Trade("IBM", ts_ns, *values, seq)
    return Quote("IBM", ts_ns, values[0], None, None if chance.random() < 0.5 else values[1], None, seq)


def once_each(found: list[Tick]) -> list[Tick]:
    """Return one tick of each identity, as a file has them."""
    return list({order_of(tick): tick for tick in found}.values())


@pytest.mark.parametrize("seed", range(8))
async def test_columns_are_stored_as_their_ticks_would_be(
    real: Database, seed: int, io_loop: IOLoop, database: Database
) -> None:
    chance, repo = random.Random(seed), TicksRepo(real)
    files = [once_each([any_tick(chance) for _ in range(chance.randrange(1, 30))]) for _ in range(4)]
    judged: list[Tick] = []
    for file in [*files, files[1]]:
        added = await repo.add_columns(columns(file))
        fresh = judge(file, judged)
        assert added == (len(fresh), len(file) - len(fresh))
        judged += fresh
        same(await stored(real), sorted(judged, key=order_of))
    assert await repo.count() == len(judged)


def judge(file: list[Tick], there: list[Tick]) -> list[Tick]:
    """Say by the rule itself which ticks are new, and under which number."""
    known = {order_of(tick): tick for tick in there}
    fresh = []
    for given in file:
        tick = given
        while order_of(tick) in known and known[order_of(tick)] != tick:
            tick = tick._replace(seq=tick.seq + 2**40)
        if order_of(tick) not in known:
            fresh.append(tick)
    return fresh


async def test_history_beside_live_ticks_is_there_once_while_those_are_sealed(real: Database) -> None:
    repo, given = TicksRepo(real), history()
    live = [tick for tick in given if tick.ts_ns >= T0 + 6_000]
    sealing = TickSealing(real, "ticks", block_ticks=5)
    await repo.add(live)
    await real.in_thread(sealing.seal, "IBM", FOR_EVER_NS)
    # Some of it is in the series, some of it in blocks, and most of it new.
    assert await repo.add_columns(columns(given)) == (len(given) - len(live), len(live))
    while await real.in_thread(sealing.seal, "IBM", FOR_EVER_NS):
        same(await stored(real), sorted(given, key=order_of))
    same(await stored(real), sorted(given, key=order_of))
    assert await repo.add_columns(columns(given)) == (0, len(given))


async def test_live_ticks_that_were_imported_before_are_not_sealed_again(real: Database) -> None:
    repo, given = TicksRepo(real), history()
    await repo.add_columns(columns(given))
    await repo.add(given[10:20])
    assert (await repo.page(TickQuery("IBM"), page_size=5)).count is None, "what is there twice cannot be added up"
    sealing = TickSealing(real, "ticks")
    assert await real.in_thread(sealing.seal, "IBM", FOR_EVER_NS) == 10
    same(await stored(real), sorted(given, key=order_of))
    assert sum(each["count"] for each in real.sync.tick_blocks.find()) == len(given)


async def test_a_failure_is_told_after_all_writing_has_ended(real: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    repo, given = TicksRepo(real), history()
    (first, *_) = sorted(given, key=order_of)
    insert = tick_blocks.TickBlocks.insert_columns

    def refuse(self: tick_blocks.TickBlocks, block: TickColumns, *, in_series: bool) -> None:
        if block.ts_ns[0] == first.ts_ns:
            raise tick_blocks.damaged(tick_blocks.ObjectId(), "a test says so")
        insert(self, block, in_series=in_series)

    monkeypatch.setattr(tick_blocks.TickBlocks, "insert_columns", refuse)
    with pytest.raises(tick_blocks.Unavailable):
        await repo.add_columns(columns(given))
    there = len(await stored(real))
    assert there == len(given) - 9
    monkeypatch.undo()
    assert await repo.add_columns(columns(given)) == (9, there)
