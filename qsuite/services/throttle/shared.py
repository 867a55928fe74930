"""Buckets that all processes share, in Redis: taken from by a script there, under the server's own clock.

Whatever is asked while an answer is under way goes in the next call together, so that a hundred requests at once cost
few round trips, and each takes part in exactly one.

    up ──a call is not answered──> down: callers count by themselves, and nobody asks Redis but ``run_once``
     ^                               │
     └───────run_once is answered────┘

Invariants: of the buckets of one request all are taken from or none; a request waits for Redis at most once, and not
longer than one call may take; a bucket that is full again is gone from Redis by itself.
"""

import asyncio
from asyncio import Future
from collections.abc import Sequence
from typing import NamedTuple

import structlog

from qsuite.domain.throttling import Rate
from qsuite.services.redis_calls import TIMEOUT_S, RedisCalls, RedisDown

log = structlog.get_logger(__name__)

MOST_AT_ONCE = 256
PROBE = Rate(1, 1, 1)

# A bucket is "debt at": what it lacks to be full, and when that was so. One that went missing is full. When the
# server's clock was put back nothing fills until it has caught up once, and a refusal too writes the new time.
SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answers, arg, key = {}, 1, 0
while arg <= #ARGV do
  local count, need, cost = tonumber(ARGV[arg]), tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2])
  arg = arg + 3
  local buckets, passed = {}, 1
  for i = 1, count do
    local unit, drip, full = tonumber(ARGV[arg]), tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2])
    arg = arg + 3
    local debt, late = 0, false
    local kept, at = string.match(redis.call('GET', KEYS[key + i]) or '', '^(%d+) (%d+)$')
    if kept then
      local passed_us = now - tonumber(at)
      late = passed_us < 0
      debt = math.max(0, tonumber(kept) - math.max(0, passed_us) * drip)
    end
    if debt + need * unit > full then passed = 0 end
    buckets[i] = {debt, cost * unit, drip, late}
  end
  local answer = {passed}
  for i, bucket in ipairs(buckets) do
    local debt, price, drip, late = bucket[1], bucket[2], bucket[3], bucket[4]
    if passed == 1 then debt = debt + price end
    if late or (passed == 1 and price > 0) then
      local ttl_ms = math.ceil(debt / drip / 1000) + 1000
      redis.call('SET', KEYS[key + i], string.format('%.0f %.0f', debt, now), 'PX', string.format('%.0f', ttl_ms))
    end
    answer[i + 1] = debt
  end
  key = key + count
  answers[#answers + 1] = answer
end
return answers
"""


class Ask(NamedTuple):
    """What one request takes ``cost`` tokens of, if there are ``need`` in each."""

    buckets: Sequence[tuple[str, Rate]]
    need: int
    cost: int


class SharedBuckets:
    """The buckets of one database's processes; also the supervised loop that looks for a Redis that went away."""

    name = "throttle"
    interval_s = 0.5

    def __init__(self, url: str, prefix: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self.up = True
        self.falls = 0
        """Times Redis did not answer and everybody was counted here instead."""
        self._prefix = prefix
        self._redis = RedisCalls(url, timeout_s=timeout_s)
        self._waiting: list[tuple[Ask, Future[list[int]]]] = []
        self._sender: asyncio.Task[None] | None = None

    async def take(self, ask: Ask) -> tuple[bool, list[int]]:
        """Return whether it passed, and what each bucket then lacks. RedisDown: count it elsewhere."""
        answer: Future[list[int]] = asyncio.get_running_loop().create_future()
        self._waiting.append((ask, answer))
        if self._sender is None or self._sender.done():
            self._sender = asyncio.get_running_loop().create_task(self._send())
        passed, *debts = await answer
        return passed == 1, debts

    async def run_once(self, now: int) -> None:
        """Ask a Redis that was away whether it is back."""
        if self.up:
            return
        try:
            await self._run([Ask([("probe", PROBE)], 0, 1)])
        except RedisDown:
            return
        self.up = True
        log.info("throttle.shared")

    async def stop(self) -> None:
        """Answer who waits, and close the connections; who comes later is counted elsewhere."""
        self.up = False
        if self._sender is not None:
            await self._sender
        await self._redis.stop()

    async def _send(self) -> None:
        """Ask for all who wait, then for who came meanwhile. Everybody is answered, whatever happens."""
        under_way: list[tuple[Ask, Future[list[int]]]] = []
        down = RedisDown("stopped")
        try:
            while self._waiting:
                under_way, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
                answers = await self._run([ask for ask, _ in under_way])
                for (_, waiting), answer in zip(under_way, answers, strict=True):
                    if not waiting.done():
                        waiting.set_result(answer)
        except RedisDown as error:
            down = error
            self._fall(error)
        finally:
            left, self._waiting = under_way + self._waiting, []
            for _, waiting in left:
                if not waiting.done():
                    waiting.set_exception(down)

    def _fall(self, error: RedisDown) -> None:
        if self.up:
            self.up = False
            self.falls += 1
            log.warning("throttle.alone", reason=str(error), rates="half")

    async def _run(self, asks: Sequence[Ask]) -> list[list[int]]:
        keys = [f"{self._prefix}:{name}" for ask in asks for name, _ in ask.buckets]
        figures: list[int] = []
        for ask in asks:
            figures += (len(ask.buckets), ask.need, ask.cost)
            for _, rate in ask.buckets:
                figures += (rate.unit, rate.drip, rate.full)
        found: list[list[int]] = await self._redis.call("EVAL", SCRIPT, len(keys), *keys, *figures)
        return found
