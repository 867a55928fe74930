"""Lines to the database fail while all processes live: one is cut off, lines are slow or reset, answers get lost."""

import asyncio
import time
from typing import NamedTuple

from tests.crash.crowd import CLIENTS
from tests.failures.ground import ORDERS, Ground
from tests.failures.primaries import was_told
from tests.support.waiting import eventually

SLOW_S = 0.2
COMMIT = b"commitTransaction"
REFUSED_S = 30.0
CERTAINLY_S = 3.0
"""Before the first refusal, which comes after 5 s, so long nothing can have been acknowledged."""


class CutOff(NamedTuple):
    """What became of the orders while the engine could not do its work, and after it could again."""

    refused_s: list[float]
    """How long each answer of 503 took."""
    in_doubt: int
    """Orders whose clients had no answer that says what became of them."""
    stored: int
    """Those of them that were in storage before anybody asked again."""
    settled_s: float
    reads_s: float
    noticed: bool


async def cut_off(ground: Ground, *, replies_only: bool) -> CutOff:
    """Cut the engine off from the primary, which everybody else reaches; or let only what it is answered get lost."""
    async with ground.load() as load:
        clients = load.clients
        proxies = ground.stack.proxies
        assert proxies is not None
        proxy = proxies.of(await ground.primary())
        engine, failed_s = ground.stack.engine.pid, time.monotonic()
        if replies_only:
            await asyncio.to_thread(proxy.drop_replies, engine, COMMIT)
        else:
            await asyncio.to_thread(proxy.freeze, engine)
        try:
            since = len(clients.refused)
            await eventually(lambda: len(clients.refused) >= since + CLIENTS, timeout_s=REFUSED_S, what="refusals")
            told_s = clients.refused[since][0]
            late = [at for at in clients.times if at > told_s - CERTAINLY_S]
            assert late == [], "an order was acknowledged without the database"
            unknown = set(clients.ledger.unknown)
            asked = {"client_order_id": {"$in": list(unknown)}}
            stored = await asyncio.to_thread(ground.database.sync.orders.count_documents, asked)
            refused_s = [wait for at, wait in clients.refused if at > failed_s]
        finally:
            await asyncio.to_thread(proxy.heal)
        healed_s = time.monotonic()
        await load.on()
        reads_s = load.reads.gap_s(failed_s)
    noticed = was_told(load.pulse, ground.engine, failed_s, healed_s)
    assert unknown <= set(clients.ledger.acknowledged)
    return CutOff(refused_s, len(unknown), stored, load.over_s - healed_s, reads_s, noticed)


async def slow_down(ground: Ground) -> tuple[int, float]:
    """Delay every piece to and from the primary; return how many orders were placed then, and in what time."""
    async with ground.load() as load:
        proxies = ground.stack.proxies
        assert proxies is not None
        proxy = proxies.of(await ground.primary())
        proxy.delay(SLOW_S)
        begun_s, known = time.monotonic(), len(load.clients.times)
        try:
            await load.clients.more(ORDERS)
            found = len(load.clients.times) - known, time.monotonic() - begun_s
        finally:
            await asyncio.to_thread(proxy.heal)
        await load.on()
    await ground.whole()
    return found


async def cut_lines(ground: Ground, times: int) -> float:
    """Reset the engine's lines to the database again and again; return the longest time without an acknowledgement."""
    async with ground.load() as load:
        proxies = ground.stack.proxies
        assert proxies is not None
        failed_s = time.monotonic()
        for _ in range(times):
            for proxy in proxies.members:
                await asyncio.to_thread(proxy.cut, ground.stack.engine.pid)
            await load.on()
    return load.clients.gap_s(failed_s)
