"""When all channels get other numbers: every reader is told of the gap at once, and gets snapshots one after the other.

    turn ──> for each socket, at one instant: gap, and what follows is held back ──> snapshots ──> what was held back

Invariant: no message with a new number reaches a reader before its gap; and a reader that was being given its first
snapshots, so that old and new numbers would mix, is closed with 1013 to come back.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import structlog

from qsuite.services.stream.channel import Channel
from qsuite.services.stream.subscribe import Cut
from qsuite.services.stream.subscriber import TRY_AGAIN, Subscriber

if TYPE_CHECKING:
    from qsuite.services.stream.hub import StreamHub

log = structlog.get_logger(__name__)

READERS_AT_ONCE = 16


class Resync:
    """Give the sockets of a hub their snapshots anew."""

    def __init__(self, hub: "StreamHub") -> None:
        self._hub = hub
        self._slots = asyncio.Semaphore(READERS_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, before: Mapping[Channel, int]) -> None:
        """Interrupt every socket that listens; ``before`` are the numbers it may have seen last."""
        for subscriber in list(self._hub.sockets):
            if subscriber.names:
                self._begin_one(subscriber, before)

    def stop(self) -> None:
        """Send no more."""
        for task in self._tasks:
            task.cancel()

    def _begin_one(self, subscriber: Subscriber, before: Mapping[Channel, int]) -> None:
        if subscriber.resync is not None:  # that one's snapshots are out of date
            subscriber.resync.cancel()
        elif subscriber.holding:
            self._hub.close(subscriber, TRY_AGAIN, "resync")
            return
        cuts = self._hub.subscriptions.interrupt(subscriber, before)
        task = asyncio.get_running_loop().create_task(self._send(subscriber, cuts))
        subscriber.resync = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, subscriber: Subscriber, cuts: Sequence[Cut]) -> None:
        try:
            async with self._slots:
                sent = await self._hub.subscriptions.begin_again(subscriber, cuts)
        except Exception:
            log.exception("stream.resync_failed")
            sent = False
        finally:
            if subscriber.resync is asyncio.current_task():
                subscriber.resync = None
        if not sent:
            self._hub.close(subscriber, TRY_AGAIN, "resync")
