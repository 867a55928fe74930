"""One simulated server process: the real engine on the real storage code, over a simulated database.

It can die between any two steps of the loop and between any two statements; what it knew is gone then, and what it had
begun in the database stays there half done.
"""

import asyncio
from typing import TYPE_CHECKING, Any

from pymongo.errors import AutoReconnect

from qsuite.domain.errors import Unavailable
from qsuite.domain.trading.commands import Command, Outcome
from qsuite.repos.engine_store import EngineStore, Head
from qsuite.services.engine import TradingEngine
from qsuite.services.engine_jobs import EngineState
from qsuite.settings import EngineSettings
from tests.simulation.client import Client
from tests.simulation.loop import Died, belongs_to
from tests.simulation.server import Transaction

if TYPE_CHECKING:
    from tests.simulation.world import World

SETTINGS = EngineSettings(lease_s=3.0, commit_timeout_s=5.0, batch_max=8)


class Store(EngineStore):
    """The engine's storage, told who its process is and who is dead: all of them run in one real process."""

    process: "Process"

    def acquire(self, *_: Any, **__: Any) -> Head | None:
        return super().acquire(self.process.identity, self.process.world.is_dead)


class Engine(TradingEngine):
    """The engine, which in a dead process is not begun again: nothing is."""

    process: "Process"

    def _begin(self) -> None:
        if self.process.alive:
            super()._begin()


class Process:
    """A server that takes commands while it lives."""

    def __init__(self, world: "World", number: int) -> None:
        self.world = world
        self.number = number
        self.identity = {"host": "simulated", "boot": "", "pid": number}
        self.alive = True
        self.stopping = False
        self.tasks: list[asyncio.Task[Any]] = []
        self.skew_ns = 0
        self.context = belongs_to(self)
        self.died: asyncio.Future[None] = world.loop.create_future()
        database: Any = Client(world.server, world.new_id, self._at, self._in_doubt)
        self.store = Store(database, lease_s=SETTINGS.lease_s, commit_timeout_s=SETTINGS.commit_timeout_s)
        self.store.process = self
        self.engine = Engine(
            store=self.store, new_state=world.new_state, settings=SETTINGS, clock=lambda: world.now_ns() + self.skew_ns
        )
        self.engine.process = self
        self.engine.listen(lambda announcements: world.judge.heard(self, announcements))

    def __repr__(self) -> str:
        return f"process {self.number}"

    @property
    def serves(self) -> bool:
        return self.alive and self.engine.state is EngineState.ACTIVE

    def start(self) -> None:
        self.world.note(f"{self} starts")
        self.world.loop.create_task(self.engine.start(), context=self.context)

    async def stop(self) -> None:
        """End in an orderly way, as on SIGTERM."""
        self.stopping = True
        self.world.note(f"{self} stops")
        task = self.world.loop.create_task(self.engine.stop(), context=self.context)
        await asyncio.wait({task, self.died}, return_when=asyncio.FIRST_COMPLETED)
        self.die()

    def die(self) -> None:
        """End at once: no task takes another step, no answer arrives."""
        if not self.alive:
            return
        self.world.note(f"{self} ends")
        self.alive = False
        for task in self.tasks:
            task.cancel()
        if not self.died.done():
            self.died.set_result(None)

    async def ask(self, command: Command) -> Outcome | None:
        """Have a command done and return its outcome; None if the process dies before it answers."""
        if not self.alive:
            raise Unavailable("nobody listens there")
        task = self.world.loop.create_task(self.engine.submit(command), context=self.context)
        await asyncio.wait({task, self.died}, return_when=asyncio.FIRST_COMPLETED)
        if not self.alive or task.cancelled():
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            return None
        return task.result()

    # -- what may happen to it ----------------------------------------------------------------------------------

    def delays(self) -> tuple[float, float]:
        return self.world.delays(self)

    def _at(self, point: str) -> None:
        if not self.alive:
            raise Died
        match self.world.fault(self, point):
            case "dies":
                self.world.counts["died"] += 1
                raise Died
            case "broken":
                raise AutoReconnect(f"connection lost at {point}")
            case "usurped":
                self.world.usurp()

    def _in_doubt(self, transaction: Transaction) -> str | None:
        return self.world.doubt(self, transaction)
