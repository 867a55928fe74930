"""The primary of a real replica set is killed, frozen or steps down under load: nothing is lost, nothing doubled.

One QSuite serves through all of it. Clients ask again, with the same client order id, until they are answered; some
give up instead, and ask once more at the end. How long nobody was answered is printed, and never asserted.
"""

import asyncio
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from pymongo.errors import PyMongoError
from tornado.ioloop import IOLoop

from ops.stack.replica_set import Member, ReplicaSet
from qsuite.repos.database import Database, connect
from tests.crash.clients import SCALE, Connection, Victim, check_stored, retry_unknown
from tests.crash.crowd import crowd
from tests.support.mongod import running_replica_set

FAULTS = ["kill"] * 4 + ["freeze", "kill", "kill", "kill", "step down", "kill", "freeze", "kill", "kill"]
ROUNDS = range(SCALE)
"""Each on a set of its own: after every fault all that is stored is read."""


class Pulse:
    """Ask /health/live all the time; every answer must be 200."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.waits_s: list[float] = []

    async def __aenter__(self) -> "Pulse":
        self._task = asyncio.create_task(self._ask())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert not self._task.done(), self._task
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _ask(self) -> None:
        async with Connection.open(self._port) as connection:
            while True:
                before = time.monotonic()
                async with asyncio.timeout(10):
                    status, _ = await connection.call("GET", "/health/live")
                assert status == 200
                self.waits_s.append(time.monotonic() - before)
                await asyncio.sleep(0.02)


@contextmanager
def victim_on(members: ReplicaSet) -> Iterator[tuple[Victim, Database]]:
    """Run a QSuite over the set, and give the test a connection of its own."""
    database = connect(members.uri, "primary_kills", pool_size=4)
    victim = Victim(members.uri, database.name)
    try:
        yield victim, database
    finally:
        victim.kill()
        database.close()


def kill(primary: Member) -> Callable[[], None]:
    primary.kill()
    return primary.start


def freeze(primary: Member) -> Callable[[], None]:
    primary.freeze()
    return primary.thaw


def step_down(primary: Member) -> Callable[[], None]:
    with suppress(PyMongoError):
        primary.command("replSetStepDown", 10, secondaryCatchUpPeriodSecs=5)
    return lambda: None


HOW = {"kill": kill, "freeze": freeze, "step down": step_down}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("round_number", ROUNDS)
def test_failing_primaries_lose_no_acknowledged_order_and_double_none(
    io_loop: IOLoop, capsys: pytest.CaptureFixture[str], round_number: int
) -> None:
    with running_replica_set() as members, victim_on(members) as (victim, database):
        told = io_loop.run_sync(lambda: fail_often(members, victim, database), timeout=300)
        assert victim.stop() == 0
    with capsys.disabled():
        print(f"\n{told}")  # noqa: T201  the figures to quote


async def fail_often(members: ReplicaSet, victim: Victim, database: Database) -> str:
    assert victim.port is not None
    gaps: dict[str, list[float]] = defaultdict(list)
    async with crowd(victim.port) as clients, Pulse(victim.port) as pulse:
        for fault in FAULTS:
            await clients.more()
            primary = await asyncio.to_thread(members.wait_primary)
            failed_at = time.monotonic()
            mend = await asyncio.to_thread(HOW[fault], primary)
            await asyncio.to_thread(members.wait_primary)
            await clients.more()
            gaps[fault].append(clients.gap_s(failed_at))
            mend()
            await clients.quiet()
            await asyncio.to_thread(check_stored, database, clients.ledger)
            await asyncio.to_thread(members.wait_whole)
            clients.go.set()
        await clients.quiet()
        await retry_unknown(victim.port, clients.token, clients.ledger)
        await asyncio.to_thread(check_stored, database, clients.ledger)
    lines = [f"{len(FAULTS)} failing primaries, {len(clients.ledger.acknowledged)} orders: lost 0, doubled 0"]
    lines += [f"without an answer, {fault}: {spread(values)}" for fault, values in gaps.items()]
    lines.append(f"refused with 503: {len(clients.refused)}")
    lines.append(f"/health/live answered {len(pulse.waits_s)} times, {spread(pulse.waits_s)}")
    return "\n".join(lines)


def spread(seconds: list[float]) -> str:
    """Name the number, the median and the largest of some times."""
    return f"n {len(seconds)}, median {statistics.median(seconds):.3f} s, max {max(seconds):.3f} s"
