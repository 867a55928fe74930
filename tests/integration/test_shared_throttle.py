"""Buckets shared through a real Redis: exact between processes; without it, half of it each, at once."""

import asyncio
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from qsuite.domain.roles import Caller, Role
from qsuite.domain.throttling import ThrottleScope
from qsuite.services.redis_calls import RedisCalls
from qsuite.services.throttle import Throttle, Verdict
from tests.support.redis_server import RedisServer, need_our_own, running_redis
from tests.support.throttle_taker import limits, sharing, take_many
from tests.support.waiting import eventually

RATE = "1000/day"  # no token comes while a test runs: one is due every 86 seconds
WHO = "192.0.2.1"


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


async def stop(*throttles: Throttle) -> None:
    for throttle in throttles:
        assert throttle.shared is not None
        await throttle.shared.stop()


async def test_a_thousand_of_three_thousand_pass_whichever_server_they_ask(redis: RedisServer) -> None:
    one, other = (sharing(redis.url, "two-servers", RATE) for _ in range(2))
    passed = await asyncio.gather(take_many(one, WHO, 1_500), take_many(other, WHO, 1_500))
    assert sum(passed) == 1_000
    assert all(passed)
    assert await take_many(one, "192.0.2.2", 10) == 10
    await stop(one, other)


async def test_a_thousand_of_three_thousand_pass_whichever_process_they_ask(redis: RedisServer) -> None:
    command = ("-m", "tests.support.throttle_taker", redis.url, "two-processes", RATE, "1500")
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE) for _ in range(2)
    ]
    said = [(await process.communicate())[0].split() for process in processes]
    assert [falls for _, falls in said] == [b"0", b"0"]
    assert sum(int(passed) for passed, _ in said) == 1_000


async def take(throttle: Throttle, who: Caller | str = WHO, cost: int = 1, need: int | None = None) -> Verdict:
    told = throttle.take(ThrottleScope.DEFAULT, who, cost, need)
    return told if isinstance(told, Verdict) else await told


async def test_what_passes_and_what_is_told_is_the_same_as_in_memory(redis: RedisServer) -> None:
    rates = {"user": "9/day", "key": "4/day"}
    shared, alone = sharing(redis.url, "same", RATE, **rates), Throttle(limits(**rates), clock=lambda: 0)
    anna = Caller(UUID(int=1), "anna", Role.TRADER, (), "session:1")
    keys = [replace(anna, token=f"key:{number}") for number in range(3)]
    one, two, three = keys
    asked = [
        (one, 3, 3), (one, 2, 2), (one, 0, 1), (anna, 1, 1), (two, 4, 4), (two, 1, 1),
        (three, 2, 2), (three, 0, 2), (three, 1, 1), (anna, 0, 1), (anna, 1, 1), (three, 5, 5),
    ]  # fmt: skip
    refused = 0
    for who, cost, need in asked:
        told, expected = await take(shared, who, cost, need), await take(alone, who, cost, need)
        assert bare(told) == bare(expected)
        assert type(told.refusal) is type(expected.refusal)
        assert (told.refusal and told.refusal.facts.get("limits")) == (
            expected.refusal and expected.refusal.facts.get("limits")
        )
        refused += told.refusal is not None
    assert refused == 7
    await stop(shared)


def bare(told: Verdict) -> str:
    """Return the fields without the times: one clock goes on, the other stands still."""
    return re.sub(r";t=\d+", "", told.fields)


async def test_tokens_come_back_by_the_servers_clock_and_a_full_bucket_leaves_no_trace(redis: RedisServer) -> None:
    throttle = sharing(redis.url, "refill", "2/second burst 1")
    assert [(await take(throttle)).refusal is None for _ in range(2)] == [True, False]
    await eventually(lambda: _passes(throttle))
    calls = RedisCalls(redis.url)
    kept = await calls.call("KEYS", "refill:*")
    assert len(kept) == 1
    # The half second until it is full, and one more.
    assert 0 < await calls.call("PTTL", kept[0]) <= 1_501
    await calls.stop()
    await stop(throttle)


async def _passes(throttle: Throttle) -> bool:
    return (await take(throttle)).refusal is None


async def test_while_redis_is_frozen_each_server_counts_to_half_and_nobody_waits_twice(redis: RedisServer) -> None:
    need_our_own(redis)
    throttle = sharing(redis.url, "frozen", RATE, timeout_s=0.2)
    shared = throttle.shared
    assert shared is not None
    assert await take_many(throttle, WHO, 400) == 400
    with capture_logs() as lines:
        redis.freeze()
        try:
            # All of them are under way when it turns out; what comes later is answered without awaiting.
            assert await take_many(throttle, WHO, 2_000) == 500
            told = throttle.take(ThrottleScope.DEFAULT, "192.0.2.9")
            assert isinstance(told, Verdict)
            assert 'RateLimit-Policy: "anonymous";q=500;w=86400\r\n' in told.fields
            await shared.run_once(0)
            assert not shared.up
        finally:
            redis.thaw()
        await eventually(lambda: _is_back(throttle))
    assert [line["event"] for line in lines] == ["throttle.alone", "throttle.shared"]
    assert shared.falls == 1
    # What it was frozen with was not lost, nor taken twice by who was counted elsewhere; the call that froze may count.
    assert 500 <= await take_many(throttle, WHO, 1_000) <= 600
    await stop(throttle)


async def _is_back(throttle: Throttle) -> bool:
    assert throttle.shared is not None
    await throttle.shared.run_once(0)
    return throttle.shared.up


async def test_a_redis_that_was_never_there_costs_nobody_the_service() -> None:
    throttle = sharing("redis://127.0.0.1:1/0", "away", "4/hour")
    assert await take_many(throttle, WHO, 50) == 2
    await stop(throttle)


async def test_who_asks_as_the_server_stops_is_answered_and_who_asks_later_is_counted_here(redis: RedisServer) -> None:
    throttle = sharing(redis.url, "stopping", "4/day")
    waiting = asyncio.ensure_future(take_many(throttle, WHO, 5, at_once=5))
    shared = throttle.shared
    assert shared is not None
    await eventually(lambda: shared._sender is not None)
    await stop(throttle)
    assert await waiting == 4
    assert await take_many(throttle, WHO, 5) == 2
