"""Two processes on one database under load, the active one killed or frozen over and over: nothing lost or doubled."""

import asyncio
import signal
import statistics
from collections import Counter
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from qsuite.repos.books import open_books
from qsuite.repos.database import Database
from qsuite.services.books import check_books
from tests.crash.clients import SCALE
from tests.crash.rivals import Client, Ledger, Reader, Rival, log_in, took_over
from tests.support.waiting import eventually

TAKEOVERS = 10
ROUNDS = range(SCALE)
CLIENTS = 16
LEASE_S = 1.0
BETWEEN = 40
"""Orders acknowledged between one takeover and the next, at least."""
TOLD_S = 10.0


class Arena:
    """The two processes, who loads them and who listens to them."""

    def __init__(self, uri: str, database: Database) -> None:
        self.uri = uri
        self.database = database
        self.ledger = Ledger()
        self.rivals: list[Rival] = []
        self.readers: list[Reader] = []
        self.took_s: dict[signal.Signals, list[float]] = {signal.SIGKILL: [], signal.SIGSTOP: []}
        self.checked = 0

    async def start(self) -> None:
        """Start the first, let it make the user, then start the second."""
        for _ in range(2):
            self.rivals.append(self._new_rival())
            await self.rivals[-1].listens()
        self.ledger.token = await log_in(self.rivals[0])
        self.readers = [await Reader(rival, self.ledger).subscribe() for rival in self.rivals]
        assert await self.rivals[0].is_ready()
        assert await self.rivals[1].stands_by()

    def _new_rival(self) -> Rival:
        return Rival(self.uri, self.database.name, LEASE_S)

    async def take_over(self, how: signal.Signals, active: int) -> None:
        """Kill or freeze the active one, see the other one take over and work, and bring the first one back."""
        standby = 1 - active
        self.rivals[active].signal(how)
        self.took_s[how].append(await took_over(self.rivals[standby], timeout_s=20))
        await self.load_on()
        if how is signal.SIGSTOP:
            self.rivals[active].signal(signal.SIGCONT)
        else:
            await self.replace(active)
        await eventually(self.rivals[active].stands_by, timeout_s=20, what="the stale one standing by")
        await asyncio.to_thread(self.check)

    async def load_on(self) -> None:
        """Wait until clients were told of further orders."""
        known = len(self.ledger.acknowledged)
        await eventually(lambda: len(self.ledger.acknowledged) >= known + BETWEEN, timeout_s=30, what="orders")

    async def replace(self, place: int) -> None:
        """Start a new process in the place of a dead one, with a reader of its own."""
        self.ledger.faults += self.readers[place].faults()
        await self.readers[place].end()
        self.rivals[place].end()
        fresh = await self._new_rival().listens()
        self.readers[place] = await Reader(fresh, self.ledger).subscribe()
        self.rivals[place] = fresh

    def check(self) -> None:
        """Compare what clients were told with what is stored, and the books with themselves."""
        names = list(self.ledger.acknowledged)
        told = {name: self.ledger.acknowledged[name] for name in names[self.checked :]}
        self.checked = len(names)
        self._check_stored(told)
        with open_books(self.database) as books:
            check_books(books, self.ledger.faults.append)

    def _check_stored(self, told: dict[str, dict[str, Any]]) -> None:
        stored: dict[str, list[dict[str, Any]]] = {}
        for document in self.database.sync.orders.find({"client_order_id": {"$in": list(told)}}):
            stored.setdefault(document["client_order_id"], []).append(document)
        for name, answer in told.items():
            documents = stored.get(name, [])
            if [str(document["_id"]) for document in documents] != [answer["id"]]:
                self.ledger.faults.append(f"{name} was answered {answer} and is stored as {documents}")
            elif answer["status"] in ("FILLED", "REJECTED") and documents[0]["status"] != answer["status"]:
                self.ledger.faults.append(f"{name} was {answer['status']} and is {documents[0]['status']}")

    def _stored(self) -> list[dict[str, Any]]:
        return list(self.database.sync.orders.find({}, {"client_order_id": 1, "version": 1, "status": 1}))

    async def everything_told(self) -> None:
        """Wait until both readers were told the newest version of everything begun since they listen."""
        stored = await asyncio.to_thread(self._stored)
        for reader in self.readers:
            await eventually(lambda reader=reader: not reader.missing(stored), timeout_s=TOLD_S, what="every version")
            assert reader.gone is None
            self.ledger.faults += reader.faults()
        doubled = [name for name, times in Counter(one["client_order_id"] for one in stored).items() if times > 1]
        assert doubled == []
        cancelled = {str(one["_id"]) for one in stored if one["status"] == "CANCELLED"}
        assert self.ledger.cancelled <= cancelled

    async def end(self) -> None:
        """End everything that was started."""
        for reader in self.readers:
            await reader.end()
        for rival in self.rivals:
            rival.end()


async def battle(arena: Arena) -> None:
    """Take over again and again under load, then let everybody finish."""
    stop = asyncio.Event()
    trading: list[asyncio.Task[None]] = []
    try:
        await arena.start()
        clients = [Client(number, arena.rivals, arena.ledger) for number in range(CLIENTS)]
        trading += [asyncio.create_task(client.trade(stop)) for client in clients]
        await arena.load_on()
        for number in range(TAKEOVERS):
            await arena.take_over(signal.SIGKILL if number % 2 else signal.SIGSTOP, number % 2)
            assert arena.ledger.faults == []
        stop.set()
        async with asyncio.timeout(20):
            await asyncio.gather(*trading)
        await asyncio.to_thread(arena.check)
        await arena.everything_told()
    finally:
        for task in trading:
            task.cancel()
        await asyncio.gather(*trading, return_exceptions=True)
        await arena.end()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("round_number", ROUNDS)
def test_takeovers_under_load_lose_and_double_nothing(
    mongod: str, database: Database, io_loop: IOLoop, capsys: pytest.CaptureFixture[str], round_number: int
) -> None:
    arena = Arena(mongod, database)
    io_loop.run_sync(lambda: battle(arena))
    assert arena.ledger.faults == []
    assert set(arena.ledger.begun) == set(arena.ledger.acknowledged)
    assert len(arena.took_s[signal.SIGKILL] + arena.took_s[signal.SIGSTOP]) == TAKEOVERS
    medians = {how.name: round(statistics.median(took), 2) for how, took in arena.took_s.items()}
    with capsys.disabled():
        print(  # noqa: T201  the figures to quote
            f"\n{TAKEOVERS} takeovers, {len(arena.ledger.acknowledged)} orders: lost 0, doubled 0; median seconds"
            f" {medians} with a lease of {LEASE_S} s; clients met {dict(arena.ledger.seen)}"
        )
