"""Commands to Redis that never wait long and are never sent twice.

A Redis client by default waits for a frozen server for ever, and sends again what was not answered. Here each command
has 0.2 s; after that ``RedisDown`` says that it may or may not have been done, and whoever calls knows what that means.
Redis never holds truth.
"""

import asyncio
from typing import Any

TIMEOUT_S = 0.2


class RedisDown(Exception):
    """Redis did not answer in time, or not at all."""


class RedisCalls:
    """One Redis. It connects when it is first used; made before there are readers, since the import holds the loop."""

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        self._timeout_s = timeout_s
        self._client: Any = Redis.from_url(
            url,
            protocol=2,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            max_connections=8,
        )

    async def call(self, *command: Any) -> Any:
        """Return the answer to a command. RedisDown: it was done, or was not."""
        from redis.exceptions import RedisError

        down: RedisDown | None = None
        answer = None
        try:
            async with asyncio.timeout(2 * self._timeout_s):  # to connect, and to be answered
                answer = await self._client.execute_command(*command)
        except (RedisError, OSError, TimeoutError) as error:
            down = RedisDown(str(error) or type(error).__name__)
        task = asyncio.current_task()
        if task is not None and task.cancelling():  # the client sometimes passes over that, and nothing would ever stop
            raise asyncio.CancelledError
        if down is not None:
            raise down
        return answer

    async def stop(self) -> None:
        """Close the connections."""
        await self._client.aclose()
