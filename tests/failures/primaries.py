"""The primary of the set fails under load, in three ways: how long nobody is answered, and what health says then."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from pymongo.errors import PyMongoError

from ops.stack.replica_set import Member
from tests.failures.ground import Ground
from tests.failures.pulse import Pulse

STANDS_BACK_S = 2
"""A member that stepped down is not elected for so long; were it longer, all three would be out after three times."""


class Gaps(NamedTuple):
    """How long nothing was acknowledged, nothing was read through the gateway, and health was wrong afterwards."""

    orders_s: float
    reads_s: float
    live_s: float
    noticed: bool
    """Engine and gateway both said that the database is away, and were not ready."""


def kill(primary: Member) -> Callable[[], None]:
    """Kill it; it is mended by a start."""
    primary.kill()
    return primary.start


def freeze(primary: Member) -> Callable[[], None]:
    """Freeze it; it is mended by a thaw."""
    primary.freeze()
    return primary.thaw


def step_down(primary: Member) -> Callable[[], None]:
    """Have it step down; there is nothing to mend."""
    with suppress(PyMongoError):
        primary.command("replSetStepDown", STANDS_BACK_S, secondaryCatchUpPeriodSecs=STANDS_BACK_S - 1)
    return lambda: None


async def fail(ground: Ground, how: Callable[[Member], Callable[[], None]]) -> Gaps:
    """Let the primary fail, wait until all goes on by itself, then mend it."""
    async with ground.load() as load:
        primary = await ground.primary()
        failed_s = time.monotonic()
        mend = await asyncio.to_thread(how, primary)
        await load.on()
        on_s = time.monotonic()
        await asyncio.to_thread(mend)
        await ground.whole()
    noticed = all(was_told(load.pulse, port, failed_s, on_s) for port in (ground.engine, ground.gateway))
    return Gaps(load.clients.gap_s(failed_s), load.reads.gap_s(failed_s), max(load.pulse.waits_s()), noticed)


def was_told(pulse: Pulse, port: int, since_s: float, until_s: float) -> bool:
    """Say whether a process said between two times that its database is away, and at some time was not ready."""
    said = pulse.said(port, since_s, until_s)
    away = [each for each in said if each.body["services"]["database"] == "down"]
    return bool(away) and {each.status for each in away} == {503} and not all(pulse.ready(port, since_s, until_s))
