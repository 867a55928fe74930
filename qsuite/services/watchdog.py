"""Sees when the event loop is held: a figure for the metrics, and the stack of whoever holds it for the log.

The loop notes the time every ``BEAT_S``; a thread looks at that note. Only another thread can look while the loop is
held, and only then does the stack say by whom.

Invariant: one block is reported once, however long it lasts, and a loop that only waits for the processor (its stack
stands in ``select``) is not reported: that is the machine's load, not a fault here.
"""

import asyncio
import sys
import threading
import time
import traceback
from types import FrameType

import structlog

from qsuite.domain.histogram import STAGE_BOUNDS_S, Histogram

log = structlog.get_logger(__name__)

BEAT_S = 0.05
BLOCKED_S = 0.1
STACK_LINES = 12


class LoopWatchdog:
    """Watch the running event loop; ``lag_s`` is its newest lateness, ``blocks`` counts those beyond ``blocked_s``."""

    def __init__(self, *, blocked_s: float = BLOCKED_S) -> None:
        self.blocked_s = blocked_s
        self.lag_s = 0.0
        self.blocks = 0
        self.last_stack = ""
        self.lag = Histogram(STAGE_BOUNDS_S)
        """How late each beat was."""
        self._lag_max_s = 0.0
        self._beat = 0.0
        self._reported = 0.0
        self._handle: asyncio.TimerHandle | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop_thread = 0

    async def start(self) -> None:
        """Start watching the loop that this is called on."""
        self._loop_thread = threading.get_ident()
        self._thread = threading.Thread(target=self._watch, name="qsuite-watchdog", daemon=True)
        self._on_beat()
        await asyncio.to_thread(self._thread.start)

    async def stop(self) -> None:
        """Stop watching."""
        self._ended.set()
        if self._handle is not None:
            self._handle.cancel()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
            self._thread = None

    def take_lag_max_s(self) -> float:
        """Return the greatest lateness since the last call, and begin anew: a scrape sees what fell between two."""
        worst, self._lag_max_s = max(self._lag_max_s, self.lag_s), 0.0
        return worst

    def _on_beat(self) -> None:
        now = time.monotonic()
        if self._handle is not None:
            self.lag_s = max(0.0, now - self._beat - BEAT_S)
            self.lag.observe(self.lag_s)
        self._lag_max_s = max(self._lag_max_s, self.lag_s)
        self._beat = now
        self._handle = asyncio.get_running_loop().call_later(BEAT_S, self._on_beat)

    def _watch(self) -> None:
        while not self._ended.wait(BEAT_S):
            beat = self._beat
            held_s = time.monotonic() - beat - BEAT_S
            if held_s > self.blocked_s and beat != self._reported:
                self._reported = beat
                self._report(held_s)

    def _report(self, held_s: float) -> None:
        frame = sys._current_frames().get(self._loop_thread)
        if frame is None or _only_waits(frame):
            return
        self.blocks += 1
        self.last_stack = "".join(traceback.format_stack(frame)[-STACK_LINES:])
        log.warning("loop.blocked", held_ms=round(held_s * 1000), stack=self.last_stack)


def _only_waits(frame: FrameType) -> bool:
    return frame.f_code.co_name == "select" and frame.f_code.co_filename.endswith("selectors.py")
