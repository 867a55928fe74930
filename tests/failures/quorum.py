"""Two of the three members are gone: nothing is acknowledged, all is settled afterwards, and prices go on, marked."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from qsuite.domain.times import format_rfc3339
from tests.crash.crowd import CLIENTS
from tests.failures.ground import FEED, Ground
from tests.failures.primaries import was_told
from tests.failures.readers import Reader, reading
from tests.support.waiting import eventually

PRICES = 20
"""To be told of, each of them marked, while there is no quorum."""


class Lost(NamedTuple):
    """What became of orders and prices."""

    refused_s: list[float]
    in_doubt: int
    settled_s: float
    priced: int
    """Prices that a reader at the engine was told meanwhile."""
    noticed: bool


async def lose(ground: Ground) -> Lost:
    """Kill both secondaries, then start them again."""
    async with ground.load() as load:
        clients = load.clients
        async with (
            reading(ground.engine, clients.token, f"trades:{FEED}") as here,
            reading(ground.gateway, clients.token, f"trades:{FEED}") as there,
        ):
            await eventually(lambda: here.prices and there.prices and not here.now_stale() and not there.now_stale())
            async with without_quorum(ground):
                lost_s, lost = time.monotonic(), format_rfc3339(time.time_ns())
                told = await marked(here, there)
                await eventually(lambda: len(clients.refused) > CLIENTS, timeout_s=40, what="refusals")
                told = len(here.prices) - told
                assert clients.made_after(lost) == [], "acknowledged without a quorum"
                refused_s = [wait for at, wait in clients.refused if at > lost_s]
                in_doubt = set(clients.ledger.unknown)
            healed_s = time.monotonic()
            await load.on()
            await eventually(lambda: not here.now_stale() and not there.now_stale(), what="prices without a mark")
    assert here.silent == there.silent == 0
    assert in_doubt <= set(clients.ledger.acknowledged)
    noticed = all(was_told(load.pulse, port, lost_s, healed_s) for port in (ground.engine, ground.gateway))
    await ground.whole()
    return Lost(refused_s, len(in_doubt), load.over_s - healed_s, told, noticed)


@asynccontextmanager
async def without_quorum(ground: Ground) -> AsyncIterator[None]:
    """Have both secondaries killed meanwhile; they are started in the end, not yet of use."""
    primary = await ground.primary()
    others = [one for one in ground.stack.members if one is not primary]
    for one in others:
        await asyncio.to_thread(one.kill)
    try:
        yield
    finally:
        for one in others:
            await asyncio.to_thread(one.launch)


async def marked(here: Reader, there: Reader) -> int:
    """Wait until what both readers are told is marked, and then goes on; return how many prices the first had."""
    await eventually(lambda: here.now_stale() and there.now_stale(), timeout_s=20, what="prices marked as stale")
    known = len(here.prices)
    await eventually(lambda: len(here.prices) >= known + PRICES, what="prices that go on")
    assert all(each.get("stale") for each in here.prices[known:])
    return known
