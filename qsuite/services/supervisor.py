"""Keeps the long-running loops alive: sleeps between their rounds, backs off after a failure, stops them in order.

A loop says what one round does (``run_once``) and how long the pause after it is; it never sleeps and never catches
what it cannot handle. So a test calls ``run_once`` with the time it likes, and health reads from here which loops
work.

Invariant: a round that fails ends neither its loop nor another one, and every failure is logged.
"""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

log = structlog.get_logger(__name__)

BACKOFF_FIRST_S = 0.25
BACKOFF_MAX_S = 30.0
FAILURES_TO_BE_DOWN = 3  # one failed round is weather; three in a row are a fault that health should show


class Loop(Protocol):
    """A piece of work repeated for as long as the process serves."""

    @property
    def name(self) -> str:
        """Return the word that logs and health use."""

    @property
    def interval_s(self) -> float:
        """Return the pause after a round that worked."""

    async def run_once(self, now: int) -> None:
        """Do one round; ``now`` in nanoseconds since the epoch."""


@dataclass(slots=True)
class LoopState:
    """What is known of one loop; ``failures`` counts those in a row, ``restarts`` all of them."""

    name: str
    rounds: int = 0
    failures: int = 0
    restarts: int = 0
    last_error: str = ""

    @property
    def up(self) -> bool:
        """Say whether the loop does its work."""
        return self.failures < FAILURES_TO_BE_DOWN


class Supervisor:
    """Run loops in tasks of their own, in the order they were added; stop them in the reverse order."""

    def __init__(self, *, clock: Callable[[], int] = time.time_ns, jitter: random.Random | None = None) -> None:
        self._clock = clock
        self._jitter = jitter or random.Random()
        self._loops: list[Loop] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.states: dict[str, LoopState] = {}

    def add(self, loop: Loop) -> None:
        """Take a loop in; when the supervisor already runs, the loop starts at once."""
        if loop.name in self.states:
            raise ValueError(f"a loop named {loop.name} is already supervised")
        self._loops.append(loop)
        self.states[loop.name] = LoopState(loop.name)
        if self._tasks:
            self._launch(loop)

    def start(self) -> None:
        """Start all loops."""
        for loop in self._loops:
            self._launch(loop)

    async def stop(self) -> None:
        """Stop the loops, the newest first; each has ended before the next one is told."""
        while self._tasks:
            task = self._tasks.pop()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _launch(self, loop: Loop) -> None:
        self._tasks.append(asyncio.create_task(self._keep(loop), name=f"loop:{loop.name}"))

    async def _keep(self, loop: Loop) -> None:
        state = self.states[loop.name]
        while True:
            try:
                await loop.run_once(self._clock())
            except Exception as error:  # noqa: BLE001  whatever it is: logged, shown in health, tried again
                self._note_failure(state, error)
            else:
                state.rounds += 1
                state.failures = 0
            await asyncio.sleep(self.pause_s(loop.interval_s, state.failures))

    def _note_failure(self, state: LoopState, error: Exception) -> None:
        state.failures += 1
        state.restarts += 1
        state.last_error = f"{type(error).__name__}: {error}"
        log.error("loop.failed", loop=state.name, failures=state.failures, exc_info=error)

    def pause_s(self, interval_s: float, failures: int) -> float:
        """Return the pause before the next round: doubled with each failure in a row, then spread by up to half.

        The spread keeps processes that failed together (the database went away) from coming back together.
        """
        if failures == 0:
            return interval_s
        backoff = min(BACKOFF_MAX_S, max(interval_s, BACKOFF_FIRST_S) * 2.0 ** min(failures - 1, 16))
        return backoff * (1.0 + 0.5 * self._jitter.random())
