"""A disk that fills and a clock that jumps are told once, when they do."""

from pathlib import Path

import pytest
import structlog

from qsuite.domain.errors import Unavailable
from qsuite.services.host_watch import HostWatch, free_share

S = 1_000_000_000


class Machine:
    free = 0.5
    monotonic_s = 100.0

    there_s = 0.0

    async def database_time(self) -> int:
        self.monotonic_s += 0.2  # what the question takes
        return int(self.there_s * S)

    def watch(self) -> HostWatch:
        return HostWatch(
            Path("/data"), alarm=0.2, halt=0.05, free=lambda _: self.free, monotonic=lambda: self.monotonic_s
        )


async def test_a_disk_under_a_fifth_free_is_told_once_until_it_recovers() -> None:
    machine = Machine()
    watch = machine.watch()
    with structlog.testing.capture_logs() as lines:
        for free in (0.21, 0.20, 0.199, 0.15, 0.3, 0.1):
            machine.free = free
            await watch.run_once(0)
    assert [(line["event"], line["free_percent"]) for line in lines] == [
        ("disk.low", 19.9),
        ("disk.up", 30.0),
        ("disk.low", 10.0),
    ]
    assert watch.disk_free == 0.1


@pytest.mark.parametrize(
    ("ours", "theirs", "state"),
    [(0.5, 0.5, "up"), (0.05, 0.5, "low"), (0.049, 0.5, "full"), (0.5, 0.19, "low"), (0.5, 0.04, "full")],
)
async def test_the_fuller_of_our_disk_and_the_databases_counts(ours: float, theirs: float, state: str) -> None:
    async def database_free() -> float:
        return theirs

    watch = HostWatch(Path("/data"), alarm=0.2, halt=0.05, free=lambda _: ours, database_free=database_free)
    await watch.run_once(0)
    assert (watch.disk, watch.full) == (state, state == "full")


async def test_a_full_disk_of_a_database_that_went_away_is_still_full() -> None:
    told = [0.01]

    async def database_free() -> float:
        if not told:
            raise Unavailable("the database is away")
        return told.pop()

    watch = HostWatch(Path("/data"), alarm=0.2, halt=0.05, free=lambda _: 0.5, database_free=database_free)
    await watch.run_once(0)
    await watch.run_once(0)
    assert watch.full
    assert watch.interval_s == 1.0  # looked at more often while there is little room


async def test_a_clock_that_keeps_time_is_left_alone_and_one_that_jumps_is_told() -> None:
    machine = Machine()
    watch = machine.watch()
    with structlog.testing.capture_logs() as lines:
        for wall_s, monotonic_s in (
            (1000.0, 100.0),
            (1005.9, 105.0),
            (1011.0, 110.0),
            (1013.0, 115.0),
            (1018.0, 120.0),
        ):
            machine.monotonic_s = monotonic_s
            await watch.run_once(int(wall_s * S))
    # 5.9 seconds in 5 is within a second; 2 seconds in 5 is three back.
    assert [(line["event"], line["seconds"]) for line in lines] == [("clock.jumped", -3.0)]
    assert watch.clock_jump_s == 3.0


async def test_a_clock_that_differs_from_the_databases_is_told_once_until_it_agrees() -> None:
    machine = Machine()
    watch = HostWatch(
        Path("/data"),
        alarm=0.2,
        halt=0.05,
        free=lambda _: 0.5,
        monotonic=lambda: machine.monotonic_s,
        database_time=machine.database_time,
    )
    drifts = []
    with structlog.testing.capture_logs() as lines:
        for ahead_s in (0.0, 0.9, 1.5, 2.0, 0.5, -3.0):
            machine.there_s = 1000.1 - ahead_s  # read half way through the question, which began at 1000.0
            machine.monotonic_s = 100.0
            await watch.run_once(1000 * S)
            drifts.append(round(watch.clock_drift_s, 3))
    assert drifts == [0.0, 0.9, 1.5, 2.0, 0.5, -3.0]
    assert [(line["event"], line["seconds"]) for line in lines] == [("clock.drifted", 1.5), ("clock.drifted", -3.0)]


async def test_a_database_that_is_away_says_nothing_about_the_clock() -> None:
    async def away() -> int:
        raise Unavailable("the database is away")

    watch = HostWatch(Path("/data"), alarm=0.2, halt=0.05, free=lambda _: 0.5, database_time=away)
    await watch.run_once(0)
    assert watch.clock_drift_s == 0.0


def test_the_free_share_of_a_real_disk_is_a_share(tmp_path: Path) -> None:
    assert 0 < free_share(tmp_path) <= 1
    assert free_share(tmp_path / "not" / "there") == pytest.approx(free_share(tmp_path), rel=0.01)
