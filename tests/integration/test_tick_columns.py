"""Ticks read as columns at every step of sealing and merging, beside the same ticks read one by one: a real MongoDB."""

import csv
import gzip
import random
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import bson
import pytest
from bson.codec_options import CodecOptions
from tornado.ioloop import IOLoop

from qsuite.domain.errors import Unavailable
from qsuite.domain.market import Quote, Tick, Trade
from qsuite.domain.tick_columns.columns import OF_QUOTES, to_ticks
from qsuite.repos import tick_blocks, tick_seals, tick_series_columns, ticks
from qsuite.repos.database import Database
from qsuite.repos.schema import migrate
from qsuite.repos.tick_blocks import TickBlocks
from qsuite.repos.tick_documents import encode_tick
from qsuite.repos.tick_merging import TickMerging
from qsuite.repos.tick_queries import order_of
from qsuite.repos.tick_sealing import TickSealing
from qsuite.repos.tick_seals import TickSeals
from qsuite.repos.ticks import TickQuery, TicksRepo
from tests.support.market import quote, trade

T0 = 1_381_152_600_123_456_789
SPECS = (ticks.SPEC, tick_blocks.SPEC, tick_seals.SPEC)
PRICES = [Decimal(text) for text in ("181.5", "181.50", "181.52", "0.12345678901234567890123", "1E+2", "-0.01")]


@pytest.fixture
def real(database: Database, io_loop: IOLoop) -> Database:
    io_loop.run_sync(lambda: migrate(database, SPECS))
    return database


def in_columns(database: Database, query: TickQuery) -> list[Tick]:
    with closing(TicksRepo(database).columns(query)) as runs:
        return [tick for run in runs for tick in to_ticks(run)]


def in_rows(database: Database, query: TickQuery) -> list[Tick]:
    return list(TicksRepo(database).iterate(query))


def some_ticks(chance: random.Random, count: int) -> list[Tick]:
    """Return ticks of few instants, numbers and figures, some of them twice."""
    found: list[Tick] = []
    for _ in range(count):
        ts_ns = T0 + chance.choice((1, 1_000_000)) * chance.randrange(60)
        prices = [chance.choice([None, *PRICES]) for _ in range(4)]
        seq = chance.randrange(3)
        made: Tick = Quote("IBM", ts_ns, *prices, seq)
        if chance.random() < 0.4:
            made = Trade("IBM", ts_ns, chance.choice(PRICES), chance.choice(PRICES), seq)
        found += [made] * chance.choice((1, 1, 1, 2))
    return found


async def add_some(database: Database, chance: random.Random) -> None:
    await TicksRepo(database).add(some_ticks(chance, chance.randrange(1, 40)))


async def seal_some(database: Database, chance: random.Random) -> None:
    sealing = TickSealing(database, "ticks", block_ticks=chance.choice((3, 10, 30)))
    await database.in_thread(sealing.seal, "IBM", T0 + chance.randrange(70) * 1_000_000)


async def seal_and_stop(database: Database, chance: random.Random) -> None:
    """Leave what a process leaves that was killed between storing a block and moving the bound."""
    to_ns = T0 + chance.randrange(70) * 1_000_000
    await database.in_thread(TickSeals(database).announce, "IBM", to_ns)
    found = await database.in_thread(in_rows, database, TickQuery("IBM", None, to_ns))
    if found:
        await database.in_thread(TickBlocks(database).insert, found[: chance.randrange(1, 20)], in_series=True)


async def merge_some(database: Database, chance: random.Random) -> None:
    await database.in_thread(TickMerging(database).merge, "IBM")


@pytest.mark.parametrize("seed", range(12))
async def test_columns_are_the_rows_in_whatever_state_the_tiers_are(real: Database, seed: int) -> None:
    chance = random.Random(seed)
    steps: list[Callable[[Database, random.Random], Any]] = [add_some, add_some, seal_some, seal_and_stop, merge_some]
    for _ in range(14):
        await chance.choice(steps)(real, chance)
        bounds = [T0 + chance.choice((0, 1_000_000)) * chance.randrange(60) + chance.randrange(3) for _ in range(2)]
        for query in (
            TickQuery("IBM"),
            TickQuery("IBM", None, None, chance.choice(("trade", "quote"))),
            TickQuery("IBM", min(bounds), max(bounds), chance.choice((None, "trade", "quote"))),
            TickQuery("IBM", chance.choice((None, bounds[0])), chance.choice((None, bounds[1]))),
        ):
            wanted = await real.in_thread(in_rows, real, query)
            assert repr(await real.in_thread(in_columns, real, query)) == repr(wanted)


