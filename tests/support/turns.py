"""How long the event loop is held: the longest turn of any callback, by the time its thread computed.

Not by the clock: on a busy machine every callback waits for the processor now and then, and that is nobody's fault.
"""

import asyncio
import gc
import time
from collections.abc import Callable
from typing import Any


class TurnGauge:
    """Measures while it is entered. ``longest_s`` is of the last time, ``longest`` says whose turn that was."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self.longest = ""
        self._real: Callable[[Any], None] = asyncio.Handle._run

    def __enter__(self) -> None:
        self.longest_s, self.longest = 0.0, ""
        gauge, real = self, self._real

        def run(handle: Any) -> None:
            begun = time.thread_time()
            real(handle)
            took = time.thread_time() - begun
            if took > gauge.longest_s:
                gauge.longest_s, gauge.longest = took, repr(handle)

        gc.disable()  # a server has frozen what it keeps (``calm_collector``), a test process has not
        asyncio.Handle._run = run  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        asyncio.Handle._run = self._real  # type: ignore[method-assign]
        gc.enable()
