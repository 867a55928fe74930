"""The order of one source's numbered messages, put right: duplicates dropped, neighbours swapped back, gaps named.

    take ──> the next one ──────────────────> out, with whatever was held behind it
        ├──> an earlier one ────────────────> dropped, unless the source began to count anew
        └──> a later one ──held──> wait_ns ──> missing(first, last) ──fetched──> take, or given up: skip

Invariant: what comes out rises by its number, each number once. At most ``held_max`` messages are held, if the caller
takes no more while it is ``full``. Times are of a monotonic clock, handed in.

A source that restarts counts from a small number again, and its messages look like duplicates. They differ in one
thing: a duplicate is old, so its stamp is no newer than the newest seen. Some in a row that are newer mean a restart.
"""

import heapq
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

RESTART_MESSAGES = 3
"""Messages in a row with an old number and a new stamp; fewer may be a wrong clock of the source."""


class Range(NamedTuple):
    """Numbers from ``first`` to ``last``, both included."""

    first: int
    last: int


@dataclass(slots=True)
class SequenceCounts:
    """What became of messages so far; many sequences of one source may share it."""

    duplicates: int = 0
    late: int = 0
    lost: int = 0
    restarts: int = 0


class Held(NamedTuple, Generic[T]):
    """A message whose turn it is not: when it came here, the source's time of it, and itself."""

    since_ns: int
    stamp: int
    item: T


class Sequencer(Generic[T]):
    """Put one sequence in order. It begins at the lowest number that comes within ``wait_ns`` of the first."""

    def __init__(self, *, wait_ns: int, held_max: int, counts: SequenceCounts | None = None) -> None:
        self.next: int | None = None
        self.counts = SequenceCounts() if counts is None else counts
        self._wait_ns = wait_ns
        self._held_max = held_max
        self._held: dict[int, Held[T]] = {}
        self._order: list[int] = []
        """The numbers held, as a heap."""
        self._highest = -1
        self._newest_stamp: int | None = None
        self._suspects: list[tuple[int, int, T]] = []

    def go_on(self, following: int, stamp: int) -> None:
        """Begin with this number, as what comes after a message of that stamp."""
        self.next, self._newest_stamp = following, stamp

    @property
    def newest_stamp(self) -> int | None:
        """Return the newest stamp of what has come out."""
        return self._newest_stamp

    @property
    def full(self) -> bool:
        """Say whether the caller should wait with more until the gap is closed or given up."""
        return len(self._held) >= self._held_max

    @property
    def holds(self) -> bool:
        """Say whether there are messages whose turn it is not."""
        return bool(self._order)

    def lacks(self, seq: int) -> bool:
        """Say whether a message still could be taken in."""
        return (self.next is None or seq >= self.next) and seq not in self._held

    def take(self, seq: int, stamp: int, item: T, now_ns: int, *, fetched: bool = False) -> list[T]:
        """Take a message in; return those whose turn it is. ``stamp`` is the source's time of it."""
        if self.next is not None and seq < self.next:
            return self._take_old(seq, stamp, item, now_ns)
        self._suspects.clear()
        if seq in self._held:
            self.counts.duplicates += 1
            return []
        if seq < self._highest and not fetched:
            self.counts.late += 1
        self._highest = max(seq, self._highest)
        self._held[seq] = Held(now_ns, stamp, item)
        heapq.heappush(self._order, seq)
        return self._run()

    def settle(self, now_ns: int) -> list[T]:
        """Begin, once enough time has passed since the first message; return those whose turn it is then."""
        if self.next is None and self._waited(now_ns):
            self.next = self._order[0]
        return self._run()

    def missing(self, now_ns: int) -> Range | None:
        """Return the first numbers that did not come although later ones have been here for a while."""
        if self.next is None or not self._waited(now_ns):
            return None
        return Range(self.next, self._order[0] - 1)

    def skip(self, gap: Range) -> list[T]:
        """Give up what still is missing of a gap; return those whose turn it is then."""
        out: list[T] = []
        while self.next is not None and self.next <= gap.last:
            after = min([gap.last + 1, *self._order[:1]])
            self.counts.lost += after - self.next
            self.next = after
            out += self._run()
        return out

    def _waited(self, now_ns: int) -> bool:
        return bool(self._order) and (self.full or now_ns - self._held[self._order[0]].since_ns >= self._wait_ns)

    def _run(self) -> list[T]:
        """Let out what has its turn."""
        out: list[T] = []
        while self._order and self._order[0] == self.next:
            held = self._held.pop(heapq.heappop(self._order))
            self._newest_stamp = held.stamp if self._newest_stamp is None else max(held.stamp, self._newest_stamp)
            self.next += 1
            out.append(held.item)
        return out

    def _take_old(self, seq: int, stamp: int, item: T, now_ns: int) -> list[T]:
        rising = not self._suspects or seq > self._suspects[-1][0]
        if not rising or self._newest_stamp is None or stamp <= self._newest_stamp:
            self.counts.duplicates += 1
            self._suspects.clear()
            return []
        self._suspects.append((seq, stamp, item))
        return self._restart(now_ns) if len(self._suspects) == RESTART_MESSAGES else []

    def _restart(self, now_ns: int) -> list[T]:
        """Count anew from the suspects; what is held belongs before them, and what is missing there is lost."""
        out = self.skip(Range(0, self._highest)) if self._order else []
        self.counts.restarts += 1
        anew, self._suspects = self._suspects, []
        self.next, self._highest = anew[0][0], -1
        for seq, stamp, item in anew:
            out += self.take(seq, stamp, item, now_ns)
        return out
