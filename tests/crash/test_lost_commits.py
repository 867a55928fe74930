"""The line to mongod is cut at a commit, by a real proxy: done or not, the engine finds out before it answers.

Some cuts the driver heals by asking the commit's outcome again. Where those are cut, too, the outcome is unknown until
the engine reads from storage which batch was the last.
"""

import asyncio
import random
import re
from collections.abc import Callable

import pytest
from pymongo.uri_parser import parse_uri
from tornado.ioloop import IOLoop

from qsuite.repos.database import Database
from tests.crash.clients import SCALE, Connection, Victim, check_stored, retry_unknown
from tests.crash.crowd import crowd
from tests.support.mongo_proxy import MongoProxy, mongo_proxy_to
from tests.support.waiting import eventually

FAULTS = 30 * SCALE
COMMIT_TIMEOUT_S = 0.5
CUTS = 4
"""The driver asks again by itself; after two or three cuts the time for a commit is over."""


@pytest.mark.timeout(120 * SCALE)
def test_commits_whose_answer_is_lost_are_neither_forgotten_nor_done_twice(
    mongod: str, database: Database, io_loop: IOLoop, capsys: pytest.CaptureFixture[str]
) -> None:
    told = io_loop.run_sync(lambda: lose_commits(mongod, database), timeout=110 * SCALE)
    with capsys.disabled():
        print(f"\n{told}")  # noqa: T201  the figures to quote


async def lose_commits(mongod: str, database: Database) -> str:
    ((_, port),) = parse_uri(mongod)["nodelist"]
    chance = random.Random(20261121)
    async with mongo_proxy_to(port) as proxy:
        uri = f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true"
        # Started and stopped in threads, because it leans on the proxy, which runs on this loop.
        variables = {"VICTIM_COMMIT_TIMEOUT_S": str(COMMIT_TIMEOUT_S)}
        victim = await asyncio.to_thread(Victim, uri, database.name, variables=variables)
        try:
            assert victim.port is not None
            async with crowd(victim.port) as clients:
                for number in range(FAULTS):
                    await cut(proxy, 1 + number % CUTS, lambda: chance.random() < 0.5)
                    await clients.more(20)
                await clients.quiet()
                await retry_unknown(victim.port, clients.token, clients.ledger)
            recoveries = await recoveries_of(victim.port)
            assert await asyncio.to_thread(victim.stop) == 0
        finally:
            victim.kill()
    await asyncio.to_thread(check_stored, database, clients.ledger)
    assert proxy.done
    assert proxy.undone
    assert recoveries, "the driver healed every cut by itself"
    return (
        f"{proxy.cut} commits cut in {FAULTS} faults, {proxy.done} of them done; read back from storage {recoveries} "
        f"times; {len(clients.ledger.acknowledged)} orders: lost 0, doubled 0, {len(clients.refused)} answers 503"
    )


async def cut(proxy: MongoProxy, times: int, heard: Callable[[], bool]) -> None:
    """Cut a commit, and as many times as said the question what became of it, while there are any."""
    before = proxy.cut
    proxy.cut_commits(times, heard)
    await eventually(lambda: proxy.cut > before, what="a commit to cut")


async def recoveries_of(port: int) -> int:
    """Return how many times the engine rebuilt its memory after its first start."""
    async with Connection.open(port) as connection:
        _, figures = await connection.text("GET", "/metrics")
    (found,) = re.findall(r"^qsuite_engine_recoveries(?:_total)? (\d+)", figures, re.MULTILINE)
    return int(found) - 1
