"""A QSuite that was backed up while four traders traded, and what became of it."""

import asyncio
import itertools
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from qsuite.domain.market import Quote
from qsuite.repos.books import open_books
from qsuite.repos.database import Database
from qsuite.repos.snapshots import open_snapshot
from qsuite.repos.state_hash import read_state, state_hash
from qsuite.services.backup.take import Taken, take
from qsuite.services.books import Disagreement, check_books
from qsuite.settings import Settings
from tests.support.client import ApiClient
from tests.support.running_app import SECRET, Api, running_api
from tests.support.waiting import eventually

SYMBOL = "SAFE"
SECRET_ID = "0123456789abcdef"
HEADS = "audit-heads.jsonl"
RATE = 400_000.0
"""Bytes a second: slow enough for many orders to be placed beside it."""


@dataclass
class Traded:
    """What was done, and where it is. ``before`` and ``during`` are orders acknowledged by then."""

    database: Database
    data_dir: Path
    path: Path
    taken: Taken
    before: list[str]
    during: list[str]
    username: str = ""
    after: list[str] = field(default_factory=list)


@asynccontextmanager
async def backed_up(settings: Settings, database: Database, folder: Path) -> AsyncIterator[Traded]:
    """Trade, back up meanwhile, trade on, and stop; yield what is left."""
    often = replace(settings, audit=replace(settings.audit, heads_s=0.1))
    data_dir = folder / "data"
    async with running_api(often, database, data_dir) as api:
        await api.services.reference.ensure_ticker(SYMBOL, {"name": "kept safe"})
        await quote(api)
        done: list[str] = []
        traders = [await api.new_client("trader") for _ in range(4)]
        ended = asyncio.Event()
        work = [asyncio.ensure_future(trade(api, one, done, ended)) for one in (api.trader, *traders)]
        await eventually(lambda: len(done) >= 150)
        heads = data_dir / HEADS
        await eventually(heads.exists)
        before = list(done)
        path = folder / "under-load.tar"
        taken = await database.in_thread(take, database, path, heads_file=heads, secret=SECRET_ID, rate=RATE)
        during = done[len(before) :]
        await eventually(lambda: len(done) > len(before) + len(during))
        ended.set()
        await asyncio.gather(*work)
        username = api.trader.user["username"]
    yield Traded(database, data_dir, path, taken, before, during, username, done)


async def quote(api: Api) -> None:
    await api.services.market.publish([Quote(SYMBOL, time.time_ns(), Decimal("99.98"), Decimal("100.02"))])


async def trade(api: Api, client: ApiClient, done: list[str], ended: asyncio.Event) -> None:
    """Buy, sell and leave open orders in turns, one after the other."""
    for number in itertools.count():
        if ended.is_set():
            return
        side = "SELL" if number % 3 == 2 else "BUY"
        order = {"symbol": SYMBOL, "side": side, "order_type": "MARKET", "quantity": "1"}
        if number % 10 == 9:
            order |= {"side": "BUY", "order_type": "LIMIT", "price": "98.00", "time_in_force": "GTC"}
        answer = await client.post("/api/v1/orders/", {**order, "client_order_id": uuid.uuid4().hex})
        assert answer.status == 201, answer
        done.append(answer.json["id"])
        if number % 20 == 0:
            await quote(api)


def state_of(database: Database) -> str:
    """Return the state hash of a database."""
    with open_snapshot(database) as snapshot:
        return state_hash(read_state(snapshot))


def disagreements(database: Database) -> list[Disagreement]:
    """Return what the books of a database contradict themselves in."""
    found: list[Disagreement] = []
    with open_books(database) as books:
        check_books(books, found.append)
    return found


def server_settings(mongod: str, database: Database) -> dict[str, Any]:
    """Return the settings of a process on such a database."""
    return {"MONGODB_URI": mongod, "DATABASE": database.name, "SECRET_KEY": SECRET}
