"""A whole QSuite that kills itself with SIGKILL at a named point: ``python -m tests.crash.victim POINT HITS``.

The point is ``collection.method:before|after`` for a statement of the engine's store, ``store.method:before|after`` for
a step of it, or ``commit.during`` for a moment while the commit is on its way. ``never`` kills nothing. Prints the port
when it listens. VICTIM_COMMIT_TIMEOUT_S lets the store give a commit up before those who wait for it do.
"""

import asyncio
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from qsuite.app import build
from qsuite.composition.parts import Parts
from qsuite.domain.market import Quote
from qsuite.domain.roles import Role
from qsuite.repos.engine_batch import Batch
from qsuite.repos.engine_store import EngineStore
from tests.crash.trap import PASSWORD, Trap, begin, serve

USERNAME, OPERATOR = "victim", "operator"
SYMBOL = "CRASH"


class TrappedCollection:
    """A collection whose calls hit the trap before and after."""

    def __init__(self, collection: Any, name: str, trap: Trap) -> None:
        self._collection, self._name, self._trap = collection, name, trap

    def __getattr__(self, method: str) -> Callable[..., Any]:
        real = getattr(self._collection, method)

        def trapped(*args: Any, **kwargs: Any) -> Any:
            self._trap.hit(f"{self._name}.{method}:before")
            result = real(*args, **kwargs)
            self._trap.hit(f"{self._name}.{method}:after")
            return result

        return trapped


class TrappedDatabase:
    """A database of trapped collections."""

    def __init__(self, database: Any, trap: Trap) -> None:
        self._database, self._trap = database, trap

    def __getattr__(self, name: str) -> TrappedCollection:
        return TrappedCollection(self._database[name], name, self._trap)


class TrappedStore(EngineStore):
    """The engine's real store, with traps between its steps."""

    def __init__(self, database: Any, trap: Trap, **kwargs: Any) -> None:
        super().__init__(database, **kwargs)
        self._trap = trap
        self._db: Any = TrappedDatabase(self._db, trap)

    def acquire(self, *args: Any) -> Any:
        head = super().acquire(*args)
        self._trap.hit("store.acquire:after")
        return head

    def load_open(self) -> Any:
        loaded = super().load_open()
        self._trap.hit("store.load_open:after")
        return loaded

    def load(self, missing: Any) -> Any:
        loaded = super().load(missing)
        self._trap.hit("store.load:after")
        return loaded

    def commit(self, batch: Batch) -> None:
        if self._trap.point == "commit.during":
            threading.Thread(target=self._kill_soon, daemon=True).start()
        super().commit(batch)
        self._trap.hit("store.commit:after")

    def _kill_soon(self) -> None:
        time.sleep(random.uniform(0, 0.006))
        self._trap.hit("commit.during")


async def main(point: str, hits: int) -> None:
    settings, database = begin()
    trap = Trap(point, hits)
    engine = settings.engine
    commit_timeout_s = float(os.environ.get("VICTIM_COMMIT_TIMEOUT_S", engine.commit_timeout_s))
    store = TrappedStore(database, trap, lease_s=engine.lease_s, commit_timeout_s=commit_timeout_s)
    app = await build(settings, database, Parts(engine_store=store))
    await app.start()
    services = app.services
    for username, role, cash in ((USERNAME, Role.TRADER, Decimal(10_000_000)), (OPERATOR, Role.ADMIN, None)):
        if await services.users.find_by_username(username) is None:
            await services.users.create(username, PASSWORD, role, cash)
    await services.reference.ensure_ticker(SYMBOL, {"name": "for crashes"})
    await services.market.publish([Quote(SYMBOL, time.time_ns(), Decimal("99.99"), Decimal("100.01"))])

    def announced(announcements: Sequence[Any]) -> None:
        trap.hit("announced")

    app.engine.listen(announced)
    await serve(app)
    database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
