"""SIGKILL at named points of the engine's way to storage, under load: no acknowledged order is lost, none is doubled.

Every victim is started on what the one before it left, so each start is also a recovery that is checked.
"""

import asyncio
import random
import signal
from contextlib import suppress
from functools import partial

import pytest
from tornado.ioloop import IOLoop

from qsuite.repos.database import Database
from tests.crash.clients import (
    CONNECTION_LOST,
    SCALE,
    Connection,
    Ledger,
    Victim,
    check_stored,
    log_in,
    new_order,
    place,
    retry_unknown,
)

POINTS = [
    "store.acquire:after",
    "store.load_open:after",
    "store.load:after",
    "engine_state.update_one:before",
    "engine_state.update_one:after",
    "orders.insert_many:after",
    "executions.insert_many:before",
    "accounts.bulk_write:after",
    "positions.bulk_write:before",
    "audit_log.insert_many:after",
    "commit.during",
    "store.commit:after",
    "announced",
]
# Steps sure to be taken once a life: taking the lease, recovering, reading what is not in memory.
HIT_ONCE = {"store.acquire:after", "store.load_open:after", "store.load:after"}
KILLS = 50
ROUNDS = range(SCALE)
"""Each on a database of its own: after every kill all that is stored is read."""
CLIENTS = 16


@pytest.mark.timeout(900)
@pytest.mark.parametrize("round_number", ROUNDS)
def test_kills_lose_no_acknowledged_order_and_double_none(
    mongod: str, database: Database, io_loop: IOLoop, capsys: pytest.CaptureFixture[str], round_number: int
) -> None:
    chance, ledger = random.Random(20261121 + round_number), Ledger()
    for number in range(KILLS):
        point = POINTS[number % len(POINTS)]
        victim = Victim(mongod, database.name, point, 1 if point in HIT_ONCE else chance.randint(1, 40))
        try:
            io_loop.run_sync(partial(live, victim, ledger, chance))
            assert victim.process.wait(60) == -signal.SIGKILL, f"{point} was not reached"
        finally:
            victim.kill()
        ledger.kills[point] += 1
        check_stored(database, ledger)
    last = Victim(mongod, database.name)
    try:
        assert last.port is not None
        io_loop.run_sync(partial(settle_all, last.port, ledger))
        assert last.stop() == 0
    finally:
        last.kill()
    check_stored(database, ledger)
    assert sum(ledger.kills.values()) == KILLS
    assert len(ledger.acknowledged) > KILLS
    summary = f"{KILLS} kills at {len(ledger.kills)} points, {len(ledger.acknowledged)} orders: lost 0, doubled 0"
    with capsys.disabled():
        print(f"\n{summary}")  # noqa: T201  the figure to quote


async def live(victim: Victim, ledger: Ledger, chance: random.Random) -> None:
    """Load the victim until it is dead; one that died while starting is given no load."""
    if victim.port is None:
        return
    try:
        token = await log_in(victim.port)
        await retry_unknown(victim.port, token, ledger)
        await cancel_ended(victim.port, token, ledger)
        async with asyncio.timeout(60):  # a point that is never reached fails the test instead of holding it
            await asyncio.gather(*(trade(victim.port, token, ledger, chance) for _ in range(CLIENTS)))
    except CONNECTION_LOST:
        return


async def cancel_ended(port: int, token: str, ledger: Ledger) -> None:
    """Ask to cancel an order that was filled: a new life has none such in memory, so it must be read."""
    filled = next((answer for answer in ledger.acknowledged.values() if answer["status"] == "FILLED"), None)
    if filled is not None:
        async with Connection.open(port, token) as connection:
            status, answer = await connection.call("POST", f"/api/v1/orders/{filled['id']}/cancel/")
            assert (status, answer["order"]["status"]) == (409, "FILLED"), answer


async def trade(port: int, token: str, ledger: Ledger, chance: random.Random) -> None:
    """Place orders and cancel some of them until the server is gone."""
    with suppress(*CONNECTION_LOST):
        async with Connection.open(port, token) as connection:
            while True:
                stored = await place(connection, ledger, new_order(chance))
                if stored["status"] == "PENDING" and chance.random() < 0.9:  # only so many may rest
                    status, answer = await connection.call("POST", f"/api/v1/orders/{stored['id']}/cancel/")
                    assert status == 200, answer
                    ledger.cancelled.add(stored["id"])


async def settle_all(port: int, ledger: Ledger) -> None:
    await retry_unknown(port, await log_in(port), ledger)
