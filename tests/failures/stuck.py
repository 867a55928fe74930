"""Readers that read nothing, under a market that moves: what they cost, when they are closed, what others notice.

A small version; the one with a hundred of them for ten minutes is in ``tests/soak``.
"""

import asyncio
import time
from typing import NamedTuple

from ops.stack import OPERATOR
from tests.crash.clients import log_in
from tests.failures.ground import Ground
from tests.soak.load import MIB, percentile_ms, resident_bytes
from tests.soak.soak_stuck_sockets import SMALL_BUFFER, gone, move_the_market, round_trips, subscribed

STUCK = 20
ALONE_S = 2.0
"""Before them, and again after them."""


class Cost(NamedTuple):
    """What they cost."""

    closed_s: list[float]
    """After how long each was closed."""
    growth_mib: float
    alone_ms: float
    beside_ms: float
    """99 of 100 of another reader's round trips took no longer."""


async def stick(ground: Ground) -> Cost:
    """Let readers get stuck, until the server has closed every one of them."""
    port, token = ground.engine, await log_in(ground.engine)
    admin = await asyncio.to_thread(ground.stack.token, OPERATOR)
    moving = asyncio.create_task(move_the_market(port, admin))
    try:
        alone = await round_trips(port, token, ALONE_S)
        before = peak = resident_bytes(ground.stack.engine.pid)
        stuck = [asyncio.create_task(until_closed(port, token)) for _ in range(STUCK)]
        beside: list[float] = []
        async with asyncio.timeout(60):
            while not all(one.done() for one in stuck):
                beside += await round_trips(port, token, 0.5)
                peak = max(peak, resident_bytes(ground.stack.engine.pid))
                assert not moving.done(), moving
        alone += await round_trips(port, token, ALONE_S)
    finally:
        moving.cancel()
        await asyncio.gather(moving, return_exceptions=True)
    closed_s = [one.result() for one in stuck]
    return Cost(closed_s, (peak - before) / MIB, percentile_ms(alone, 99), percentile_ms(beside, 99))


async def until_closed(port: int, token: str) -> float:
    """Subscribe and read nothing; return how long that was let go on."""
    async with await subscribed(port, token, receive_buffer=SMALL_BUFFER) as client:
        begun = time.monotonic()
        await gone(client)
        return time.monotonic() - begun
