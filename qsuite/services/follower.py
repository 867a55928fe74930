"""While another process has the engine: tell this one's subscribers what that one made durable.

    audit log ──(from the last entry told)──> journal ──> retell ──> the engine's listeners ──> stream

Exactly one of the engine and this tells: ``told``, the last audit entry told by either, is handed from one to the
other. The engine starts it when it stands by; when it takes the lease it has everything told up to where the other one
ended, and only then goes on itself. Invariant: every entry is told once, in order, or its readers are cut off to begin
again with a snapshot.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from uuid import UUID

import structlog

from qsuite.domain.errors import QSuiteError
from qsuite.domain.trading.changes import Announcement
from qsuite.repos.journal import Journal

log = structlog.get_logger(__name__)

EVERY_S = 0.05
AFTER_A_FAILURE_S = 0.5
TOLD_AT_ONCE = 500
"""Announcements told before others get their turn on the event loop."""

Tell = Callable[[Sequence[Announcement]], None]


class Follower:
    """Follow the audit log. ``owners`` are the accounts somebody listens to; ``cut_off`` makes readers begin again."""

    def __init__(
        self,
        journal: Journal,
        *,
        owners: Callable[[], Collection[UUID]],
        cut_off: Callable[[], None],
        every_s: float = EVERY_S,
    ) -> None:
        self.told = 0
        """The number of the last audit entry that subscribers of this process were told."""
        self.lost = 0
        """How often there was more to tell than could be."""
        self._journal = journal
        self._owners = owners
        self._cut_off = cut_off
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Begin at what is stored now: nobody listens yet."""
        self.told = await self._journal.head()

    def follow(self, tell: Tell) -> None:
        """Tell what others make durable, from now on."""
        if self._task is None:
            self._stopping.clear()
            self._task = asyncio.create_task(self._keep(tell), name="follower")

    async def finish(self, upto: int, tell: Tell) -> None:
        """Tell everything up to an entry, which must be stored, and nothing more. Unavailable without storage."""
        await self.stop()
        while self.told < upto:
            try:
                await self._round(tell)
            except QSuiteError:
                raise
            except Exception:  # whatever it was: nobody must be kept from trading by what cannot be told
                log.exception("follower.failed", upto=upto)
                self._skip(upto)

    async def stop(self) -> None:
        """End after the entry told last; what is being told is told to its end."""
        task, self._task = self._task, None
        if task is not None:
            self._stopping.set()
            await task

    async def _keep(self, tell: Tell) -> None:
        while not self._stopping.is_set():
            pause_s = self._every_s
            try:
                await self._round(tell)
            except Exception as error:  # whatever it was: tried again, and given up at the latest when taking over
                log.warning("follower.waits", error=str(error), exc_info=not isinstance(error, QSuiteError))
                pause_s = AFTER_A_FAILURE_S
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._stopping.wait()

    async def _round(self, tell: Tell) -> None:
        reading = await self._journal.read(self.told, self._owners)
        self.told = reading.upto
        if reading.skipped:
            self._skip(reading.upto)
        for start in range(0, len(reading.announcements), TOLD_AT_ONCE):
            tell(reading.announcements[start : start + TOLD_AT_ONCE])
            await asyncio.sleep(0)

    def _skip(self, upto: int) -> None:
        self.told = upto
        self.lost += 1
        log.warning("follower.skipped", upto=upto)
        self._cut_off()
