"""Whether Redis answers, where one is configured. It never holds truth: without it QSuite goes on, and says so."""

import structlog

from qsuite.services.health import State
from qsuite.services.redis_calls import TIMEOUT_S, RedisCalls, RedisDown

log = structlog.get_logger(__name__)


class RedisProbe:
    """A supervised loop; ``state`` is what the last look found."""

    name = "redis"
    interval_s = 1.0

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self.state = State.STARTING
        self._redis = RedisCalls(url, timeout_s=timeout_s)

    async def run_once(self, now: int) -> None:
        """Ask for a sign of life."""
        try:
            await self._redis.call("PING")
            state = State.UP
        except RedisDown:
            state = State.DOWN
        if state is not self.state:
            log.log(30 if state is State.DOWN else 20, "health.redis", state=state.value)
        self.state = state

    async def stop(self) -> None:
        """Close the connection."""
        await self._redis.stop()
