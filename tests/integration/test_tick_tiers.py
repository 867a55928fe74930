"""Past ticks in blocks, live ones in the time series, read as one at every step of sealing: on a real MongoDB."""

import time
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from typing import Any

import pytest
from bson import Binary
from pymongo.errors import WriteError
from tornado.ioloop import IOLoop

from qsuite.domain.errors import Unavailable
from qsuite.domain.market import Snapshot, Tick, Trade
from qsuite.repos import tick_blocks, tick_seals, ticks
from qsuite.repos.database import Database
from qsuite.repos.schema import migrate
from qsuite.repos.tick_blocks import TickBlocks
from qsuite.repos.tick_merging import TickMerging
from qsuite.repos.tick_queries import order_of
from qsuite.repos.tick_sealing import TickSealing
from qsuite.repos.tick_seals import TickSeals
from qsuite.repos.ticks import TickQuery, TicksRepo
from qsuite.services.tick_sealer import HOUR_NS, TickSealer
from tests.support.market import quote, trade

T0 = 1_381_152_600_123_456_789
END = T0 + HOUR_NS
SPECS = (ticks.SPEC, tick_blocks.SPEC, tick_seals.SPEC)
# Of all sorts: several in one nanosecond, in one millisecond, with other zeros, odd ones, with a side missing.
GIVEN: list[Tick] = [
    quote(T0, "181.50", None),
    trade(T0, "181.5", "1E+2"),
    trade(T0, "181.50", "0.00000001", seq=1),
    trade(T0 + 1, "1234567890123456.789012345678901234"),
    quote(T0 + 2, "181.500", "181.60"),
    *(trade(T0 + 1_000_000 * place, f"{180 + place}.10", seq=place) for place in range(1, 30)),
    quote(T0 + 40_000_000, None, "181.7"),
]
LIVE: list[Tick] = [trade(END + 1, "190.00"), quote(END + 2, "190", "191")]


@pytest.fixture
def real(database: Database, io_loop: IOLoop) -> Database:
    io_loop.run_sync(lambda: migrate(database, SPECS))
    return database


async def stored(database: Database, **query: Any) -> list[Tick]:
    return await TicksRepo(database).read(TickQuery("IBM", **query), 1_000_000)


async def seal(database: Database, *, block_ticks: int = 10, to_ns: int = END) -> int:
    sealing, blocks = TickSealing(database, "ticks", block_ticks=block_ticks), 0
    while await database.in_thread(sealing.seal, "IBM", to_ns):
        blocks += 1
    return blocks


async def commit(database: Database, found: list[Tick]) -> bool:
    await database.in_thread(TickBlocks(database).insert, found, in_series=True)
    return await database.in_thread(TickSeals(database).move, "IBM", from_ns=tick_seals.NEVER_NS, to_ns=END)


def same(found: list[Tick], wanted: list[Tick]) -> None:
    assert [repr(tick) for tick in found] == [repr(tick) for tick in wanted]


async def test_ticks_are_read_the_same_whether_they_are_sealed_or_not(real: Database) -> None:
    repo = TicksRepo(real)
    await repo.add([*reversed(GIVEN), *LIVE])
    before = [await stored(real), await stored(real, kind="trade"), await stored(real, start_ns=T0 + 1, end_ns=END)]
    assert await seal(real) == 4
    assert real.sync.tick_blocks.count_documents({}) == 4
    after = [await stored(real), await stored(real, kind="trade"), await stored(real, start_ns=T0 + 1, end_ns=END)]
    same(after[0], [*GIVEN, *LIVE])
    assert repr(after) == repr(before)
    assert await TicksRepo(real).count() == len(GIVEN) + len(LIVE)


async def test_blocks_hold_the_ticks_also_when_the_series_has_lost_them(real: Database) -> None:
    await TicksRepo(real).add(GIVEN)
    await seal(real)
    real.sync.ticks.delete_many({"symbol": "IBM"})
    repo = TicksRepo(real)
    same(await stored(real), GIVEN)
    assert await repo.any_of("IBM")
    assert not await repo.any_of("MSFT")
    newest = (await repo.newest(["IBM", "MSFT"]))["IBM"]
    same([tick for tick in newest if tick], [GIVEN[-2], GIVEN[-1]])


