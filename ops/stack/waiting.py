"""Wait for a condition where there is no event loop, never for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
POLL_S = 0.01


def wait_until(condition: Callable[[], T], *, timeout_s: float = 10.0, what: str = "the condition") -> T:
    """Return the first truthy value of ``condition()``. AssertionError after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not come about within {timeout_s} s"
        time.sleep(POLL_S)
    return value
