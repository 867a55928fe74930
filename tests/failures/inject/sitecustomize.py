"""Faults that no client can cause, brought into a real ``qsuite serve`` from outside.

Python imports this module by itself in every process whose PYTHONPATH begins with this folder.

    SIGUSR1   the event loop is held for HELD_S
    SIGUSR2   the engine's loop ends, as after a fault that nothing in it catches
"""

import signal
import sys
import time

HELD_S = 0.5


def hold(*_: object) -> None:
    """Stand in the way of the event loop, which runs on the thread that signals interrupt."""
    time.sleep(HELD_S)


def end_engine(*_: object) -> None:
    """Cancel the engine's task."""
    import asyncio

    for task in asyncio.all_tasks():
        if task.get_name() == "engine":
            task.cancel()


if "serve" in sys.orig_argv:
    signal.signal(signal.SIGUSR1, hold)
    signal.signal(signal.SIGUSR2, end_engine)