async def test_every_page_and_range_is_a_cut_of_the_whole(real: Database) -> None:
    repo = TicksRepo(real)
    await repo.add([*GIVEN, *LIVE])
    await seal(real, block_ticks=7)
    whole = [*GIVEN, *LIVE]
    found: list[Tick] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await repo.page(TickQuery("IBM"), page_size=3, cursor=cursor)
        found += page.items
        cursor = page.next_cursor
    same(found, whole)
    for start_ns in (T0, T0 + 1, T0 + 5_000_000, END, END + 2):
        for end_ns in (T0 + 1, T0 + 9_000_000, END, END + 2, END + 9):
            cut = [tick for tick in whole if start_ns <= tick.ts_ns < end_ns]
            same(await stored(real, start_ns=start_ns, end_ns=end_ns), cut)
            counted = await repo.page(TickQuery("IBM", start_ns, end_ns), page_size=1)
            assert counted.count == len(cut)


async def test_a_late_tick_goes_into_a_block_and_comes_back_in_its_place(real: Database) -> None:
    await TicksRepo(real).add(GIVEN)
    await seal(real)
    late = [trade(T0 + 3_500_000, "1"), trade(T0 - 5, "2"), trade(T0 + 7_000_000, "187.10", seq=99)]
    writer = TicksRepo(real)  # knows of no seal yet
    await writer.add([*late, *LIVE])
    await writer.add([trade(T0 + 1, "3", seq=7)])  # knows now
    assert real.sync.ticks.count_documents({"ts_ns": T0 + 1}) == 1
    wanted = sorted([*GIVEN, *late, trade(T0 + 1, "3", seq=7)], key=lambda tick: (tick.ts_ns, tick.seq))
    same(await stored(real), [*wanted, *LIVE])
    assert await seal(real, to_ns=END + HOUR_NS) == 1
    same(await stored(real), [*wanted, *LIVE])


async def test_what_is_sealed_is_known_when_it_is_given_again(real: Database) -> None:
    await TicksRepo(real).add(GIVEN)
    await seal(real)
    other = trade(T0 + 5_000_000, "999", seq=5)
    repo = TicksRepo(real)
    assert await repo.add_new([*GIVEN, other]) == (1, len(GIVEN))
    assert await repo.add_new([*GIVEN, other, *LIVE]) == (2, len(GIVEN) + 1)
    found = await stored(real)
    assert len(found) == len(GIVEN) + 1 + len(LIVE)
    assert [tick.price for tick in found if tick.ts_ns == other.ts_ns if isinstance(tick, Trade)] == [
        Decimal("185.10"),
        Decimal(999),
    ]


def stopped_after_announcing(database: Database) -> None:
    TickSeals(database).announce("IBM", END)


def stopped_after_a_block(database: Database) -> None:
    TickSealing(database, "ticks", block_ticks=10).seal("IBM", END)


def stopped_before_the_bound_was_moved(database: Database) -> None:
    stopped_after_announcing(database)
    TickBlocks(database).insert(GIVEN[:10], in_series=True)


@pytest.mark.parametrize("stop", [stopped_after_announcing, stopped_before_the_bound_was_moved, stopped_after_a_block])
async def test_sealing_that_was_stopped_goes_on_with_ticks_that_came_meanwhile(
    real: Database, stop: Callable[[Database], None]
) -> None:
    await TicksRepo(real).add(GIVEN)
    await real.in_thread(stop, real)
    same(await stored(real), GIVEN)
    late = [trade(T0 + 1_500_000, "1"), trade(T0 + 25_500_000, "2")]
    await TicksRepo(real).add(late)
    wanted = sorted([*GIVEN, *late], key=lambda tick: tick.ts_ns)
    same(await stored(real), wanted)
    await seal(real)
    same(await stored(real), wanted)
    assert await TicksRepo(real).count() == sum(each["count"] for each in real.sync.tick_blocks.find()) == len(wanted)
    assert await TicksRepo(real).add_new([*wanted, *LIVE]) == (2, len(wanted))
    same(await stored(real), [*wanted, *LIVE])


async def test_a_tick_stored_while_the_series_is_being_read_is_not_passed_by(real: Database) -> None:
    await TicksRepo(real).add(GIVEN)
    seals, missed = TickSeals(real), trade(T0 + 1_500_000, "1")
    await real.in_thread(seals.announce, "IBM", END)
    read = await stored(real)
    await TicksRepo(real).add([missed])
    same(await stored(real), sorted([*GIVEN, missed], key=lambda tick: tick.ts_ns))
    await commit(real, read)
    same(await stored(real), sorted([*GIVEN, missed], key=lambda tick: tick.ts_ns))


