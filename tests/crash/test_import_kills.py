"""SIGKILL during the import and the sealing of real ticks: each comes back as the file has it, in its order, once."""

import csv
import gzip
import itertools
import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from qsuite.domain.market import Tick, Trade
from qsuite.repos import imports, tick_blocks, tick_seals, ticks
from qsuite.repos.database import Database
from qsuite.repos.schema import migrate
from qsuite.repos.ticks import TickQuery, TicksRepo
from qsuite.services.files import open_market_file
from tests.crash.clients import SCALE, end, spawn

FILES = (
    "ibm_trades_20131007_11.csv.gz",
    "ibm_nbbo_20131007_11.csv.gz",
    "eurusd_fxcm_ticks_20140501_15.csv.gz",
    "spy_trades_20131007_08.csv.gz",
)
WHOLE = SCALE > 1
KILLS = 20 if WHOLE else 4
PART_LINES = 20_001
IMPORTING = ("find:before", "block:before", "block:after", "save:before", "save:after", "find:after")
SEALING = ("announce:after", "read:after", "block:before", "block:after", "move:before", "move:after")
SPECS = (ticks.SPEC, tick_blocks.SPEC, tick_seals.SPEC, imports.SPEC)

Figures = tuple[int, tuple[str, ...]]


class Given(NamedTuple):
    """A file, and what it holds as Python's own reader of CSV tells it."""

    path: Path
    symbol: str
    ticks: list[Figures]


@pytest.fixture(params=FILES if WHOLE else FILES[:1])
def given(request: pytest.FixtureRequest, shared_data: Path, tmp_path: Path) -> Given:
    source = shared_data / "ticks" / request.param
    path = tmp_path / request.param
    if WHOLE:
        shutil.copy(source, path)
    else:
        with gzip.open(source, "rt") as whole, gzip.open(path, "wt") as part:
            part.writelines(itertools.islice(whole, PART_LINES))
    # Ticks of one instant stay as they are in the file.
    return Given(path, request.param.split("_")[0].upper(), sorted(told(path), key=lambda tick: tick[0]))


def told(path: Path) -> Iterator[Figures]:
    with gzip.open(path, "rt") as file:
        for row in csv.DictReader(file):
            names = ("price", "size") if "price" in row else ("bid", "ask", "bid_size", "ask_size")
            yield int(row["ts_utc_ms"]) * 1_000_000, tuple(row.get(name, "") for name in names)


def figures(tick: Tick) -> Figures:
    values = (tick.price, tick.size) if isinstance(tick, Trade) else tick[2:6]
    return tick.ts_ns, tuple("" if value is None else str(value) for value in values)


def die(uri: str, database: str, given: Given, work: str, points: tuple[str, ...], rows: int) -> int:
    """Let one victim after the other live, each killed at the next point, and the last one finish."""
    what = str(given.path) if work == "import" else given.symbol
    chance, kills = random.Random(20261121), 0
    for point in itertools.islice(itertools.cycle(points), KILLS):
        victim = spawn(uri, database, "tests.crash.import_victim", work, point, chance.randint(1, 3), rows, what)
        victim.communicate(timeout=600)
        assert end(victim) == -signal.SIGKILL, f"{point} was not reached"
        kills += 1
    last = spawn(uri, database, "tests.crash.import_victim", work, "never", 1, rows, what)
    last.communicate(timeout=600)
    assert end(last) == 0
    return kills


def compare(database: Database, given: Given) -> tuple[int, int, int]:
    """Compare what is read with the file; return how many ticks were read, and which share a place or are not there."""
    read = expected = wrong = 0
    places = set()
    stored = TicksRepo(database).iterate(TickQuery(given.symbol))
    for tick, row in itertools.zip_longest(stored, given.ticks):
        read += tick is not None
        expected += row is not None
        wrong += tick is None or row is None or figures(tick) != row
        if tick is not None:
            places.add((tick.ts_ns, tick.seq, isinstance(tick, Trade)))
    assert expected == len(given.ticks)
    return read, read - len(places), wrong


@pytest.mark.timeout(1_800)
async def test_a_file_imported_through_many_deaths_is_there_once(mongod: str, database: Database, given: Given) -> None:
    # Every death gets a little further, and the last one leaves something to do.
    rows = len(given.ticks) // (4 * KILLS)
    kills = await database.in_thread(die, mongod, database.name, given, "import", IMPORTING, rows)
    assert kills == KILLS
    assert await database.in_thread(compare, database, given) == (len(given.ticks), 0, 0)
    assert await TicksRepo(database).count() == len(given.ticks)
    assert database.sync.ticks.find_one() is None


@pytest.mark.timeout(1_800)
async def test_ticks_sealed_through_many_deaths_are_there_once(mongod: str, database: Database, given: Given) -> None:
    await migrate(database, SPECS)
    file = await database.in_thread(open_market_file, given.path)
    repo = TicksRepo(database)
    for chunk in await database.in_thread(lambda: list(file.chunks())):
        await repo.add([row for row in chunk.rows if isinstance(row, Tick)])
    rows = len(given.ticks) // (4 * KILLS)
    kills = await database.in_thread(die, mongod, database.name, given, "seal", SEALING, rows)
    assert kills == KILLS
    assert await database.in_thread(compare, database, given) == (len(given.ticks), 0, 0)
    assert await repo.seal(given.symbol, 2**62) == 0
