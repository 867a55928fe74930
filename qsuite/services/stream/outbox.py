"""What one socket has not taken yet: bounded, without losing what must not be lost.

    must      the socket's own orders, executions and answers: kept in order, whatever happens
    prices    batches of market messages: kept in order while there is room
    behind    channels whose prices had no room, and the first number that had none: the newest will stand for all

    add_batch ──room──> queue ──┐
        └──no room──> behind ───┴──take──> one frame at a time

Invariant: within a channel nothing is taken twice or out of order; once a channel is behind, its next message is the
newest one and says how many it replaced. Being behind costs a socket some 50 bytes a channel: the message itself is
the channel's (``settled``). ``must`` beyond the limit is for the owner to act upon.
"""

from collections import deque
from collections.abc import Callable
from itertools import islice

from qsuite.services.stream.channel import Channel
from qsuite.services.stream.counters import Counters
from qsuite.services.stream.messages import FRAME_BYTES, Batch, conflated, fragments, text_frame

# Channels looked at for one frame: about as many ordinary price messages as fill it.
BEHIND_PER_FRAME = 256


class Asked(bytes):
    """A snapshot, or what was missed: the reader asked for it and waits for it, so it counts against no limit."""


Item = Batch | bytes


class Outbox:
    """Queue for one socket. ``limit`` bounds its bytes, before they are compressed."""

    __slots__ = (
        "_behind", "_compressed", "_counters", "_exempt_bytes", "_fragments", "_limit", "_must_bytes", "_price_bytes",
        "_queue",
    )  # fmt: skip

    def __init__(self, limit: int, counters: Counters, *, compressed: bool = False) -> None:
        self._limit = limit
        self._compressed = compressed
        self._counters = counters
        self._queue: deque[Item] = deque()
        self._behind: dict[Channel, int] = {}
        self._fragments: list[bytes] = []
        self._must_bytes = self._price_bytes = self._exempt_bytes = 0

    @property
    def unsent(self) -> int:
        """Return the bytes waiting; what is behind has none of its own."""
        return self._must_bytes + self._price_bytes + self._exempt_bytes

    @property
    def empty(self) -> bool:
        """Say whether nothing waits."""
        return not (self._queue or self._fragments or self._behind)

    @property
    def behind(self) -> bool:
        """Say whether prices are to be conflated."""
        return bool(self._behind)

    def exceeds(self, factor: int) -> bool:
        """Say whether what must not be lost alone is more than so many times the limit."""
        return self._must_bytes > factor * self._limit

    def add(self, data: bytes) -> None:
        """Queue a message that must arrive; prices make room for it."""
        self._queue.append(data)
        self._count(data, 1)
        if self._price_bytes and self._must_bytes + self._price_bytes > self._limit:
            self._fall_behind()

    def add_batch(self, batch: Batch) -> None:
        """Queue prices, or note them as behind when there is no room. One batch finds room in an empty queue."""
        if not self._behind:
            waiting = self._must_bytes + self._price_bytes
            if not waiting or waiting + len(batch.payload) <= self._limit:
                self._queue.append(batch)
                self._price_bytes += len(batch.payload)
                return
            self._fall_behind()
        self._note(batch.firsts)

    def absorb(self, later: "Outbox") -> None:
        """Take over what was held back for the same socket; it is later than all that is here."""
        for item in later._queue:
            if isinstance(item, Batch):
                self.add_batch(item)
            else:
                self.add(item)
        if later._behind:
            self._fall_behind()
            self._note(later._behind)

    def forget(self, wanted: Callable[[Channel], bool]) -> None:
        """Drop the prices of channels that are no longer wanted."""
        self._behind = {channel: first for channel, first in self._behind.items() if wanted(channel)}
        kept = self._queue
        self._queue = deque()
        self._price_bytes = 0
        for item in kept:
            if isinstance(item, Batch):
                entries = [entry for entry in item.entries if wanted(entry.channel)]
                if entries:
                    self.add_batch(Batch(entries))
            else:
                self._queue.append(item)

    def clear(self) -> None:
        """Let go of everything."""
        self._queue.clear()
        self._fragments.clear()
        self._behind.clear()
        self._must_bytes = self._price_bytes = self._exempt_bytes = 0

    # -- taking -------------------------------------------------------------------------------------------------

    def take(self, *, newest: bool = True) -> bytes | None:
        """Return the next frame to write, or None when nothing waits.

        With ``newest`` channels that are behind are caught up with; all prices settled must have been added before.
        """
        if self._fragments:
            return self._take_fragment()
        if self._queue:
            return self._take_queued()
        if self._behind and newest:
            return self._take_newest()
        return None

    def _take_queued(self) -> bytes:
        first = self._queue.popleft()
        if isinstance(first, Batch) and (not self._queue or len(first.payload) > FRAME_BYTES // 2):
            self._taken(first)
            # The very bytes that every other socket of the group gets.
            return first.compressed if self._compressed else first.frame
        parts = [self._taken(first)]
        size = len(parts[0])
        while self._queue:
            item = self._queue[0]
            size += 1 + (len(item.payload) if isinstance(item, Batch) else len(item))
            if size > FRAME_BYTES:
                break
            parts.append(self._taken(self._queue.popleft()))
        return self._framed(parts)

    def _taken(self, item: Item) -> bytes:
        if isinstance(item, Batch):
            self._price_bytes -= len(item.payload)
            self._counters.delivered += len(item.entries)
            return item.payload
        self._count(item, -1)
        self._counters.delivered += 1
        return item

    def _take_newest(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        for channel in list(islice(self._behind, BEHIND_PER_FRAME)):
            first, newest = self._behind.pop(channel), channel.standing_in()
            parts.append(conflated(newest.data, newest.seq - first))
            self._counters.conflated += newest.seq - first
            self._counters.delivered += 1
            size += len(parts[-1]) + 1
            if size > FRAME_BYTES:
                break
        return self._framed(parts)

    def _framed(self, parts: list[bytes]) -> bytes:
        payload = b",".join(parts) if len(parts) > 1 else parts[0]
        if len(payload) <= 2 * FRAME_BYTES:
            return text_frame(payload, compressed=self._compressed)
        self._fragments = fragments(payload, compressed=self._compressed)
        self._exempt_bytes += sum(map(len, self._fragments))
        return self._take_fragment()

    def _take_fragment(self) -> bytes:
        fragment = self._fragments.pop(0)
        self._exempt_bytes -= len(fragment)
        return fragment

    # -- accounts -----------------------------------------------------------------------------------------------

    def _count(self, data: bytes, sign: int) -> None:
        if isinstance(data, Asked):
            self._exempt_bytes += sign * len(data)
        else:
            self._must_bytes += sign * len(data)

    def _fall_behind(self) -> None:
        """Give up every queued batch: its channels are behind."""
        kept: deque[Item] = deque()
        for item in self._queue:
            if isinstance(item, Batch):
                self._note(item.firsts)
            else:
                kept.append(item)
        self._queue = kept
        self._price_bytes = 0

    def _note(self, firsts: dict[Channel, int]) -> None:
        behind = self._behind
        for channel, first in firsts.items():
            behind.setdefault(channel, first)
