"""One stream of numbered messages, and the last of them kept for readers that come back.

Invariant: ``seq`` rises by one for each message, and starts at a number that no earlier life of the channel and no
other process gave out, so that a number a reader brings back either is of this life or is answered with a gap. A
gateway's channels carry the numbers of the process that publishes, so there a number means the same message.

A channel exists only while somebody listens or lately did: publishing to any other costs one look into a dictionary.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import orjson

from qsuite.domain.times import NS_PER_MS
from qsuite.services.stream.messages import Entry, encode

if TYPE_CHECKING:
    from qsuite.services.stream.groups import Group
    from qsuite.services.stream.subscriber import Subscriber

# What a kept message costs beside its text.
KEPT_OVERHEAD = 150
# Where no database counts the lives, numbers start at the first millisecond times this. No channel sends more in a
# millisecond, so a later life starts higher; and until the year 2109 they stay below 2^53, exact in every JSON reader.
SEQ_PER_MS = 2_048
# Where one does, each life has so many numbers of its own: a channel with a thousand messages a second needs two years
# to use them up. The lives before the last 131,072 are long forgotten, so they are counted in a circle, below 2^53.
SEQ_PER_LIFE = 2**36
LIVES = 2**17


def first_seq(now_ns: int) -> int:
    """Return the number before the first one of a life that starts now."""
    return now_ns // NS_PER_MS * SEQ_PER_MS


def first_seq_of_life(life: int) -> int:
    """Return the number before the first one of a counted life."""
    return life % LIVES * SEQ_PER_LIFE


class Channel:
    """Number, encode and keep the messages of one channel."""

    __slots__ = (
        "_kept", "_tail", "idle_since", "kept_bytes", "members", "name", "route", "route_version", "seq", "settled",
        "tapped", "whole", "wild",
    )  # fmt: skip

    def __init__(self, name: str, *, wild: str, seq: int, kept_messages: int) -> None:
        self.name = name
        self.wild = wild
        self.seq = seq
        self.kept_bytes = 0
        self.idle_since: float | None = None
        self.members: dict[Subscriber, None] = {}
        """Who listens to a private channel; a public one is routed to groups."""
        self.route: tuple[Group, ...] = ()
        self.route_version = -1
        self.tapped = False
        """A gateway wants its messages."""
        self.settled: Entry | None = None
        """The newest message handed to the sockets: what a reader that fell behind gets."""
        self.whole: Callable[[str], Mapping[str, Any]] | None = None
        """Makes what such a reader gets instead, where messages tell of changes and the newest is not enough."""
        self._kept: deque[Entry] = deque(maxlen=kept_messages)
        self._tail = b',"channel":%b,"seq":' % orjson.dumps(name)

    def append(self, message: Mapping[str, Any]) -> Entry:
        """Give a message its channel and number, encode and keep it. It must have a ``type``."""
        assert "type" in message, "a message without a type"
        if "seq" in message or "channel" in message:  # a tick brings the number it has in storage
            message = {key: value for key, value in message.items() if key not in ("seq", "channel")}
        body = encode(message)  # first, since a message that cannot be encoded must not leave a gap
        self.seq += 1
        entry = Entry(self, self.seq, self._numbered(body, self.seq))
        self._keep(entry)
        return entry

    def take(self, seq: int, data: bytes) -> Entry:
        """Take a message that another process numbered and encoded, and keep it. It must be the next one."""
        assert seq == self.seq + 1, "a message is missing"
        self.seq = seq
        entry = Entry(self, seq, data)
        self._keep(entry)
        return entry

    def renumber(self, seq: int, missed: Sequence[bytes] = ()) -> None:
        """Go on after another life's number, whose newest messages may be given; forget all that was kept."""
        self._kept.clear()
        self.kept_bytes = 0
        self.settled = None
        self.seq = seq - len(missed)
        for data in missed:
            self.take(self.seq + 1, data)

    def standing_in(self) -> Entry:
        """Return the message that stands for all up to the newest one handed to the sockets."""
        newest = self.settled
        assert newest is not None, "what is behind was settled"
        if self.whole is None:
            return newest
        return Entry(self, newest.seq, self._numbered(encode(self.whole(self.name)), newest.seq))

    def _numbered(self, body: bytes, seq: int) -> bytes:
        return b"%b%b%d}" % (body[:-1], self._tail, seq)

    def _keep(self, entry: Entry) -> None:
        kept = self._kept
        if len(kept) == kept.maxlen:
            if not kept.maxlen:
                return
            self.kept_bytes -= len(kept[0].data) + KEPT_OVERHEAD
        kept.append(entry)
        self.kept_bytes += len(entry.data) + KEPT_OVERHEAD

    def after(self, seq: int) -> list[Entry] | None:
        """Return the messages after a number, or None when they are not all kept or the number is not of this life."""
        missed = self.seq - seq
        if not 0 <= missed <= len(self._kept):
            return None
        return list(islice(self._kept, len(self._kept) - missed, None))

    def forget_half(self) -> None:
        """Give up the older half of what is kept."""
        for _ in range((len(self._kept) + 1) // 2):
            self.kept_bytes -= len(self._kept.popleft().data) + KEPT_OVERHEAD

    def break_off(self) -> None:
        """Leave out a number and forget what is kept: whoever comes back with an older one is told of the gap."""
        self.seq += 1
        self._kept.clear()
        self.kept_bytes = 0
