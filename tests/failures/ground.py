"""What the failures around the process are tried on: one stack, its load, and what it must come to afterwards.

crowd ──orders──> engine ──┐                            ┌── pulse: health of both, all the time
reads ──────────> gateway ─┴── proxies ── replica set   │
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

from ops.stack import OPERATOR, Stack, User
from ops.stack.replica_set import Member
from qsuite.repos.database import Database, connect
from tests.crash.clients import CONNECTION_LOST, Connection, check_stored, retry_unknown
from tests.crash.crowd import Crowd, crowd
from tests.crash.trap import PASSWORD
from tests.crash.victim import SYMBOL, USERNAME
from tests.failures.pulse import Pulse
from tests.failures.stacks import stack_or_skip
from tests.support.waiting import eventually

FEED = "FEED"
"""The symbol that the stack's own made-up market brings."""
SETTINGS = {
    "LOG__LEVEL": "error",
    "FEED__KIND": "synthetic",
    "FEED__SYMBOLS": FEED,
    "FEED__STALE_S": "2",
    "SYNTHETIC__RATE": "20",
    "STREAM__HEARTBEAT_S": "0.5",
    "STREAM__STUCK_S": "2",
    "RISK__REFERENCE_SUSPECT": "0.10",
}
WARDEN = User("warden", PASSWORD, "risk_manager")
READ_EVERY_S = 0.05
ORDERS = 20
"""Orders to be acknowledged before each failure, and after it."""


@dataclass
class Reads:
    """Somebody who reads from the database through a gateway all the time; when that worked."""

    times: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    """How long each answer of 503 took."""

    async def read(self, port: int, token: str) -> None:
        """Ask for orders, again and again."""
        while True:
            asked = time.monotonic()
            try:
                async with Connection.open(port, token) as connection:
                    status, answer = await connection.call("GET", "/api/v1/orders/?page_size=1")
            except CONNECTION_LOST as error:
                raise AssertionError("a gateway cut a line") from error
            assert status in (200, 503), answer
            if status == 200:
                self.times.append(time.monotonic())
            else:
                self.refused.append(time.monotonic() - asked)
            await asyncio.sleep(READ_EVERY_S)

    def gap_s(self, since: float) -> float:
        """Return the longest time without an answer, from the last one before ``since`` on."""
        first = max((index for index, at in enumerate(self.times) if at <= since), default=0)
        return max(after - before for before, after in pairwise(self.times[first:]))


@dataclass
class Load:
    """Who is at work during a failure, and when that began."""

    clients: Crowd
    reads: Reads
    pulse: Pulse
    failed_s: float = 0.0
    over_s: float = 0.0

    async def on(self) -> None:
        """Wait until the engine and the gateway work again."""
        known = len(self.reads.times)
        await self.clients.more(ORDERS)
        await eventually(lambda: len(self.reads.times) > known + 1, what="reads at the gateway")


@dataclass
class Ground:
    """The stack, and a line of the test's own to its database."""

    stack: Stack
    database: Database

    @property
    def engine(self) -> int:
        """Return the engine's port."""
        return self.stack.engine.port

    @property
    def gateway(self) -> int:
        """Return the gateway's port."""
        return self.stack.gateways[0].port

    async def primary(self) -> Member:
        """Return the primary as soon as there is one."""
        return await asyncio.to_thread(self.stack.replica_set.wait_primary)

    async def whole(self) -> None:
        """Wait until any member can be spared again."""
        await asyncio.to_thread(self.stack.replica_set.wait_whole)

    @asynccontextmanager
    async def load(self) -> AsyncIterator[Load]:
        """Let all of them work; in the end ask again for what is in doubt, and hold storage against what was told."""
        async with crowd(self.engine) as clients, Pulse(self.engine, self.gateway) as pulse:
            found = Load(clients, Reads(), pulse)
            reading = asyncio.create_task(found.reads.read(self.gateway, clients.token))
            try:
                await found.on()
                yield found
                await clients.quiet()
                assert not reading.done(), reading
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
            await retry_unknown(self.engine, clients.token, clients.ledger)
            found.over_s = time.monotonic()
            await asyncio.to_thread(check_stored, self.database, clients.ledger)
        assert pulse.alive()


@contextmanager
def running_ground() -> Iterator[Ground]:
    """Run the stack; the test is skipped where a program it needs is missing."""
    users = (OPERATOR, User(USERNAME, PASSWORD, "trader"), WARDEN)
    with stack_or_skip(standby=False, gateways=1, workers=0, proxies=True, users=users, settings=SETTINGS) as stack:
        database = connect(stack.replica_set.uri, "qsuite", pool_size=4)
        try:
            stack.quote(SYMBOL)
            yield Ground(stack, database)
        finally:
            database.close()
