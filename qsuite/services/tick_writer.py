"""Live ticks on their way to storage: gathered, written in batches, and kept until they are there.

    put ──> waiting ──(every flush)──> add ──> stored
                            └──failed──> doubtful ──(next flush)──> add_new ──> stored

Invariant: a tick that was put is stored exactly once or still held here; none is dropped. A write that failed may have
stored some of its ticks, so those are looked up before they are written again. When storage falls behind, ``room``
makes the feeds wait.
"""

import asyncio
from collections.abc import Sequence

import structlog

from qsuite.domain.errors import OutcomeUnknown, Unavailable
from qsuite.domain.market import Tick
from qsuite.repos.ticks import TicksRepo

log = structlog.get_logger(__name__)

BATCH_TICKS = 20_000
WAITING_MAX = 200_000


class TickWriter:
    """Write ticks in the order they came. A supervised loop, which backs off while storage is away."""

    name = "tick_writer"

    def __init__(self, repo: TicksRepo, *, interval_s: float, waiting_max: int = WAITING_MAX) -> None:
        self.interval_s = interval_s
        self.written = 0
        self.failures = 0
        self._repo = repo
        self._waiting_max = waiting_max
        self._waiting: list[Tick] = []
        self._doubtful: list[Tick] = []
        self._put = 0
        self._writing: asyncio.Task[Exception | None] | None = None
        self._room = asyncio.Event()
        self._room.set()

    @property
    def waiting(self) -> int:
        """Return how many ticks are not known to be stored."""
        return self._put - self.written

    @property
    def full(self) -> bool:
        """Say whether feeds have to wait for storage."""
        return not self._room.is_set()

    def put(self, ticks: Sequence[Tick]) -> None:
        """Take ticks in. Callers wait for ``room`` first; what is put is taken, however much it is."""
        self._waiting.extend(ticks)
        self._put += len(ticks)
        if self.waiting >= self._waiting_max:
            self._room.clear()

    async def room(self) -> None:
        """Wait until storage has caught up enough for more ticks."""
        await self._room.wait()

    async def run_once(self, now: int) -> None:
        """Write what waits."""
        await self.flush()

    async def flush(self) -> None:
        """Write everything put before this call. Unavailable when storage is away; nothing is lost by that."""
        target = self._put
        while self.written < target:
            if self._writing is None or self._writing.done():
                self._writing = asyncio.create_task(self._write_batch())
            # One batch at a time, in a task of its own: a caller who gives up must not leave a batch half known.
            error = await asyncio.shield(self._writing)
            if error is not None:
                raise error

    async def stored(self, timeout_s: float) -> None:
        """Return when everything put before this call is durable.

        OutcomeUnknown when that fails or takes too long: the ticks are kept, and written when storage is back.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self.flush()
        except (TimeoutError, Unavailable):
            raise OutcomeUnknown("the ticks are live, and will be stored as soon as the database takes them") from None

    async def _write_batch(self) -> Exception | None:
        """Write the next batch, the doubtful ticks first; return what went wrong."""
        doubtful = self._doubtful
        batch = doubtful or self._waiting[:BATCH_TICKS]
        try:
            await (self._repo.add_new(batch) if doubtful else self._repo.add(batch))
        except Exception as error:  # noqa: BLE001  whatever it was, the ticks stay; the flush raises it
            if not doubtful:
                self._doubtful, self._waiting = batch, self._waiting[len(batch) :]
            self.failures += 1
            log.warning("ticks.not_stored", held=self.waiting, error=str(error))
            return error
        if doubtful:
            self._doubtful = []
        else:
            self._waiting = self._waiting[len(batch) :]
        self.written += len(batch)
        if self.waiting < self._waiting_max:
            self._room.set()
        return None
