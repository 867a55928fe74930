"""Short Redis streams: append and read on, by ``redis_calls``: what is not answered raises ``RedisDown``.

qsuite:DATABASE:flushes     by the process with the engine
qsuite:DATABASE:asks        by gateways
"""

import asyncio
from collections import deque

from qsuite.services.redis_calls import TIMEOUT_S, RedisCalls

BLOCK_MS = 100
"""A reading waits so long for something new: less than the time-out, so that silence is told from a frozen server."""
KEPT_BYTES = 32 * 1_048_576
KEPT_MS = 60_000
EXPIRES_S = 120
EXPIRE_EVERY_S = 10.0
FIELD = b"f"


class Link:
    """One stream. ``append`` keeps the newest minute of what it wrote, at most 32 MiB."""

    def __init__(self, url: str, name: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._name = name
        self._redis = RedisCalls(url, timeout_s=timeout_s)
        self._written: deque[tuple[str, int]] = deque()
        self._bytes = 0
        self._expire_at_s = 0.0

    async def append(self, data: bytes) -> None:
        """Append an entry. RedisDown: perhaps."""
        trim = ("MINID", self._oldest()) if self._written else ()
        written = await self._redis.call("XADD", self._name, *trim, "*", FIELD, data)
        self._note(written.decode(), len(data))
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._expire_at_s:
            self._expire_at_s = now_s + EXPIRE_EVERY_S
            await self._redis.call("EXPIRE", self._name, EXPIRES_S)

    async def read(self, after: str, most: int) -> list[tuple[str, bytes]]:
        """Return entries after one, with their ids; none when there is none for a tenth of a second."""
        found = await self._redis.call("XREAD", "COUNT", most, "BLOCK", BLOCK_MS, "STREAMS", self._name, after)
        if not found:
            return []
        return [(id_.decode(), fields[FIELD]) for id_, fields in found[0][1] if fields]

    async def last_id(self) -> str:
        """Return the id of the newest entry."""
        found = await self._redis.call("XREVRANGE", self._name, "+", "-", "COUNT", 1)
        return found[0][0].decode() if found else "0-0"

    async def stop(self) -> None:
        """Close the connections."""
        await self._redis.stop()

    def _oldest(self) -> str:
        """Return the id of the oldest entry to keep."""
        newest_ms = int(self._written[-1][0].partition("-")[0])
        while len(self._written) > 1 and (
            self._bytes > KEPT_BYTES or int(self._written[0][0].partition("-")[0]) < newest_ms - KEPT_MS
        ):
            self._bytes -= self._written.popleft()[1]
        return self._written[0][0]

    def _note(self, id_: str, size: int) -> None:
        self._written.append((id_, size))
        self._bytes += size


def id_order(id_: str) -> tuple[int, int]:
    """Return what the ids of a stream's entries are ordered by."""
    milliseconds, _, number = id_.partition("-")
    return int(milliseconds), int(number)
