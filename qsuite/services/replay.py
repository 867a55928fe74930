"""Play recorded files as if they happened now: their ticks, in their order, at their spacing times a speed.

    files ── merged by (time, file order) ──> read ahead in a thread ──> when due ──> publish(batch)

Invariant: a tick is never published before it is due, nor, unless the consumer is slower, more than one slice after;
its time stamp stays the recording's. Memory holds two read-ahead chunks. A slow consumer delays the play, and what
was delayed is caught up in full batches: nothing is dropped.

It may be paused, sped up, slowed down and moved to another time while it runs: the anchor, which ties an instant of
the recording to one of the clock, is then set anew, so that nothing comes in a rush and nothing twice but what a seek
goes back to.
"""

import asyncio
import heapq
import math
import time
from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from qsuite.domain.errors import SetupError
from qsuite.domain.market import Tick
from qsuite.domain.times import NS_PER_MS, NS_PER_S
from qsuite.services.files.as_ticks import file_ticks
from qsuite.services.files.market_file import MarketFile
from qsuite.services.files.rows import BadRow

READ_TICKS = 5_000
BATCH_TICKS = 500
SLICE_NS = 5 * NS_PER_MS
BAD_ROWS_KEPT = 20

Publish = Callable[[list[Tick]], Awaitable[None]]


class Played(NamedTuple):
    """What a replay has done so far: ticks published, the recording's span, and the rows left out."""

    ticks: int
    first_ns: int | None
    last_ns: int | None
    bad_rows: int
    first_bad: tuple[BadRow, ...]
    finished: bool


