"""Wait for a condition, never for a time."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ops.stack.waiting import POLL_S
from ops.stack.waiting import wait_until as wait_until

T = TypeVar("T")


async def eventually(
    condition: Callable[[], T | Awaitable[T]], *, timeout_s: float = 10.0, what: str = "the condition"
) -> T:
    """Return the first truthy value of ``condition()`` (a coroutine function works too).

    AssertionError after ``timeout_s``. An AssertionError of the condition itself counts as "not yet", and is the one
    raised in the end, so that ``condition`` may be a block of assertions that returns True.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        failure: AssertionError | None = None
        value: T | None = None
        try:
            outcome = condition()
            value = await outcome if inspect.isawaitable(outcome) else outcome
        except AssertionError as error:
            failure = error
        if value:
            return value
        if time.monotonic() > deadline:
            raise failure or AssertionError(f"{what} did not come about within {timeout_s} s (last: {value!r})")
        await asyncio.sleep(POLL_S)


async def turns(count: int = 1) -> None:
    """Let everything that is ready go on, so many times; no time passes."""
    for _ in range(count):
        await asyncio.sleep(0)
