"""Fills depend on the market's time alone: a real market at two very different speeds fills the same orders alike."""

from collections import Counter
from pathlib import Path

from qsuite.domain.times import NS_PER_S, parse_rfc3339
from tests.support.replayed import orders_for, play, real_day

OPEN_NS = parse_rfc3339("2013-10-07T14:00:00Z")
SPAN_NS = 150 * NS_PER_S
SLOWLY = 25.0


async def test_a_market_played_at_any_speed_fills_the_same_orders_at_the_same_prices(
    mongod: str, shared_data: Path, tmp_path: Path
) -> None:
    files = real_day(shared_data)
    span = {"start_ns": OPEN_NS, "end_ns": OPEN_NS + SPAN_NS}
    orders = orders_for(files, span["start_ns"], span["end_ns"], every_ns=3 * NS_PER_S)
    fast = await play(mongod, "test_replay_fast", tmp_path / "fast", orders, files, speed=0, **span)
    slow = await play(mongod, "test_replay_slow", tmp_path / "slow", orders, files, speed=SLOWLY, **span)
    assert len(fast.fills) > len(orders)
    assert {"quote", "last", "limit", "gap"} <= set(Counter(fill.rule for fill in fast.fills))
    assert fast.fills == slow.fills
    assert fast.ends == slow.ends