class Replay:
    """Play files once. ``speed`` 1 is real time, 10 ten times as fast, 0 or None as fast as ``publish`` returns.

    Only ticks from ``start_ns`` on and before ``end_ns`` are played.
    """

    def __init__(
        self,
        files: Sequence[MarketFile],
        publish: Publish,
        *,
        speed: float | None = 1.0,
        start_ns: int | None = None,
        end_ns: int | None = None,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.speed = _checked(speed)
        self.paused = False
        self._files = files
        self._publish = publish
        self._from_ns = start_ns
        self._end_ns = end_ns
        self._monotonic_ns = monotonic_ns
        self._sleep = sleep
        self._sleeping: asyncio.Future[None] | None = None
        self._go = asyncio.Event()
        self._paused_ns = 0
        self._stopped = False
        self._sought = False
        self._ending = False
        self._anchor: tuple[int, int] | None = None
        self._slice_end_ns = 0
        self._ticks = 0
        self._first_ns: int | None = None
        self._at_ns: int | None = None
        self._last_ns: int | None = None
        self._bad_rows = 0
        self._first_bad: list[BadRow] = []
        self._finished = False

    @property
    def played(self) -> Played:
        """What has been played so far."""
        return Played(
            self._ticks, self._first_ns, self._last_ns, self._bad_rows, tuple(self._first_bad), self._finished
        )

    @property
    def position_ns(self) -> int | None:
        """Return the time of the recording that is now; None before the first tick."""
        if self._anchor is None or not self.speed:
            return self._at_ns
        first_ns, started_ns = self._anchor
        now_ns = self._paused_ns if self.paused else self._monotonic_ns()
        return first_ns + int((now_ns - started_ns) * self.speed)

    async def run(self) -> Played:
        """Play to the end, or until ``stop()``. Whatever ``publish`` or a damaged file raises ends it."""
        try:
            while await self._pass():
                pass
            self._finished = not self._stopped
        finally:
            self._stopped = True
        return self.played

    def stop(self) -> None:
        """End the play before its next batch; ``run()`` then returns."""
        self._stopped = True
        self._wake()

    def pause(self) -> None:
        """Publish nothing until ``resume()``."""
        if not self.paused:
            self.paused, self._paused_ns = True, self._monotonic_ns()
            self._wake()

    def resume(self) -> None:
        """Go on where ``pause()`` stopped."""
        if self.paused:
            self.paused = False
            if self._anchor is not None:
                first_ns, started_ns = self._anchor
                self._anchor = first_ns, started_ns + self._monotonic_ns() - self._paused_ns
            self._wake()

    def play_at(self, speed: float | None) -> None:
        """Go on at another speed, from the time of the recording that is now."""
        new, position_ns = _checked(speed), self.position_ns
        if self._anchor is not None and position_ns is not None:
            self._anchor = position_ns, self._paused_ns if self.paused else self._monotonic_ns()
        self.speed, self._slice_end_ns = new, 0
        self._wake()

    def seek(self, ts_ns: int) -> None:
        """Go on with the first tick of that time or later, back or forth; what lies between is not played."""
        self._from_ns, self._sought = ts_ns, True
        self._wake()

    def _wake(self) -> None:
        self._go.set()
        if self._sleeping is not None:
            self._sleeping.cancel()

    @property
    def _halted(self) -> bool:
        return self._stopped or self._sought

    async def _pass(self) -> bool:
        """Play from where to begin; return whether a seek asks for another pass."""
        self._sought, self._ending, self._anchor, self._slice_end_ns = False, False, None, 0
        self._bad_rows, self._first_bad = 0, []
        ticks = self._merged()
        reading = asyncio.ensure_future(asyncio.to_thread(_take, ticks))
        try:
            while (chunk := await asyncio.shield(reading)) and not self._halted:
                reading = asyncio.ensure_future(asyncio.to_thread(_take, ticks))
                await self._play(chunk)
        finally:
            self._ending = True
            # The thread ends at its next chunk; only then can the files be closed under it.
            await asyncio.gather(reading, return_exceptions=True)
            await asyncio.to_thread(ticks.close)
        return self._sought and not self._stopped

    async def _play(self, chunk: list[Tick]) -> None:
        at = 0
        while at < len(chunk):
            while self.paused and not self._halted:
                self._go.clear()
                await self._go.wait()
            if self.speed and not self._halted:
                await self._sleep_until(max(self._due_ns(chunk[at].ts_ns), self._slice_end_ns))
            if self._halted:
                return
            batch = [] if self.paused else self._due_batch(chunk, at)
            if not batch:
                continue  # woken early: sleep the rest, or wait
            at += len(batch)
            self._at_ns = batch[-1].ts_ns
            await self._publish(batch)
            self._ticks += len(batch)
            self._last_ns = self._at_ns
            if not self.speed:
                await asyncio.sleep(0)

    def _due_batch(self, chunk: list[Tick], at: int) -> list[Tick]:
        """Return the next ticks that are due now, up to a batch."""
        end = min(at + BATCH_TICKS, len(chunk))
        if self._anchor is None:
            self._anchor = (chunk[at].ts_ns, self._monotonic_ns())
            self._first_ns = chunk[at].ts_ns if self._first_ns is None else self._first_ns
        if not self.speed:
            return chunk[at:end]
        now_ns = self._monotonic_ns()
        stop = at
        while stop < end and self._due_ns(chunk[stop].ts_ns) <= now_ns:
            stop += 1
        # A full batch means there may be more to catch up with: then there is no pause.
        self._slice_end_ns = now_ns if stop - at == BATCH_TICKS else now_ns + SLICE_NS
        return chunk[at:stop]

    def _due_ns(self, ts_ns: int) -> int:
        if self._anchor is None:
            return self._monotonic_ns()
        first_ns, started_ns = self._anchor
        return started_ns + math.ceil((ts_ns - first_ns) / self.speed)

    async def _sleep_until(self, due_ns: int) -> None:
        wait_ns = due_ns - self._monotonic_ns()
        if wait_ns <= 0:
            return
        self._sleeping = asyncio.ensure_future(self._sleep(wait_ns / NS_PER_S))
        try:
            await asyncio.wait([self._sleeping])
        finally:
            self._sleeping.cancel()
            self._sleeping = None

    def _merged(self) -> Generator[Tick, None, None]:
        start_ns, end_ns = self._from_ns, self._end_ns
        streams = [
            file_ticks(file, on_bad=self._note_bad, stopped=lambda: self._ending or self._halted)
            for file in self._files
        ]
        try:
            for tick in heapq.merge(*streams, key=lambda tick: tick.ts_ns):
                if end_ns is not None and tick.ts_ns >= end_ns:
                    return
                if start_ns is None or tick.ts_ns >= start_ns:
                    yield tick
        finally:
            for stream in streams:
                stream.close()

    def _note_bad(self, row: BadRow) -> None:
        self._bad_rows += 1
        if len(self._first_bad) < BAD_ROWS_KEPT:
            self._first_bad.append(row)


def _checked(speed: float | None) -> float:
    if speed is not None and not (math.isfinite(speed) and speed >= 0):
        raise SetupError("the speed is a number above zero, or 0 for as fast as possible")
    return speed or 0.0


def _take(ticks: Iterator[Tick]) -> list[Tick]:
    return list(islice(ticks, READ_TICKS))
