"""Python's search for garbage cycles, kept away from where it would hold the event loop.

While hundred thousands of objects that stay are made, it would look through all of them again and again: a second each
time, for nothing (measured with 100,000 orders: 21 s instead of 6 to load them, the loop held for 1.2 s).
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

MANY = 10_000
PORTION = 2_000


@contextmanager
def paused() -> Iterator[None]:
    """Do not look for cycles inside the block, which makes objects that stay."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def let_go(*lists: list[Any]) -> None:
    """Empty lists by portions, best in a thread: where the last name of half a million objects goes, all wait."""
    for each in lists:
        while each:
            del each[-PORTION:]


def keep(objects: int) -> None:
    """Never look again through what is there now, if this many objects were just made. They still end by reference."""
    if objects >= MANY:
        gc.freeze()
