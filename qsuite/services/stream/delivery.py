"""When sockets are written to: soon after something was published, together with what else was, and never for long.

    publish ──> wake ──(at once, or a moment after the last flush)──> settle groups ──> flush sockets, some at a time

Invariant: flushing takes at most about half of the loop's time, so that publishers and readers get the other half;
one socket that fails does not keep the others waiting.
"""

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

from qsuite.domain.histogram import STAGE_BOUNDS_S, Histogram
from qsuite.services.stream.groups import Groups
from qsuite.services.stream.subscriber import INTERNAL, TRY_AGAIN, Subscriber

log = structlog.get_logger(__name__)

# Less than what a commit takes, so that nobody notices; when much is published, hundreds of messages share a write.
PAUSE_S = 0.001
# A write costs some 10 µs: the loop is never held for more than a few milliseconds.
SOCKETS_PER_SLICE = 256


class Delivery:
    """The one place from which subscribers are flushed."""

    def __init__(self, groups: Groups, close: Callable[[Subscriber, int, str], None]) -> None:
        self._groups = groups
        self._close = close
        self._ready: deque[Subscriber] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handle: asyncio.Handle | None = None
        self._not_before = 0.0
        self._woken_s = 0.0
        self.lag = Histogram(STAGE_BOUNDS_S)
        """One value a flush: how old its oldest message was when the last of its sockets was written to."""

    def start(self) -> None:
        """Take the running loop."""
        self._loop = asyncio.get_running_loop()

    def stop(self) -> None:
        """Flush no more."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle = self._loop = None
        self._ready.clear()

    def ready(self, subscriber: Subscriber) -> None:
        """Note a socket that has something to be written."""
        if not subscriber.flagged:
            subscriber.flagged = True
            self._ready.append(subscriber)
            self.wake()

    def wake(self) -> None:
        """See to it that what is pending is flushed soon."""
        if self._handle is None and self._loop is not None:
            self._woken_s = now = self._loop.time()
            wait = self._not_before - now
            self._handle = self._loop.call_later(wait, self._flush) if wait > 0 else self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._groups.settle()
        self._slice(0.0)

    def _slice(self, spent: float) -> None:
        assert self._loop is not None
        started = self._loop.time()
        for _ in range(min(len(self._ready), SOCKETS_PER_SLICE)):
            subscriber = self._ready.popleft()
            subscriber.flagged = False
            self._flush_one(subscriber)
        now = self._loop.time()
        spent += now - started
        if self._ready:
            self._handle = self._loop.call_soon(self._slice, spent)
        else:
            self._handle = None
            self._not_before = now + max(PAUSE_S, spent)
            self.lag.observe(now - self._woken_s)
            if self._groups.waiting:  # published while others were being written to
                self.wake()

    def _flush_one(self, subscriber: Subscriber) -> None:
        try:
            subscriber.flush()
        except Exception:
            log.exception("stream.flush_failed")
            self._close(subscriber, INTERNAL, "internal")
            return
        if subscriber.overflowing:
            self._close(subscriber, TRY_AGAIN, "overflow")
