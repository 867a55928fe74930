"""An hour of a real trading day with orders resting against it, in its own time and as fast as it can be played."""

import json
from pathlib import Path

import pytest
from tornado.ioloop import IOLoop

from qsuite.domain.times import NS_PER_S, parse_rfc3339
from tests.soak.load import SHARE
from tests.support.replayed import orders_for, play, real_day

START_NS = parse_rfc3339("2013-10-07T14:00:00Z")
EVERY_NS = 5 * NS_PER_S
TIMES_AS_FAST = 100.0


def test_an_hour_fills_orders_alike_in_its_own_time_and_at_a_hundred_times_that(
    mongod: str, shared_data: Path, io_loop: IOLoop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = real_day(shared_data)
    end_ns = START_NS + int(3600 * SHARE) * NS_PER_S
    orders = orders_for(files, START_NS, end_ns, EVERY_NS)
    played = {}
    for name, speed in (("flat_out", 0.0), ("hundredfold", TIMES_AS_FAST), ("own_time", 1.0)):
        folder = tmp_path / name
        how = {"speed": speed, "start_ns": START_NS, "end_ns": end_ns}
        played[name] = io_loop.run_sync(lambda: play(mongod, f"soak_{name}", folder, orders, files, **how))  # noqa: B023
        (tmp_path / f"{name}.json").write_text(json.dumps(played[name], default=str))
        with capsys.disabled():
            result = played[name]
            print(  # noqa: T201  the figures to quote
                f"\n{name}: {result.ticks} ticks, {len(orders)} orders, {len(result.fills)} fills, "
                f"{result.speed:.1f} times its own time, in {tmp_path}"
            )
    for name in ("flat_out", "hundredfold"):
        assert played[name].fills == played["own_time"].fills
        assert played[name].ends == played["own_time"].ends
    assert SHARE < 1 or played["flat_out"].speed >= TIMES_AS_FAST
