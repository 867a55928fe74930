"""Ticks that came while nobody had the engine, kept for whoever takes it, so that resting orders meet them after all.

What the engine before it may have acted on is not given again: with every commit it signed its lease, so a tick that is
later than its last sign of life left no trace in storage.
"""

from collections import deque
from collections.abc import Sequence

from qsuite.domain.market import Tick

KEPT_TICKS = 50_000
KEPT_S = 60.0


class MissedTicks:
    """Keep the newest ticks of the last minute, by this process's monotonic clock."""

    def __init__(self) -> None:
        self._batches: deque[tuple[float, tuple[Tick, ...]]] = deque()
        self._count = 0

    def add(self, ticks: Sequence[Tick], now_s: float) -> None:
        """Keep ticks that arrive now."""
        self._batches.append((now_s, tuple(ticks)))
        self._count += len(ticks)
        while self._batches and (self._count > KEPT_TICKS or self._batches[0][0] < now_s - KEPT_S):
            self._count -= len(self._batches.popleft()[1])

    def take(self, since_s: float) -> list[tuple[Tick, ...]]:
        """Return the batches that arrived since then, the oldest first, and keep none."""
        found = [ticks for arrived_s, ticks in self._batches if arrived_s >= since_s]
        self._batches.clear()
        self._count = 0
        return found
