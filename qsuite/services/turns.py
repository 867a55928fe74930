"""Work on many things without keeping everybody else from the event loop."""

import asyncio
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

IN_A_TURN = 64


async def in_turns(work: Callable[[T], R], things: Iterable[T]) -> list[R]:
    """Return what the work makes of each thing, letting the loop go round after every few."""
    done: list[R] = []
    rest = iter(things)
    while some := list(islice(rest, IN_A_TURN)):
        if done:
            await asyncio.sleep(0)
        done += map(work, some)
    return done
