"""The primary of a real replica set is killed, frozen or steps down under load: nothing is lost, nothing doubled.

One QSuite serves through all of it. Clients ask again, with the same client order id, until they are answered; some
give up instead, and ask once more at the end. How long nobody was answered is printed, and never asserted.
"""

import asyncio
import random
import statistics
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from pymongo.errors import PyMongoError
from tornado.ioloop import IOLoop

from qsuite.repos.database import Database, connect
from tests.crash.clients import (
    CONNECTION_LOST,
    SCALE,
    Connection,
    Ledger,
    Victim,
    acknowledge,
    check_stored,
    log_in,
    new_order,
    retry_unknown,
)
from tests.support.replica_set import Member, ReplicaSet, running_replica_set
from tests.support.waiting import eventually

CLIENTS = 12
IMPATIENT = 3
"""So many of them go on to another order when one was not answered well."""
AGAIN_S = 0.1
FAULTS = (["kill"] * 4 + ["freeze", "kill", "kill", "kill", "step down", "kill", "freeze", "kill", "kill"]) * SCALE
ACKNOWLEDGED = 60
"""Orders to be acknowledged before each fault, and after it."""


@dataclass
class Crowd:
    """Clients at work, and when they were answered."""

    port: int
    token: str
    ledger: Ledger = field(default_factory=Ledger)
    chance: random.Random = field(default_factory=lambda: random.Random(20261121))
    go: asyncio.Event = field(default_factory=asyncio.Event)
    busy: int = 0
    times: list[float] = field(default_factory=list)
    sent: dict[str, float] = field(default_factory=dict)
    refused: list[tuple[float, float]] = field(default_factory=list)
    """When a 503 came, and how long its client had waited for it."""

    async def client(self, *, patient: bool) -> None:
        """Send one order after the other while ``go`` is set."""
        while True:
            await self.go.wait()
            self.busy += 1
            try:
                await self._settle(new_order(self.chance), patient=patient)
            finally:
                self.busy -= 1

    async def _settle(self, order: dict[str, object], *, patient: bool) -> None:
        self.ledger.unknown[str(order["client_order_id"])] = order
        while True:
            if await self._try(order) or not patient:
                return
            await asyncio.sleep(AGAIN_S)

    async def _try(self, order: dict[str, object]) -> bool:
        """Send an order; True once it is known what became of it."""
        sent = time.monotonic()
        try:
            async with Connection.open(self.port, self.token) as connection:
                status, answer = await connection.call("POST", "/api/v1/orders/", order)
        except CONNECTION_LOST:
            return False
        now = time.monotonic()
        if status == 503:
            self.refused.append((now, now - sent))
            return False
        assert status in (201, 422), answer
        stored = acknowledge(self.ledger, order, status, answer)
        self.times.append(now)
        self.sent[stored["id"]] = sent
        return True

    async def quiet(self) -> None:
        """Let every client finish its order and stop."""
        self.go.clear()
        await eventually(lambda: self.busy == 0, timeout_s=30, what="the end of the load")

    async def more(self, count: int = ACKNOWLEDGED) -> None:
        """Wait until so many more orders were acknowledged."""
        wanted = len(self.times) + count
        await eventually(lambda: len(self.times) >= wanted, timeout_s=40, what="acknowledgements")

    def gap_s(self, since: float) -> float:
        """Return the longest time without an acknowledgement, from the last one before ``since`` on."""
        first = max((index for index, at in enumerate(self.times) if at <= since), default=0)
        counted = self.times[first:]
        return max(after - before for before, after in pairwise(counted))


@asynccontextmanager
async def crowd(port: int) -> AsyncIterator[Crowd]:
    """Log in and let the clients begin; they end with the block."""
    found = Crowd(port, await log_in(port))
    found.go.set()
    tasks = [asyncio.create_task(found.client(patient=number >= IMPATIENT)) for number in range(CLIENTS)]
    try:
        yield found
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


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


@pytest.mark.timeout(300 * SCALE)
def test_failing_primaries_lose_no_acknowledged_order_and_double_none(
    io_loop: IOLoop, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_replica_set() as members, victim_on(members) as (victim, database):
        told = io_loop.run_sync(lambda: fail_often(members, victim, database), timeout=300 * SCALE)
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
