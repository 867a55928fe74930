"""A stack's processes as the clients of ``tests.crash.rivals`` know them, and what must be in storage afterwards."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from ops.stack import Stack, User
from ops.stack.server import Server
from qsuite.repos.database import Database, connect
from tests.crash.rivals import LOST, Client, Ledger, Rival
from tests.crash.trap import PASSWORD
from tests.crash.victim import OPERATOR, SYMBOL, USERNAME

USERS = (User(OPERATOR, PASSWORD, "admin"), User(USERNAME, PASSWORD, "trader"))
"""Those whom the clients of the crash tests log in as."""


class Place(Rival):
    """One process of a stack."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.frozen = False
        self.port = server.port

    async def service(self, name: str) -> str:
        """Return what its /health says of one of its services."""
        _, answer = await self.ask("GET", "/health")
        return str(answer["services"][name])

    async def status(self, path: str) -> int:
        """Return the status of an answer, 0 without one."""
        with suppress(*LOST):
            return (await self.ask("GET", path))[0]
        return 0


class Traders:
    """Clients at two places, who go to the other one whenever one fails them, while the block lasts.

    Each has a number of its own, which its orders' ids begin with.
    """

    def __init__(self, places: Sequence[Place], token: str, numbers: Sequence[int]) -> None:
        self.ledger = Ledger(token=token)
        self._places = list(places)
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._numbers = numbers

    async def __aenter__(self) -> "Traders":
        for number in self._numbers:
            client = Client(number, self._places, self.ledger)
            self._tasks.append(asyncio.create_task(client.trade(self._stop)))
        return self

    async def __aexit__(self, failed: Any, *_: object) -> None:
        self._stop.set()
        try:
            if failed is None:
                async with asyncio.timeout(30):
                    await asyncio.gather(*self._tasks)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def answered(self) -> int:
        """Return how many orders were acknowledged."""
        return len(self.ledger.acknowledged)


@contextmanager
def books_of(stack: Stack) -> Iterator[Database]:
    """Open the database of a stack, to look into it."""
    database = connect(stack.replica_set.uri, "qsuite", pool_size=4)
    try:
        yield database
    finally:
        database.close()


__all__ = ["SYMBOL", "USERS", "Place", "Traders", "books_of"]
