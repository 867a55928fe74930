"""No script of ``ops/mongosh`` reads more because the database has grown: each is seen by the server's own profiler.

Two databases of different size are asked the same with the same bounds. TEST_SCALE=10 makes the larger one of a million
documents of each kind that trading makes.
"""

import asyncio
import os
import re
import sys
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from tornado.ioloop import IOLoop

from qsuite.repos.collections import COLLECTIONS
from qsuite.repos.database import connect
from qsuite.repos.schema import migrate
from tests.support.grown import Grown
from tests.support.mongosh import SCRIPTS, Row, find_mongosh, run_all

SCALE = int(os.environ.get("TEST_SCALE", "1"))
SIZES = (1_000, 4_000) if SCALE == 1 else (20_000, 1_000_000)
READ = 100
MORE = 60
"""What halving a chain reads more of the larger one, and what changes between two looks at the clock."""
SMALL = {"users", "accounts", "tickers", "strategies", "risk_limits", "engine_state", "positions", "strategy_positions"}
"""Collections as large as there are people, symbols and holdings; what else is read needs an index."""
PROFILE_BYTES = 64 << 20
BOUNDS = {"READ": str(READ), "LIMIT": "20"}
PARAMETERS: dict[str, list[Row]] = {
    "audit_tail": [{}, {"CHAIN": "access", "KIND": "login.failed"}, {"SUBJECT": "SYM1"}, {"KIND": "never"}],
    "book_trades": [{"SYMBOL": "SYM1"}, {"SYMBOL": "NONE"}],
    "executions_today": [{}, {"TRADER": "admin", "SYMBOL": "NONE"}],
    "jobs": [{}, {"KIND": "none"}],
    "last_ticks": [{"SYMBOL": "SYM1"}, {"SYMBOL": "SYM1", "KIND": "quote"}],
    "logins": [{}, {"ADDRESS": "198.51.100.1"}],
    "order_story": [{"ORDER": "mine-7"}, {"ORDER": "nothing"}],
    "rejected_orders": [{}, {"CODE": "never"}],
    "risk_events": [{}, {"SEVERITY": "info"}],
    "tick_gaps": [{}, {"SYMBOL": "SYM1", "SECONDS": "0.01"}],
}
OF_NO_COLLECTION = {"long_operations", "replica_set", "slow_commits"}
Profile = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def shell() -> None:
    find_mongosh()


@pytest.fixture(scope="module")
def profiles(shell: None, mongod: str, io_loop: IOLoop) -> Iterator[list[Profile]]:
    """What each script did in each database, by its name."""
    names = [f"test_grown_{uuid.uuid4().hex[:12]}" for _ in SIZES]
    with MongoClient[dict[str, Any]](mongod, uuidRepresentation="standard") as client:
        try:
            for name, size in zip(names, SIZES, strict=True):
                grow(mongod, io_loop, client, name, size)
            asked = [run for name in names for run in runs(name)]
            began = time.monotonic()
            printed = io_loop.run_sync(lambda: asyncio.to_thread(run_all, mongod, asked))
            sys.stdout.write(f"{len(printed)} runs in {time.monotonic() - began:.1f} s\n")
            yield [profile_of(client[name]) for name in names]
        finally:
            for name in names:
                client[name].command("profile", 0)
                client.drop_database(name)


def grow(mongod: str, io_loop: IOLoop, client: MongoClient[dict[str, Any]], name: str, size: int) -> None:
    database = connect(mongod, name, pool_size=4)
    io_loop.run_sync(lambda: migrate(database, COLLECTIONS))
    database.close()
    Grown(client[name], size).fill()
    client[name].create_collection("system.profile", capped=True, size=PROFILE_BYTES)
    client[name].command("profile", 2)


def runs(database: str) -> list[tuple[str, str, Row]]:
    return [
        (f"{database} {script} {number}", script, BOUNDS | given | {"QSUITE_DATABASE": database})
        for script in sorted({path.stem for path in SCRIPTS.glob("*.js")} - {"shared"} - OF_NO_COLLECTION)
        for number, given in enumerate(PARAMETERS.get(script, [{}]))
    ]


def profile_of(db: Any) -> Profile:
    """Tell apart the operations of each script, by the markers between them."""
    found: Profile = defaultdict(list)
    script = ""
    for operation in db["system.profile"].find({"appName": re.compile("^mongosh")}).sort("$natural", 1):
        asked = operation.get("command", {}).get("filter", {})
        if str(asked.get("name", "")).startswith("marker:"):
            script = asked["name"].split(" ", 1)[1]
            found[script] = []
        else:
            found[script].append(operation)
    return found


def test_every_script_was_seen_at_work(profiles: list[Profile]) -> None:
    expected = {name.split(" ", 1)[1] for name, _, _ in runs("x")}
    for profile in profiles:
        assert set(profile) == expected
        assert {script for script, operations in profile.items() if not operations} == set()


def test_no_script_scans_a_collection_that_grows(profiles: list[Profile]) -> None:
    scanned = {
        (script, operation["ns"])
        for profile in profiles
        for script, operations in profile.items()
        for operation in operations
        if "COLLSCAN" in operation.get("planSummary", "") and operation["ns"].split(".", 1)[1] not in SMALL
    }
    assert scanned == set()


@pytest.mark.parametrize("counted", ["docsExamined", "keysExamined"])
def test_no_script_reads_more_in_a_larger_database(profiles: list[Profile], counted: str) -> None:
    small, large = ({script: read(operations, counted) for script, operations in one.items()} for one in profiles)
    sys.stdout.writelines(f"{counted} {script}: {small[script]}, {large[script]}\n" for script in sorted(small))
    grown = {script: (small[script], large[script]) for script in small if large[script] > small[script] + MORE}
    assert grown == {}
    assert max(large.values()) < 20 * READ


def read(operations: list[dict[str, Any]], counted: str) -> int:
    return sum(operation.get(counted, 0) for operation in operations)