async def test_a_tick_whose_writer_could_not_look_is_saved_when_it_is_given_again(real: Database) -> None:
    await TicksRepo(real).add(GIVEN)
    seals, doubtful = TickSeals(real), trade(T0 + 1_500_000, "1")
    await real.in_thread(seals.announce, "IBM", END)
    read = await stored(real)
    await real.in_thread(TicksRepo(real)._additions._insert, [doubtful])  # and then the database was away
    assert await TicksRepo(real).add_new([doubtful]) == (0, 1)
    await commit(real, read)
    same(await stored(real), sorted([*GIVEN, doubtful], key=lambda tick: tick.ts_ns))


async def test_of_two_who_seal_the_same_one_is_overtaken_and_nobody_reads_its_block_twice(real: Database) -> None:
    await TicksRepo(real).add(GIVEN)
    await seal(real)
    assert not await commit(real, GIVEN[:3])
    same(await stored(real), GIVEN)
    assert await TicksRepo(real).count() == len(GIVEN)


async def test_the_ticks_of_one_instant_are_never_parted(real: Database) -> None:
    at_once: list[Tick] = [trade(T0, seq=seq) for seq in range(25)]
    await TicksRepo(real).add([*at_once, trade(T0 + 1)])
    assert await seal(real) == 2
    assert [each["count"] for each in real.sync.tick_blocks.find().sort("first_ns")] == [25, 1]
    same(await stored(real), [*at_once, trade(T0 + 1)])


async def small_blocks(database: Database) -> list[Tick]:
    """Store GIVEN sealed, and thirty late ticks between them, each in a block of its own, two of them twice.

    The first was in the series before its writer knew.
    """
    await TicksRepo(database).add(GIVEN)
    await seal(database)
    writer, late = TicksRepo(database), [trade(T0 + 1_000_000 * number, "7", seq=99) for number in range(30)]
    for tick in late:
        await writer.add([tick])
    await database.in_thread(TickBlocks(database).insert, late[3:5], in_series=False)
    return sorted([*GIVEN, *late], key=order_of)


async def test_small_blocks_are_merged_and_nothing_else_changes(real: Database) -> None:
    wanted = await small_blocks(real)
    same(await stored(real), wanted)
    assert await real.in_thread(TickMerging(real).merge, "IBM") == 29
    same(await stored(real), wanted)
    assert sorted(each["count"] for each in real.sync.tick_blocks.find()) == [1, 5, 10, 10, 10, 29]
    assert await TicksRepo(real).count() == len(wanted)
    assert await real.in_thread(TickMerging(real).merge, "IBM") == 0


async def test_a_reader_goes_on_where_blocks_are_merged_under_it(real: Database) -> None:
    wanted = await small_blocks(real)

    def read() -> list[Tick]:
        found = []
        with closing(TicksRepo(real).iterate(TickQuery("IBM"))) as ticks:
            for tick in ticks:
                found.append(tick)
                if len(found) == 11:
                    assert TickMerging(real).merge("IBM")
        return found

    same(await real.in_thread(read), wanted)


async def test_merging_that_was_stopped_before_the_small_blocks_went_leaves_each_tick_once(real: Database) -> None:
    wanted = await small_blocks(real)
    merging = TickMerging(real)
    merging._blocks.remove = lambda spans: None  # type: ignore[method-assign]  # and then it was killed
    before = real.sync.tick_blocks.count_documents({})
    assert await real.in_thread(merging.merge, "IBM") == 29
    assert real.sync.tick_blocks.count_documents({}) == before + 1, "what was merged is there twice"
    same(await stored(real), wanted)
    await real.in_thread(TickMerging(real).merge, "IBM")
    assert real.sync.tick_blocks.count_documents({}) < before
    same(await stored(real), wanted)


async def test_a_damaged_block_is_named_and_not_read(real: Database) -> None:
    await TicksRepo(real).add(GIVEN)
    await seal(real)
    block = real.sync.tick_blocks.find_one({}, sort=[("first_ns", 1)])
    assert block is not None
    # Still a block that can be read, with prices a tenth of what they were.
    data = Binary(block["data"].replace(b'"exponent":-2', b'"exponent":-3'))
    real.sync.tick_blocks.update_one({"_id": block["_id"]}, {"$set": {"data": data}})
    with pytest.raises(Unavailable, match=str(block["_id"])) as raised:
        await stored(real)
    assert raised.value.code == "ticks.damaged_block"
    same(await stored(real, start_ns=block["last_ns"] + 1), GIVEN[10:])
    real.sync.tick_blocks.update_one({"_id": block["_id"]}, {"$set": {"data": Binary(b"QTB1"), "codec": 2}})
    with pytest.raises(Unavailable, match="codec 2"):
        await stored(real)


