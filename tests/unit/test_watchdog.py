"""The watchdog tells a held loop, and by whom."""

import asyncio
import time

import structlog

from qsuite.services.watchdog import LoopWatchdog
from tests.support.waiting import eventually


def hold_the_loop(watchdog: LoopWatchdog) -> None:
    """Keep the loop until the watchdog has seen it."""
    deadline = time.monotonic() + 10
    while not watchdog.blocks and time.monotonic() < deadline:
        time.monotonic()


async def test_a_held_loop_is_reported_once_with_the_stack_of_who_holds_it() -> None:
    watchdog = LoopWatchdog()
    with structlog.testing.capture_logs() as lines:
        await watchdog.start()
        hold_the_loop(watchdog)
        await eventually(lambda: watchdog.take_lag_max_s() >= watchdog.blocked_s)
        await watchdog.stop()
    assert watchdog.blocks == 1
    assert [line["event"] for line in lines] == ["loop.blocked"]
    assert "hold_the_loop" in watchdog.last_stack


async def test_a_loop_that_turns_is_left_alone() -> None:
    watchdog = LoopWatchdog(blocked_s=5.0)
    await watchdog.start()
    turned = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.12, turned.set_result, None)
    await turned
    await watchdog.stop()
    assert watchdog.blocks == 0
    assert watchdog.last_stack == ""
