"""Which messages of a source are missing, and the requests that bring them.

    sequence ──missing──> Fill ──fetch, again and again──> messages ──> sequence ──> out, in order
                            └── had none of them, or no answer for long ──> given up: counted, logged, skipped

Invariant: at most one request for a sequence is under way. Whatever answers, only the caller's own turn changes
sequences, so what comes out of them is in order.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import structlog

from qsuite.domain.feeds.breaker import full_jitter_s
from qsuite.domain.feeds.sequence import Range, SequenceCounts, Sequencer
from qsuite.domain.market import Tick
from qsuite.domain.times import NS_PER_S
from qsuite.services.feeds.mapping import Message
from qsuite.services.feeds.source import Source, SourceError
from qsuite.settings import SourceSettings

log = structlog.get_logger(__name__)

PAGE = 1_000
"""Messages asked for at once."""
EMPTY_MAX = 4
"""Answers without the first of the missing messages after which the source is believed not to have it: what it serves
may lag behind what it streams."""
SEQUENCES_MAX = 10_000


@dataclass(slots=True)
class Fill:
    """Requests for what one sequence misses. ``last`` is None when only the source knows where it ends."""

    first: int
    last: int | None
    since_ns: int
    request: "asyncio.Task[list[Message]]"
    failures: int = 0
    empty: int = 0


@dataclass(slots=True)
class GapCounts:
    """What was asked for, and what came of it."""

    requests: int = 0
    filled: int = 0
    sequence: SequenceCounts = field(default_factory=SequenceCounts)


class Gaps:
    """The sequences of a source, with what they miss."""

    def __init__(self, settings: SourceSettings, source: Source, uniform: Callable[[], float]) -> None:
        self.counts = GapCounts()
        self._settings = settings
        self._source = source
        self._uniform = uniform
        self._sequences: dict[str, Sequencer[Tick | None]] = {}
        self._holding: set[str] = set()
        """The sequences in which something is held, so that a turn does not look at all of them."""
        self._fills: dict[str, Fill] = {}

    @property
    def full(self) -> bool:
        """Say whether no more should be read before something missing has come or was given up."""
        return any(self._sequences[key].full for key in self._holding)

    @property
    def requests(self) -> "list[asyncio.Task[list[Message]]]":
        """Return what is being asked for; when one is done it is time for a turn."""
        return [fill.request for fill in self._fills.values()]

    def positions(self) -> Iterator[tuple[str, int, int]]:
        """Yield each sequence that has begun: its key, the number that comes next, the newest stamp before it."""
        for key, sequence in self._sequences.items():
            if sequence.next is not None and sequence.newest_stamp is not None:
                yield key, sequence.next, sequence.newest_stamp

    def restore(self, key: str, following: int, stamp: int) -> None:
        """Let a sequence go on where an earlier run was."""
        sequence = self._sequences[key] = self._new_sequence()
        sequence.go_on(following, stamp)

    def reset(self) -> None:
        """Forget every sequence."""
        self._sequences.clear()
        self._holding.clear()

    def take(self, message: Message, now_ns: int) -> list[Tick]:
        """Take a message in; return the ticks whose turn it is."""
        if message.seq is None:
            return [] if message.tick is None else [message.tick]
        sequence = self._sequence(message)
        if sequence is None:
            return []
        out = sequence.take(message.seq, message.ts_ns, message.tick, now_ns)
        if sequence.holds:
            self._holding.add(message.key)
        return [tick for tick in out if tick is not None]

    def resume(self, now_ns: int) -> None:
        """Ask for what was sent while nobody listened; to be called once connected."""
        if self._source.fills:
            for key, sequence in self._sequences.items():
                if sequence.next is not None:
                    self._fills[key] = Fill(sequence.next, None, now_ns, self._ask(key, sequence.next, None, 0.0))

    def turn(self, now_ns: int) -> list[Tick]:
        """Take in what was answered, ask for what is missing now; return the ticks whose turn it is."""
        out: list[Tick | None] = []
        for key, fill in [each for each in self._fills.items() if each[1].request.done()]:
            out += self._answered(key, fill, now_ns)
        for key in list(self._holding):
            sequence = self._sequences[key]
            out += sequence.settle(now_ns)
            while key not in self._fills and (gap := sequence.missing(now_ns)) is not None:
                if self._source.fills:
                    self._fills[key] = Fill(gap.first, gap.last, now_ns, self._ask(key, gap.first, gap.last, 0.0))
                else:
                    out += self._give_up(key, gap, "the source has no way to ask for them")
            if not sequence.holds:
                self._holding.discard(key)
        return [tick for tick in out if tick is not None]

    async def stop(self) -> None:
        """Let go of what is being asked for."""
        requests = self.requests
        self._fills.clear()
        for request in requests:
            request.cancel()
        await asyncio.gather(*requests, return_exceptions=True)

    def _sequence(self, message: Message) -> Sequencer[Tick | None] | None:
        """Return the sequence of a message, or None for one of which nothing was ever wanted."""
        found = self._sequences.get(message.key)
        if found is None and (message.tick is not None or not message.key) and len(self._sequences) < SEQUENCES_MAX:
            found = self._sequences[message.key] = self._new_sequence()
        return found

    def _new_sequence(self) -> Sequencer[Tick | None]:
        return Sequencer(
            wait_ns=int(self._settings.reorder_s * NS_PER_S),
            held_max=self._settings.held_max,
            counts=self.counts.sequence,
        )

    def _ask(self, key: str, first: int, last: int | None, pause_s: float) -> "asyncio.Task[list[Message]]":
        until = first + PAGE - 1 if last is None else min(last, first + PAGE - 1)

        async def ask() -> list[Message]:
            await asyncio.sleep(pause_s)
            self.counts.requests += 1
            return await self._source.fetch(key, Range(first, until))

        return asyncio.create_task(ask())

    def _answered(self, key: str, fill: Fill, now_ns: int) -> list[Tick | None]:
        sequence = self._sequences[key]
        before = sequence.next
        assert before is not None
        if before < fill.first:  # the source began to count anew: what was asked for is of before that
            del self._fills[key]
            return []
        out: list[Tick | None] = []
        try:
            messages = fill.request.result()
        except SourceError as error:
            fill.failures += 1
            if fill.failures == 1:  # those that follow tell nothing new; in the end it is filled, or lost
                log.warning("feed.fill_failed", sequence=key, error=str(error))
        else:
            out = self._fetched(key, messages, now_ns)
            fill.failures = 0
            fill.empty = fill.empty + 1 if sequence.next == before else 0
        if self._done(fill, sequence):
            del self._fills[key]
        elif fill.empty >= EMPTY_MAX or now_ns - fill.since_ns > self._settings.fill_give_up_s * NS_PER_S:
            del self._fills[key]
            if fill.last is not None:
                assert sequence.next is not None
                why = "the source does not have them" if fill.empty else "the source does not answer"
                out += self._give_up(key, Range(sequence.next, fill.last), why)
        else:
            self._again(key, fill, sequence)
        return out

    def _fetched(self, key: str, messages: list[Message], now_ns: int) -> list[Tick | None]:
        """Take in what was fetched: of this sequence and not there yet, and nothing else."""
        sequence = self._sequences[key]
        out: list[Tick | None] = []
        for message in messages:
            if message.key == key and message.seq is not None and sequence.lacks(message.seq):
                self.counts.filled += 1
                out += sequence.take(message.seq, message.ts_ns, message.tick, now_ns, fetched=True)
        if sequence.holds:
            self._holding.add(key)
        return out

    @staticmethod
    def _done(fill: Fill, sequence: Sequencer[Tick | None]) -> bool:
        assert sequence.next is not None
        if fill.last is None:
            return fill.empty > 0
        return sequence.next > fill.last

    def _again(self, key: str, fill: Fill, sequence: Sequencer[Tick | None]) -> None:
        assert sequence.next is not None
        settings, tries = self._settings, fill.failures + fill.empty
        pause_s = full_jitter_s(tries, self._uniform(), first_s=settings.pause_first_s, max_s=settings.fill_timeout_s)
        fill.request = self._ask(key, sequence.next, fill.last, pause_s)

    def _give_up(self, key: str, gap: Range, why: str) -> list[Tick | None]:
        lost = self.counts.sequence.lost
        out = self._sequences[key].skip(gap)
        log.error(
            "feed.lost", sequence=key, first=gap.first, last=gap.last, lost=self.counts.sequence.lost - lost, why=why
        )
        return out