async def test_a_block_says_what_is_in_it_and_the_collection_takes_nothing_else(real: Database) -> None:
    await TicksRepo(real).add(GIVEN)
    await seal(real, block_ticks=1000)
    (block,) = real.sync.tick_blocks.find({}, {"data": 0, "_id": 0, "checksum": 0, "first": 0, "last": 0})
    assert block == {
        "symbol": "IBM", "first_ns": T0, "first_seq": 0, "last_ns": T0 + 40_000_000, "last_seq": 0,
        "last_trade_ns": T0 + 29_000_000, "last_quote_ns": T0 + 40_000_000,
        "count": 35, "trades": 32, "quotes": 3, "in_series": True, "codec": 1,
    }  # fmt: skip
    with pytest.raises(WriteError):
        real.sync.tick_blocks.insert_one({"symbol": "IBM"})
    (span,) = await real.in_thread(TickBlocks(real).spans, "IBM")
    plan = real.sync.tick_blocks.find({"symbol": "IBM"}, dict.fromkeys(tick_blocks.KNOWN, 1)).explain()
    assert plan["queryPlanner"]["winningPlan"]["stage"] == "PROJECTION_COVERED"
    assert (span.first_ns, span.last_ns) == (T0, T0 + 40_000_000)


async def test_the_loop_seals_an_hour_once_it_is_over_for_long_enough(real: Database) -> None:
    repo = TicksRepo(real)
    hour = T0 // HOUR_NS * HOUR_NS
    await repo.add([*GIVEN, *LIVE])
    sealer = TickSealer(repo, lambda: ["IBM", "MSFT"], after_s=600)
    await sealer.run_once(hour + HOUR_NS + 599 * 1_000_000_000)
    assert real.sync.tick_blocks.count_documents({}) == 0
    await sealer.run_once(hour + HOUR_NS + 600 * 1_000_000_000)
    assert [each["last_ns"] for each in real.sync.tick_blocks.find()] == [GIVEN[-1].ts_ns]
    same(await stored(real), [*GIVEN, *LIVE])
    assert await repo.newest(["IBM"]) == {"IBM": Snapshot(LIVE[0], LIVE[1])}


async def test_a_process_that_does_not_lead_seals_nothing_until_it_does(real: Database) -> None:
    leads = iter([False, True])
    sealer = TickSealer(TicksRepo(real), lambda: ["IBM"], after_s=0, leading=lambda: next(leads))
    await TicksRepo(real).add([*GIVEN])
    await sealer.run_once(GIVEN[-1].ts_ns + HOUR_NS)
    assert real.sync.tick_blocks.count_documents({}) == 0
    await sealer.run_once(GIVEN[-1].ts_ns + HOUR_NS)
    assert real.sync.tick_blocks.count_documents({}) == 1


async def test_after_a_block_others_get_three_times_as_long_as_it_took(real: Database) -> None:
    rested: list[float] = []

    async def rest(seconds: float) -> None:
        rested.append(seconds)

    await TicksRepo(real).add([*GIVEN])
    began_s = time.monotonic()
    await TickSealer(TicksRepo(real), lambda: ["IBM"], after_s=0, rest=rest).run_once(GIVEN[-1].ts_ns + HOUR_NS)
    took_s = time.monotonic() - began_s
    assert len(rested) == 3, "after the block, after finding that there is no other, and after merging"
    assert 0 < sum(rested) <= 3 * took_s


async def test_blocks_that_are_older_than_ticks_are_kept_go_and_count_no_more(real: Database) -> None:
    repo = TicksRepo(real)
    await repo.add([*GIVEN, *LIVE])
    now = LIVE[-1].ts_ns + 2 * HOUR_NS
    await TickSealer(repo, lambda: ["IBM"], after_s=600).run_once(now)
    await TickSealer(repo, lambda: ["IBM"], after_s=600, kept_days=1).run_once(now)
    same(await stored(real), [*GIVEN, *LIVE])
    real.sync.ticks.delete_many({"symbol": "IBM"})  # as the time to live does
    repo = TicksRepo(real)
    await TickSealer(repo, lambda: ["IBM"], after_s=600, kept_days=1).run_once(now + 24 * HOUR_NS)
    assert await stored(real) == []
    assert await repo.count() == 0
