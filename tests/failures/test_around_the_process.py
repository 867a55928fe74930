"""What is around the process fails, on one stack: its database, the lines to it, Redis, its readers, its prices.

    step down, kill, freeze, no quorum    primaries, quorum
    cut off, slow, reset, unanswered      network
    gone, frozen                          redis_faults
    slow, silent, stuck                   stuck
    stale, wild                           prices

Sizes are multiplied by TEST_SCALE. Times are written down beside what is required, and never asserted.
"""

import statistics
from collections.abc import Callable, Iterator

import pytest

from ops.stack.redis_server import RedisServer
from tests.crash.clients import SCALE
from tests.failures import network, prices, primaries, quorum, redis_faults, stuck
from tests.failures.figures import Figures
from tests.failures.ground import SETTINGS, Ground, running_ground

FAULTS = {
    "steps down": (primaries.step_down, 2.0),
    "killed": (primaries.kill, 4.0),
    "frozen": (primaries.freeze, 6.0),
}
LIVE_S = 0.2
STUCK_S = SETTINGS["STREAM__STUCK_S"]


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with running_ground() as made:
        yield made


@pytest.mark.timeout(120 * SCALE)
@pytest.mark.parametrize("fault", FAULTS)
async def test_without_its_primary_it_loses_nothing_and_goes_on_by_itself(
    ground: Ground, figures: Figures, fault: str
) -> None:
    how, required_s = FAULTS[fault]
    told = [await primaries.fail(ground, how) for _ in range(SCALE)]
    assert fault == "steps down" or all(each.noticed for each in told), "health did not tell that the database is away"
    name = f"primary {fault}"
    figures.at_most(name, "without an acknowledgement", required_s, [each.orders_s for each in told])
    figures.at_most(name, "without a read at a gateway", required_s, [each.reads_s for each in told])
    figures.at_most(name, "/health/live", LIVE_S, [each.live_s for each in told])


@pytest.mark.timeout(120 * SCALE)
async def test_without_a_quorum_nothing_is_acknowledged_and_prices_go_on_marked(
    ground: Ground, figures: Figures
) -> None:
    told = [await quorum.lose(ground) for _ in range(SCALE)]
    assert all(each.noticed for each in told)
    refused = [wait for each in told for wait in each.refused_s]
    figures.at_most("quorum lost", "503 within", 6.0, refused)
    figures.at_most("quorum lost", "in-doubt settled after healing", 10.0, [each.settled_s for each in told])
    doubtful, priced = sum(each.in_doubt for each in told), sum(each.priced for each in told)
    figures.note("quorum lost", "acknowledged", "0", f"0 of {len(refused)} answers, {doubtful} orders in doubt")
    figures.note("quorum lost", "prices go on, marked stale", "all", f"{priced} of {priced} marked, none missed")


@pytest.mark.timeout(120 * SCALE)
@pytest.mark.parametrize("replies_only", [False, True], ids=["cut off", "unanswered"])
async def test_an_engine_that_cannot_hear_its_database_says_so_and_settles_what_is_in_doubt(
    ground: Ground, figures: Figures, replies_only: bool
) -> None:
    told = [await network.cut_off(ground, replies_only=replies_only) for _ in range(SCALE)]
    assert all(each.noticed for each in told)
    assert not replies_only or any(each.stored for each in told), "no order was committed without its answer"
    name = "replies of the database lost" if replies_only else "engine cut off from the primary"
    figures.at_most(name, "503 within", 6.0, [wait for each in told for wait in each.refused_s])
    figures.at_most(name, "in-doubt settled after healing", 10.0, [each.settled_s for each in told])
    reads_s = max(each.reads_s for each in told)
    figures.note(name, "reads at a gateway", "go on", f"longest pause {reads_s:.2g} s")
    doubtful, stored = sum(each.in_doubt for each in told), sum(each.stored for each in told)
    figures.note(name, "lost or doubled", "0", f"0 of {doubtful} in doubt, {stored} of them were stored")


@pytest.mark.timeout(120 * SCALE)
async def test_over_a_slow_line_orders_are_slow_and_right(ground: Ground, figures: Figures) -> None:
    told = [await network.slow_down(ground) for _ in range(SCALE)]
    orders, seconds = sum(each[0] for each in told), sum(each[1] for each in told)
    figures.note("200 ms to the primary and back", "orders go on", "> 0/s", f"{orders / seconds:.1f}/s of 12 clients")


@pytest.mark.timeout(120 * SCALE)
async def test_reset_lines_are_opened_again_and_no_order_is_lost_or_doubled(ground: Ground, figures: Figures) -> None:
    gap_s = await network.cut_lines(ground, 5 * SCALE)
    figures.note(
        "the engine's lines reset", "without an acknowledgement", "-", f"{gap_s:.2g} s (largest of {5 * SCALE})"
    )


@pytest.mark.timeout(120 * SCALE)
@pytest.mark.parametrize("fault", [redis_faults.kill, redis_faults.freeze], ids=["killed", "frozen"])
async def test_without_redis_orders_wait_for_nothing_and_readers_are_told_of_every_change(
    ground: Ground, figures: Figures, fault: Callable[[RedisServer], Callable[[], None]], request: pytest.FixtureRequest
) -> None:
    told = [await redis_faults.away(ground, fault) for _ in range(SCALE)]
    name = f"Redis {request.node.callspec.id}"
    before = [wait for each in told for wait in each.before_s]
    during = [wait for each in told for wait in each.during_s]
    figures.at_most(name, "longest order beyond the longest before", 0.4, [max(0.0, max(during) - max(before))])
    medians = f"{statistics.median(before) * 1000:.1f} ms -> {statistics.median(during) * 1000:.1f} ms"
    figures.note(name, "median order", "not held up", f"{medians} (n {len(before)}, {len(during)})")
    figures.note(name, "readers at a gateway", "resync by seq", f"{sum(each.told for each in told)} messages, 0 missed")
    figures.note(
        name, "readers at a gateway", "fall back", f"and return {max(each.back_s for each in told):.2g} s after"
    )


@pytest.mark.timeout(120)
async def test_readers_that_are_stuck_are_closed_and_cost_others_nothing(ground: Ground, figures: Figures) -> None:
    cost = await stuck.stick(ground)
    name, share = f"{stuck.STUCK} stuck readers", stuck.STUCK / 100
    assert cost.growth_mib <= 64
    figures.at_most(name, f"memory (64 MiB for 100: {64 * share:.3g} MiB)", 64 * share, [cost.growth_mib], "MiB")
    figures.at_most(name, f"closed (after stream.stuck_s, here {STUCK_S} s)", 15.0, cost.closed_s)
    shown = f"{cost.alone_ms:.1f} ms -> {cost.beside_ms:.1f} ms"
    figures.note(name, "p99 of another's ping", "<= 2 x", shown, met=cost.beside_ms <= 2 * cost.alone_ms)


@pytest.mark.timeout(120)
async def test_prices_that_stop_or_jump_are_refused_marked_and_alarmed(ground: Ground, figures: Figures) -> None:
    late = await prices.misbehave(ground)
    figures.note(
        "stale prices", "refused, marked, counted", "all", f"marked {late['stale']:.2g} s after the last (2 s set)"
    )
    figures.note(
        "wild prices", "refused, marked, alarmed", "all", f"told {late['suspect'] * 1000:.0f} ms after it came"
    )
