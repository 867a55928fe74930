"""Whether Redis answers, where one is configured. It never holds truth: without it QSuite goes on, and says so.

Every wait is bounded, since Redis clients by default wait for a frozen server for ever.
"""

import asyncio
from typing import TYPE_CHECKING

import structlog

from qsuite.services.health import State

if TYPE_CHECKING:
    from redis.asyncio import Redis

log = structlog.get_logger(__name__)

TIMEOUT_S = 0.2


class RedisProbe:
    """A supervised loop; ``state`` is what the last look found."""

    name = "redis"
    interval_s = 1.0

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self.state = State.STARTING
        self._url = url
        self._timeout_s = timeout_s
        self._client: Redis | None = None

    async def run_once(self, now: int) -> None:
        """Ask for a sign of life."""
        from redis.exceptions import RedisError  # imported where Redis is used: it costs a tenth of a second

        try:
            async with asyncio.timeout(2 * self._timeout_s):
                await self._connected().ping()
            state = State.UP
        except (RedisError, OSError, TimeoutError):
            state = State.DOWN
        if state is not self.state:
            log.log(30 if state is State.DOWN else 20, "health.redis", state=state.value)
        self.state = state

    async def stop(self) -> None:
        """Close the connection."""
        if self._client is not None:
            await self._client.aclose()

    def _connected(self) -> "Redis":
        if self._client is None:
            from redis.asyncio import Redis

            self._client = Redis.from_url(
                self._url, socket_timeout=self._timeout_s, socket_connect_timeout=self._timeout_s
            )
        return self._client
