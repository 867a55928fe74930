"""One socket, as the stream sees it: who it is, what it listens to, and what it has not taken yet.

At most one frame is with the connection at a time; the next is handed over when the kernel took the last. So what is
unsent waits in the outbox, where it can be conflated, and not in a buffer that only grows.

While snapshots of new channels are read, what arrives on them is held back, and follows the snapshots (``hold``).
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from qsuite.domain.roles import Caller
from qsuite.services.stream.channel import Channel
from qsuite.services.stream.counters import Counters
from qsuite.services.stream.groups import Group
from qsuite.services.stream.messages import FRAME_BYTES, Batch, encode
from qsuite.services.stream.outbox import Asked, Outbox

GOING_AWAY, POLICY, INTERNAL, TRY_AGAIN = 1001, 1008, 1011, 1013
STALL_S = 1.0
BURST_FACTOR = 16


class Wire(Protocol):
    """The connection under a subscriber."""

    def write(self, frame: bytes) -> "asyncio.Future[None]":
        """Send bytes; the future is done when the kernel took them all."""

    def close(self, code: int, reason: str) -> None:
        """Send a close frame, and end the connection whether or not the other side answers."""


class Subscriber:
    """A socket that is open. Its owner, the hub, tells it what to send and when to flush."""

    __slots__ = (
        "_due", "_held", "_hold", "_limit", "_monotonic", "_on_ready", "_room", "_writing", "bad_messages", "caller",
        "closed", "counters", "flagged", "group", "header", "names", "opened_at", "outbox", "private", "rechecking",
        "resync", "wire", "writing_since",
    )  # fmt: skip

    def __init__(
        self,
        wire: Wire,
        *,
        limit: int,
        counters: Counters,
        monotonic: Callable[[], float],
        on_ready: Callable[["Subscriber"], None],
        compressed: bool = False,
    ) -> None:
        self.wire = wire
        self.outbox = Outbox(limit, counters, compressed=compressed)
        self.counters = counters
        self.caller: Caller | None = None
        self.header = ""
        self.names: frozenset[str] = frozenset()
        """Every channel subscribed to, by the name the client used."""
        self.group: Group | None = None
        self.private: dict[Channel, None] = {}
        self.opened_at = monotonic()
        self.writing_since: float | None = None
        self.bad_messages = 0
        self.closed = False
        self.rechecking = False
        self.resync: asyncio.Task[None] | None = None
        """Sends it snapshots anew, because its channels were renumbered."""
        self.flagged = False
        """Already in the delivery's list of sockets to flush."""
        self._limit = limit
        self._monotonic = monotonic
        self._on_ready = on_ready
        self._writing: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._due: tuple[Batch, ...] = ()
        self._hold: Outbox | None = None
        self._held: Callable[[Channel], bool] = _nothing

    # -- what arrives -------------------------------------------------------------------------------------------

    def send(self, message: Mapping[str, Any]) -> None:
        """Queue an answer."""
        self.add(encode(message))

    def add(self, data: bytes) -> None:
        """Queue an encoded message that must arrive."""
        if not self.closed:
            self.accept()
            self.outbox.add(data)
            self._on_ready(self)

    def add_private(self, channel: Channel, data: bytes) -> None:
        """Queue a message of one's own account, behind its snapshot if that is still being read."""
        if self._hold is not None and self._held(channel):
            self._hold.add(data)
            self._on_ready(self)
        else:
            self.add(data)

    def due(self, batches: tuple[Batch, ...]) -> None:
        """Note prices, to be queued at the next flush."""
        self._due = self._due + batches if self._due else batches
        self._on_ready(self)

    def accept(self) -> None:
        """Queue the prices noted."""
        batches, self._due = self._due, ()
        for batch in batches:
            self._queue(batch)

    def _queue(self, batch: Batch) -> None:
        if self._hold is None:
            self.outbox.add_batch(batch)
        else:
            self._divide(batch, self._hold)

    def _divide(self, batch: Batch, hold: Outbox) -> None:
        held = [entry for entry in batch.entries if self._held(entry.channel)]
        if len(held) == len(batch.entries):
            hold.add_batch(batch)
            return
        if held:
            hold.add_batch(Batch(held))
            batch = Batch([entry for entry in batch.entries if not self._held(entry.channel)])
        self.outbox.add_batch(batch)

    # -- starting a subscription --------------------------------------------------------------------------------

    def hold(self, held: Callable[[Channel], bool]) -> None:
        """Hold back what arrives on these channels from now on."""
        assert self._hold is None, "one subscription starts at a time"
        self.accept()
        self._hold = Outbox(self._limit, self.counters)
        self._held = held

    @property
    def holding(self) -> bool:
        """Say whether something is held back."""
        return self._hold is not None

    def let_go(self) -> None:
        """Drop what is held back and all prices that wait: snapshots of what they tell of follow."""
        self._hold = None
        self.forget(_nothing)

    def release(self) -> None:
        """Queue what was held back."""
        self.accept()
        hold, self._hold, self._held = self._hold, None, _nothing
        if hold is not None and not self.closed:
            self.outbox.absorb(hold)
            self._on_ready(self)

    def forget(self, wanted: Callable[[Channel], bool]) -> None:
        """Drop what waits of channels that are no longer wanted."""
        self.accept()
        self.outbox.forget(wanted)

    async def room(self) -> None:
        """Wait until the socket took most of what was sent to it, or closed."""
        while not self.closed and self.outbox.unsent > FRAME_BYTES:
            if self._room is None:
                self._room = asyncio.get_running_loop().create_future()
                self._on_ready(self)
            await asyncio.shield(self._room)

    def add_asked(self, data: bytes) -> None:
        """Queue a snapshot, or messages that were missed, joined by commas."""
        if not self.closed:
            self.accept()
            self.outbox.add(Asked(data))
            self._on_ready(self)

    # -- writing ------------------------------------------------------------------------------------------------

    @property
    def overflowing(self) -> bool:
        """Say whether it cannot take even what must not be lost: too much at once, or more than it has begun to take.

        A burst above the limit, such as a thousand orders placed at once, is not yet a reader's fault.
        """
        if self.outbox.exceeds(BURST_FACTOR) or (self._hold is not None and self._hold.exceeds(BURST_FACTOR)):
            return True
        since = self.writing_since
        return since is not None and self._monotonic() - since > STALL_S and self.outbox.exceeds(1)

    @property
    def idle(self) -> bool:
        """Say whether all that was sent to it is taken."""
        return self._writing is None and self.outbox.empty and not self._due

    def flush(self) -> None:
        """Write as much as the connection takes at once."""
        if self.outbox.behind:
            self.accept()  # what it gets is the newest, so all up to the newest must be noted
        self._pump()
        batches, self._due = self._due, ()
        for batch in batches:  # each is written before the next is queued, so that no reader that keeps up falls behind
            self._queue(batch)
            if not self.outbox.behind:
                self._pump()
        if self._room is not None and self.outbox.unsent <= FRAME_BYTES:
            self._wake_room()

    def _pump(self) -> None:
        while self._writing is None and not self.closed:
            frame = self.outbox.take(newest=self._hold is None)
            if frame is None:
                return
            self._write(frame)

    def _write(self, frame: bytes) -> None:
        written = self.wire.write(frame)
        if not written.done():
            self._writing = written
            self.writing_since = self._monotonic()
            written.add_done_callback(self._on_written)
        elif written.exception() is not None:  # the connection is gone, and its close is being told
            self.outbox.clear()

    def _on_written(self, written: "asyncio.Future[None]") -> None:
        self._writing = None
        self.writing_since = None
        if not written.cancelled() and written.exception() is None:
            self._on_ready(self)

    def _wake_room(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    # -- ending -------------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Hand over everything that waits, as far as the connection buffers it: what comes next is the close."""
        self.accept()
        while (frame := self.outbox.take()) is not None:
            self.wire.write(frame)

    def end(self) -> None:
        """Let go of everything."""
        self.closed = True
        self.outbox.clear()
        self._hold = None
        self._due = ()
        self._wake_room()


def _nothing(channel: Channel) -> bool:
    return False