async def test_the_series_is_read_by_many_cursors_and_no_instant_is_parted(
    real: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tick_series_columns, "SLICE_TICKS", 20)
    monkeypatch.setattr(tick_series_columns, "BATCH_TICKS", 7)
    at_once: list[Tick] = [trade(T0 + number // 5, seq=number) for number in range(50)]
    given = [*at_once, *(quote(T0 + 1_000_000 * (1 + number // 3), "1", None, number) for number in range(100))]
    await TicksRepo(real).add(given[::-1])

    def read() -> list[int]:
        with closing(TicksRepo(real).columns(TickQuery("IBM"))) as runs:
            lengths, found = [], []
            for run in runs:
                lengths.append(len(run))
                found += to_ticks(run)
        assert repr(found) == repr(sorted(given, key=order_of))
        return lengths

    lengths = await real.in_thread(read)
    assert len(lengths) > 4
    assert lengths[0] >= 50, "the ticks of the first millisecond are together"


async def test_blocks_are_sealed_out_of_as_many_cursors_as_it_takes(
    real: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tick_series_columns, "CURSOR_S", 0.0)  # each ends after its second batch
    monkeypatch.setattr(tick_series_columns, "BATCH_TICKS", 3)
    given: list[Tick] = [trade(T0 + 1_000_000 * (number // 2), seq=number) for number in range(50)]
    await TicksRepo(real).add(given)
    sealing, moved = TickSealing(real, "ticks", block_ticks=20), []
    while count := await real.in_thread(sealing.seal, "IBM", T0 + 10**9):
        moved.append(count)
    assert sum(moved) == 50
    assert 18 <= min(moved[:-1]) <= max(moved[:-1]) <= 21, "about as many as a block is to have"
    real.sync.ticks.delete_many({"symbol": "IBM"})
    assert repr(await real.in_thread(in_columns, real, TickQuery("IBM"))) == repr(given)


async def test_a_tick_that_was_typed_into_a_shell_is_read_too(real: Database) -> None:
    typed = bson.decode(encode_tick(trade(T0 + 5, "7.10")), CodecOptions(tz_aware=True))
    await TicksRepo(real).add([trade(T0), quote(T0 + 9, "1.50", None)])
    real.sync.ticks.insert_one(dict(reversed(typed.items())) | {"note": "by hand", "seq": 3})
    found = await real.in_thread(in_columns, real, TickQuery("IBM"))
    assert repr(found) == repr([trade(T0), trade(T0 + 5, "7.10", seq=3), quote(T0 + 9, "1.50", None)])


async def test_columns_go_on_where_blocks_are_merged_under_them(real: Database) -> None:
    writer, given = TicksRepo(real), [trade(T0 + 1_000_000 * number, seq=number) for number in range(60)]
    await writer.add(given[:1])
    await real.in_thread(TickSealing(real, "ticks").seal, "IBM", T0 + 10**9)
    for tick in given[1:]:
        await writer.add([tick])  # late, so a block for each

    def read() -> list[Tick]:
        found: list[Tick] = []
        with closing(TicksRepo(real).columns(TickQuery("IBM"))) as runs:
            for number, run in enumerate(runs):
                found += to_ticks(run)
                if number == 8:
                    assert TickMerging(real).merge("IBM")
        return found

    assert repr(await real.in_thread(read)) == repr(given)


async def test_a_damaged_block_is_named_and_ends_the_reading(real: Database) -> None:
    for start in (0, 10, 20):
        block: list[Tick] = [trade(T0 + start + number) for number in range(10)]
        await real.in_thread(TickBlocks(real).insert, block, in_series=False)
    spoilt = real.sync.tick_blocks.find_one({}, sort=[("first_ns", -1)])
    assert spoilt is not None
    real.sync.tick_blocks.update_one({"_id": spoilt["_id"]}, {"$set": {"data": bson.Binary(spoilt["data"] + b"x")}})
    with pytest.raises(Unavailable, match=str(spoilt["_id"])):
        await real.in_thread(in_columns, real, TickQuery("IBM"))
    assert len(await real.in_thread(in_columns, real, TickQuery("IBM", None, T0 + 20))) == 20


def quotes_of(path: Path, count: int) -> list[Tick]:
    """Return the quotes of a file to the digit, numbered within their instants."""
    found: list[Tick] = []
    seq = 0
    with gzip.open(path, "rt") as file:
        for row in islice(csv.DictReader(file), count):
            ts_ns = int(row["ts_utc_ms"]) * 1_000_000
            seq = seq + 1 if found and found[-1].ts_ns == ts_ns else 0
            figures = [Decimal(text) if (text := row.get(name)) else None for name in OF_QUOTES]
            found.append(Quote("IBM", ts_ns, *figures, seq))
    return found


@pytest.mark.parametrize("name", ["eurusd_fxcm_ticks_20140501_15", "ibm_nbbo_20131007_11"])
async def test_real_quotes_come_back_bit_for_bit_from_blocks_and_series(
    real: Database, shared_data: Path, name: str
) -> None:
    given = quotes_of(shared_data / f"ticks/{name}.csv.gz", 60_000)
    bound_ns = given[40_000].ts_ns
    await TicksRepo(real).add([tick for tick in given if tick.ts_ns >= bound_ns])
    sealed = [tick for tick in given if tick.ts_ns < bound_ns]
    for start in range(0, len(sealed), 15_000):
        await real.in_thread(TickBlocks(real).insert, sealed[start : start + 15_000], in_series=False)
    await real.in_thread(TickSeals(real).announce, "IBM", bound_ns)
    await real.in_thread(TickSeals(real).move, "IBM", from_ns=tick_seals.NEVER_NS, to_ns=bound_ns)
    found = await real.in_thread(in_columns, real, TickQuery("IBM"))
    assert repr(found) == repr(given)
