"""How the engine's memory comes out of storage: all of it when recovering, what controls hold when standing by.

recover    head ──> open orders, accounts, controls ──> memory, whole
afterwards client order ids, in the background; until all are known, unknown ones are looked up
stand by   controls alone, again and again, for whoever asks here
"""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from qsuite.domain.errors import Unavailable
from qsuite.domain.trading.commands import TradingHalt
from qsuite.domain.trading.risk import ScopeLimits
from qsuite.domain.trading.seen import SeenIds
from qsuite.domain.trading.state import TradingState
from qsuite.repos.engine_store import Head
from qsuite.services import collector
from qsuite.services.engine_storage import EngineStorage

log = structlog.get_logger(__name__)

# Client order ids read at once in the background after a start: some 2 ms of the loop, then a pause.
LEARN_SLICE = 1_000
LEARN_PAUSE_S = 0.005
# Open orders put into memory at once when recovering: some 5 ms of the loop.
LOAD_SLICE = 500


class EngineMemory:
    """Make memories. ``new_state`` makes an empty one."""

    def __init__(self, storage: EngineStorage, new_state: Callable[[], TradingState]) -> None:
        self._storage = storage
        self._store = storage.store
        self._new_state = new_state
        self._learning: asyncio.Task[None] | None = None
        self._controls: tuple[list[TradingHalt], list[ScopeLimits]] | None = None

    def empty(self) -> TradingState:
        """Make an empty memory, and forget what was last read."""
        self.stop_learning()
        self._controls = None
        return self._new_state()

    async def load(self, head: Head) -> TradingState:
        """Build memory from storage, a slice at a time: a process that stood by goes on serving reads and streams."""
        read, store = self._storage.read, self._store
        memory = self._new_state()
        memory.seen = SeenIds(await read(store.count_orders))
        loaded = await read(store.load_open)
        controls = await read(store.load_controls)
        memory.chain.seq, memory.chain.head = head.audit_seq, head.audit_hash
        memory.load(*loaded._replace(orders=[]))
        for start in range(0, len(loaded.orders), LOAD_SLICE):
            memory.load(orders=loaded.orders[start : start + LOAD_SLICE])
            await asyncio.sleep(0)
        _set_controls(memory, *controls)
        collector.keep(len(memory.orders))
        return memory

    async def changed_controls(self) -> TradingState | None:
        """Return a memory of nothing but the halts and limits that hold; None if they are the same as last time."""
        controls = await self._storage.read(self._store.load_controls)
        if controls == self._controls:
            return None
        memory = self._new_state()
        _set_controls(memory, *controls)
        self._controls = controls
        return memory

    def learn(self, memory: TradingState) -> None:
        """Begin to read every client order id there is, so that new ones need no question to storage."""
        self.stop_learning()
        self._learning = asyncio.create_task(self._learn_client_ids(memory), name="engine-client-ids")

    def stop_learning(self) -> None:
        """Leave the rest of the client order ids unread."""
        if self._learning is not None:
            self._learning.cancel()

    async def _learn_client_ids(self, memory: TradingState) -> None:
        slices = self._store.client_ids(LEARN_SLICE)
        try:
            while rows := await self._storage.read(next, slices, ()):
                for account, client_order_id in rows:
                    memory.seen.add(account, client_order_id)
                await asyncio.sleep(LEARN_PAUSE_S)
        except Unavailable as error:
            log.warning("engine.client_ids_unread", error=str(error))  # so every id is looked up, which is slower
            return
        memory.seen.complete = True


def _set_controls(memory: TradingState, halts: Sequence[TradingHalt], limits: Sequence[ScopeLimits]) -> None:
    memory.halts = {(halt.scope, halt.target): halt for halt in halts}
    memory.limits.load(limits)
