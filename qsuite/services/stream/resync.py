"""When all channels get other numbers: every reader is told of the gap first, then gets snapshots.

    turn ──> nothing is published ──> each socket, some at a time: gap, and what follows is held back
         ──> publishing goes on   ──> snapshots, of some sockets at a time ──> what was held back

Invariants: no message with a new number reaches a reader before its gap; what is not published meanwhile is in the
snapshots, which are read afterwards; new subscriptions wait (``turned``). A reader that was being given its first
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
# To interrupt one takes a tenth of a millisecond.
INTERRUPTED_AT_ONCE = 64


class Resync:
    """Give the sockets of a hub their snapshots anew."""

    def __init__(self, hub: "StreamHub") -> None:
        self.turned = asyncio.Event()
        """Set but for the time from a turn until every reader was told of its gap."""
        self.turned.set()
        self._hub = hub
        self._slots = asyncio.Semaphore(READERS_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._turning: asyncio.Task[None] | None = None
        self._before: dict[Channel, int] = {}
        self._waiting: list[Subscriber] = []
        self._interrupted: dict[Subscriber, Sequence[Cut]] = {}

    def begin(self, before: Mapping[Channel, int]) -> None:
        """Interrupt every socket that listens; ``before`` are the numbers it may have seen last."""
        self._before = {**before, **self._before}
        self._waiting = [subscriber for subscriber in self._hub.sockets if subscriber.names]
        if self._waiting and self.turned.is_set():
            self.turned.clear()
            self._turning = asyncio.get_running_loop().create_task(self._turn())

    def stop(self) -> None:
        """Send no more."""
        if self._turning is not None:
            self._turning.cancel()
        self.turned.set()
        for task in self._tasks:
            task.cancel()

    async def _turn(self) -> None:
        while self._waiting:
            now, self._waiting = self._waiting[:INTERRUPTED_AT_ONCE], self._waiting[INTERRUPTED_AT_ONCE:]
            for subscriber in now:
                if not subscriber.closed:
                    self._interrupt(subscriber)
            await asyncio.sleep(0)
        interrupted, self._interrupted = self._interrupted, {}
        self._before = {}
        self.turned.set()
        for subscriber, cuts in interrupted.items():
            task = subscriber.resync = asyncio.get_running_loop().create_task(self._send(subscriber, cuts))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _interrupt(self, subscriber: Subscriber) -> None:
        if subscriber.resync is not None:  # its snapshots are out of date
            subscriber.resync.cancel()
            subscriber.resync = None
        elif subscriber.holding and subscriber not in self._interrupted:
            self._hub.close(subscriber, TRY_AGAIN, "resync")
            return
        self._interrupted[subscriber] = self._hub.subscriptions.interrupt(subscriber, self._before)

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
