"""SIGKILL while ticks are stored and sealed: what was acknowledged is read once, in order, after every death."""

import random
import signal
import subprocess
import sys

import pytest

from qsuite.domain.market import Tick
from qsuite.repos.database import Database
from qsuite.repos.tick_queries import order_of
from qsuite.repos.ticks import TickQuery, TicksRepo
from tests.crash.clients import SCALE
from tests.crash.sealing_victim import COUNT, SYMBOL, given

STEPS = ("announce", "read", "block", "move", "remove", "insert", "late")
POINTS = [f"{step}:{when}" for step in STEPS for when in ("before", "after")]


def live(uri: str, name: str, point: str, hits: int, acknowledged: int) -> tuple[int, int]:
    """Let a victim live; return how it ended, and how many ticks are acknowledged then."""
    command = [sys.executable, "-m", "tests.crash.sealing_victim", uri, name, point, str(hits), str(acknowledged)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=False)
    lines = ended.stdout.split()
    return ended.returncode, int(lines[-1]) if lines else acknowledged


async def read(database: Database) -> list[Tick]:
    return await TicksRepo(database).read(TickQuery(SYMBOL), 10 * COUNT)


@pytest.mark.timeout(600)
async def test_ticks_survive_a_kill_at_every_step_of_storing_and_sealing(mongod: str, database: Database) -> None:
    chance, arriving, acknowledged = random.Random(20261121), given(), 0
    for point in POINTS * SCALE:
        hits = 1 if "remove" in point else chance.randint(1, 4)  # there is little to merge in one life
        code, acknowledged = await database.in_thread(live, mongod, database.name, point, hits, acknowledged)
        assert code == -signal.SIGKILL, f"{point} was not reached"
        found = await read(database)
        assert [order_of(tick) for tick in found] == sorted(map(order_of, found))
        assert len(set(found)) == len(found)
        assert set(arriving[:acknowledged]) <= set(found) <= set(arriving)
    code, acknowledged = await database.in_thread(live, mongod, database.name, "never", 1, acknowledged)
    assert (code, acknowledged) == (0, COUNT)
    assert [repr(tick) for tick in await read(database)] == [repr(tick) for tick in sorted(arriving, key=order_of)]
    assert database.sync.tick_blocks.count_documents({}) > 0
