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
from tests.crash.crowd import CLIENTS, crowd
from tests.support.mongod import running_replica_set
from tests.support.waiting import eventually

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


@pytest.mark.timeout(120)
def test_without_a_quorum_no_order_is_acknowledged_and_those_in_doubt_are_settled_afterwards(
    io_loop: IOLoop, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_replica_set() as members, victim_on(members) as (victim, database):
        told = io_loop.run_sync(lambda: lose_quorum(members, victim, database), timeout=110)
        assert victim.stop() == 0
    with capsys.disabled():
        print(f"\n{told}")  # noqa: T201  the figures to quote


async def lose_quorum(members: ReplicaSet, victim: Victim, database: Database) -> str:
    assert victim.port is not None
    async with crowd(victim.port) as clients, Pulse(victim.port) as pulse:
        await clients.more()
        primary = await asyncio.to_thread(members.wait_primary)
        others = [one for one in members.members if one is not primary]
        for one in others:
            one.kill()
        lost_at = time.monotonic()
        await eventually(lambda: len(clients.refused) > 3 * CLIENTS, timeout_s=40, what="refusals")
        answered = [at for name, at in clients.sent.items() if at > lost_at]
        assert answered == [], "an order sent without a quorum was acknowledged"
        refused = [wait for at, wait in clients.refused if at > lost_at]
        in_doubt = set(clients.ledger.unknown)
        for one in others:
            one.start()
        healed_at = time.monotonic()
        await asyncio.to_thread(members.wait_primary)
        primary_s = time.monotonic() - healed_at
        await clients.more()
        await clients.quiet()
        await retry_unknown(victim.port, clients.token, clients.ledger)
        settled_s = time.monotonic() - healed_at
        assert in_doubt <= set(clients.ledger.acknowledged)
        await asyncio.to_thread(check_stored, database, clients.ledger)
    return (
        f"no quorum: 0 of {len(refused)} answers were acknowledgements; 503 after {spread(refused)}; "
        f"{len(in_doubt)} orders in doubt settled {settled_s:.1f} s after healing, "
        f"{settled_s - primary_s:.1f} s after there was a primary; /health/live {spread(pulse.waits_s)}"
    )
