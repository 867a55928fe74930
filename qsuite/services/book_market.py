"""The market that a book makes: what its users trade with each other becomes trades and quotes like any feed's.

Place on an order's way: after it is durable. Ticks are published in the order of the batches they come from, so bars,
the stream, storage and statistics see a book's symbol as they see any other.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from qsuite.domain.market import Snapshot, Tick
from qsuite.domain.trading.changes import Announcement


class BookMarket:
    """Publish what happened in books. ``engine.listen(heard)`` feeds it."""

    def __init__(self, publish: Callable[[Sequence[Tick]], Awaitable[None]], clock: Callable[[], int]) -> None:
        self._publish = publish
        self._clock = clock
        self._waiting: list[Tick] = []
        self._task: asyncio.Task[None] | None = None

    def heard(self, announcements: Sequence[Announcement]) -> None:
        """Take the trades and new best prices out of a batch that is durable."""
        for kind, _, what in announcements:
            if kind == "trades":
                self._waiting += what
            elif kind == "depth":
                snapshot: Snapshot = what[2]
                if snapshot.quote is not None:
                    self._waiting.append(snapshot.quote._replace(ts_ns=self._clock()))
        if self._waiting and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._drain(), name="book-market")

    async def stop(self) -> None:
        """Publish what waits."""
        if self._task is not None:
            await self._task

    async def _drain(self) -> None:
        while self._waiting:
            ticks, self._waiting = self._waiting, []
            await self._publish(ticks)
