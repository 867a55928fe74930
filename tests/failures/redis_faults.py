"""Redis is killed or frozen, and comes back: nobody waits for it, and every reader is told of each change."""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from ops.stack.redis_server import RedisServer
from tests.crash.clients import Connection, log_in
from tests.crash.victim import SYMBOL
from tests.failures.ground import FEED, Ground
from tests.failures.readers import Reader, reading
from tests.support.waiting import eventually

PHASE_S = 1.0
"""Orders are placed for so long, one after the other, before the failure and twice during it."""
SHARED = re.compile(r"^qsuite_throttle_shared (\S+)", re.MULTILINE)


@dataclass
class Away:
    """What Redis being away did."""

    before_s: list[float] = field(default_factory=list)
    during_s: list[float] = field(default_factory=list)
    """How long each order took before and during it."""
    back_s: float = 0.0
    told: int = 0


def kill(redis: RedisServer) -> Callable[[], None]:
    """Kill it; it is mended by a start, and comes back empty."""
    redis.kill()
    return redis.start


def freeze(redis: RedisServer) -> Callable[[], None]:
    """Freeze it; it is mended by a thaw."""
    redis.freeze()
    return redis.thaw


async def away(ground: Ground, how: Callable[[RedisServer], Callable[[], None]]) -> Away:
    """Take Redis away and bring it back under orders and prices."""
    redis, found = ground.stack.redis, Away()
    assert redis is not None
    token = await log_in(ground.engine)
    await source(ground, "redis")
    async with (
        reading(ground.engine, token, f"trades:{FEED}", "orders") as here,
        reading(ground.gateway, token, f"trades:{FEED}", "orders") as there,
    ):
        placed = await place_for(ground, token, found.before_s)
        await told(there, placed)
        assert here.gaps == there.gaps == 0
        mend = await asyncio.to_thread(how, redis)
        await place_for(ground, token, found.during_s)
        await source(ground, "database")
        await check_away(ground)
        placed = await place_for(ground, token, found.during_s)
        await told(there, placed)
        since_s = time.monotonic()
        await asyncio.to_thread(mend)
        await source(ground, "redis")
        found.back_s = time.monotonic() - since_s
        prices = len(there.prices)
        await eventually(lambda: len(there.prices) > prices + 5, what="prices at the gateway")
        assert there.gaps > 0, "a reader was given other numbers and not told"
        assert here.gaps == 0
        assert here.silent == there.silent == 0
        found.told = len(here.messages) + len(there.messages)
    return found


async def place_for(ground: Ground, token: str, waits_s: list[float]) -> set[str]:
    """Place orders for a while; return their ids."""
    placed, end = set[str](), time.monotonic() + PHASE_S
    async with Connection.open(ground.engine, token) as connection:
        while time.monotonic() < end:
            side = "SELL" if len(placed) % 2 else "BUY"
            order = {
                "symbol": SYMBOL,
                "side": side,
                "order_type": "MARKET",
                "quantity": 1,
                "client_order_id": uuid4().hex,
            }
            begun = time.monotonic()
            status, answer = await connection.call("POST", "/api/v1/orders/", order)
            waits_s.append(time.monotonic() - begun)
            assert status == 201, answer
            placed.add(answer["id"])
            await asyncio.sleep(0.01)
    return placed


async def told(reader: Reader, orders: set[str]) -> None:
    """Wait until a reader knows how all of these ended."""
    await eventually(lambda: orders <= set(ends(reader.messages)), what="orders at the gateway")


def ends(messages: list[dict[str, Any]]) -> list[str]:
    """Return the orders that messages tell to be filled."""
    return [each["id"] for each in messages if each["type"] == "order" and each["status"] == "FILLED"]


async def source(ground: Ground, name: str) -> None:
    """Wait until the gateway has its messages from there."""

    async def there() -> bool:
        async with Connection.open(ground.gateway) as connection:
            _, health = await connection.call("GET", "/health")
        return bool(health["stream"]["source"] == name)

    await eventually(there, timeout_s=15, what=f"the source {name}")


async def check_away(ground: Ground) -> None:
    """See that both say that Redis is away, take orders or readers all the same, and count requests by themselves."""

    async def so(port: int) -> bool:
        async with Connection.open(port) as connection:
            status, health = await connection.call("GET", "/health")
            ready, _ = await connection.call("GET", "/health/ready")
            _, figures = await connection.text("GET", "/metrics")
        assert (status, health["status"], health["services"]["redis"]) == (200, "degraded", "down")
        assert ready == 200
        if port == ground.engine:  # at the gateway nobody was counted since
            assert [float(found) for found in SHARED.findall(figures)] == [0.0]
        return True

    for port in (ground.engine, ground.gateway):
        await eventually(lambda port=port: so(port))
