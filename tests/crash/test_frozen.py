"""A database that freezes in the middle of commits: answers stay honest, and nothing is lost or doubled afterwards."""

import asyncio
import os
import signal
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from qsuite.domain.errors import OutcomeUnknown, Unavailable
from qsuite.domain.trading.order import Status
from qsuite.repos.database import connect
from qsuite.repos.engine_store import EngineStore
from qsuite.services.embedded_mongod import EmbeddedMongod, find_mongod
from qsuite.services.engine import TradingEngine
from tests.integration.test_engine import World
from tests.support.waiting import eventually


@pytest.mark.timeout(60)
def test_orders_in_doubt_while_the_database_is_frozen_are_settled_when_it_thaws(
    tmp_path: Path, io_loop: IOLoop
) -> None:
    binary = find_mongod(None)
    if binary is None:
        pytest.skip("no mongod can be had here")
    mongod = EmbeddedMongod(binary, tmp_path, cache_gib=0.25)
    uri = mongod.start()
    asyncio.set_event_loop(io_loop.asyncio_loop)  # type: ignore[attr-defined]  starting it took another one
    database = connect(uri, "frozen", timeout_s=1.0)
    try:
        world = World(database, io_loop)
        world.engine = world.new_engine(EngineStore(database, lease_s=1, commit_timeout_s=1), commit_timeout_s=1)
        io_loop.run_sync(lambda: freeze_under_load(world, mongod.pid))
    finally:
        database.close()
        mongod.stop()


async def freeze_under_load(world: World, pid: int | None) -> None:
    assert pid is not None
    engine = world.engine
    await engine.start()
    answers: dict[str, str] = {}
    clients = [asyncio.create_task(client(world, engine, number, answers)) for number in range(8)]
    await eventually(lambda: len(answers) > 40)
    os.kill(pid, signal.SIGSTOP)
    try:
        await eventually(lambda: "unknown" in answers.values() or "unavailable" in answers.values(), timeout_s=10)
    finally:
        os.kill(pid, signal.SIGCONT)
    known = len([answer for answer in answers.values() if answer == "done"])
    await eventually(lambda: list(answers.values()).count("done") > known + 40, timeout_s=20)
    for task in clients:
        task.cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    for name in [name for name, answer in answers.items() if answer != "done"]:
        assert await place(world, engine, name) is Status.FILLED
    stored = Counter(document["client_order_id"] for document in world.database.sync.orders.find({}))
    assert set(answers) <= set(stored)
    assert set(stored.values()) == {1}
    bought = sum(document["quantity"].to_decimal() for document in world.database.sync.executions.find({}))
    assert bought == len(stored)
    await engine.stop()


async def client(world: World, engine: TradingEngine, number: int, answers: dict[str, str]) -> None:
    for turn in range(10_000):
        name = f"{number}-{turn}"
        try:
            await place(world, engine, name)
            answers[name] = "done"
        except OutcomeUnknown:
            answers[name] = "unknown"
        except Unavailable:
            answers[name] = "unavailable"
            await asyncio.sleep(0.05)


async def place(world: World, engine: TradingEngine, name: str) -> Any:
    outcome = await engine.submit(world.order(quantity=Decimal(1), client_order_id=name, request_hash="same"))
    assert outcome.order is not None
    return outcome.order.status
