"""The engine's storage as its loop sees it: every call waits in a thread, and the lease is kept alive beside them.

writer   acquire, commit, renew, release: one thread, so that statements of two batches never interleave
reader   what is loaded while a commit is on its way
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from qsuite.domain.trading.changes import Missing
from qsuite.repos.engine_batch import Batch
from qsuite.repos.engine_loading import Loaded
from qsuite.repos.engine_store import EngineStore, Head
from qsuite.services.engine_owner import owner, owner_is_dead
from qsuite.services.engine_stages import CommitFigures

T = TypeVar("T")


class EngineStorage:
    """Call a store in its threads. ``signed_s``: when the lease was last extended, on the monotonic clock."""

    def __init__(self, store: EngineStore, *, lease_s: float) -> None:
        self.store = store
        self.quiet_s = lease_s / 3
        """After so long without a commit the lease is renewed by itself."""
        self.signed_s = 0.0
        self.commits = CommitFigures()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="qsuite-engine")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="qsuite-engine-load")

    # Nothing here is a coroutine that need not be: on an order's way each would be one more frame.

    def acquire(self) -> asyncio.Future[Head | None]:
        """Take the lease; None while another process holds it."""
        return self._write(lambda: self.store.acquire(owner(), owner_is_dead))  # owner() reads files

    def commit(self, batch: Batch) -> asyncio.Future[None]:
        """Write a batch. Fenced, NotCommitted or CommitUnknown say what happened instead."""
        return self._write(self._commit, batch)

    def _commit(self, batch: Batch) -> None:
        began_s, failed = time.perf_counter(), None
        try:
            self.store.commit(batch)
        except BaseException as error:
            failed = error
            raise
        finally:
            self.commits.note(began_s, batch.statements, failed)

    def release(self) -> asyncio.Future[None]:
        """Give the lease back."""
        return self._write(self.store.release)

    def load(self, missing: Missing) -> asyncio.Future[Loaded]:
        """Load what a batch needs."""
        return self.read(self.store.load, missing)

    def read(self, work: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Do something in the reader's thread."""
        return asyncio.get_running_loop().run_in_executor(self._reader, work, *args)

    def announce(self, address: str) -> None:
        """Say in the lease where this process is reached, from when it is signed next: at once where it is quiet."""
        self.store.address = address
        self.signed_s = 0.0

    async def renew_if_quiet(self) -> None:
        """Extend the lease, unless that was done not long ago. Fenced if another process took the engine."""
        if time.monotonic() - self.signed_s > self.quiet_s:
            await self._write(self.store.renew)
            self.signed_s = time.monotonic()

    async def while_holding(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something that may take longer than the lease, and renew it meanwhile."""
        task = asyncio.create_task(work, name="engine-load")
        try:
            while not (await asyncio.wait({task}, timeout=self.quiet_s))[0]:
                await self._write(self.store.renew)
            return task.result()
        finally:
            task.cancel()

    async def close(self) -> None:
        """End both threads, with what they have begun."""
        for pool in (self._writer, self._reader):
            await asyncio.to_thread(pool.shutdown)

    def _write(self, work: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._writer, work, *args)
