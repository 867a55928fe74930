"""The supervisor keeps loops going."""

import asyncio
import random

import pytest
import structlog

from qsuite.services.supervisor import BACKOFF_MAX_S, Supervisor
from tests.support.waiting import eventually


class Fake:
    """A loop that fails in the rounds it is told to."""

    def __init__(self, name: str, failing: frozenset[int] = frozenset(), ended: list[str] | None = None) -> None:
        self.name = name
        self.interval_s = 0.0
        self.rounds = 0
        self.times: list[int] = []
        self._failing = failing
        self._ended = ended if ended is not None else []

    async def run_once(self, now: int) -> None:
        self.rounds += 1
        self.times.append(now)
        if self.rounds in self._failing:
            raise RuntimeError(f"round {self.rounds}")
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self._ended.append(self.name)
            raise


class Patient(Fake):
    """A loop whose round lasts until it is cancelled."""

    async def run_once(self, now: int) -> None:
        self.rounds += 1
        try:
            await asyncio.Event().wait()
        finally:
            self._ended.append(self.name)


async def test_a_loop_goes_on_after_a_round_that_failed() -> None:
    supervisor = Supervisor(clock=lambda: 7)
    loop = Fake("flaky", frozenset({2}))
    supervisor.add(loop)
    with structlog.testing.capture_logs() as lines:
        supervisor.start()
        await eventually(lambda: loop.rounds >= 4)
        await supervisor.stop()
    assert supervisor.states["flaky"].restarts == 1
    assert supervisor.states["flaky"].failures == 0
    assert supervisor.states["flaky"].last_error == "RuntimeError: round 2"
    assert [line["event"] for line in lines] == ["loop.failed"]
    assert set(loop.times) == {7}


async def test_one_failing_loop_does_not_hold_another() -> None:
    supervisor = Supervisor()
    broken, sound = Fake("broken", frozenset(range(1, 1_000))), Fake("sound")
    supervisor.add(broken)
    supervisor.add(sound)
    with structlog.testing.capture_logs():
        supervisor.start()
        await eventually(lambda: sound.rounds >= 10 and broken.rounds >= 1)
        await supervisor.stop()
    assert supervisor.states["sound"].failures == 0


async def test_loops_stop_in_the_reverse_order_of_their_start() -> None:
    ended: list[str] = []
    supervisor = Supervisor()
    loops = [Patient(name, ended=ended) for name in ("first", "second", "third")]
    for loop in loops:
        supervisor.add(loop)
    supervisor.start()
    await eventually(lambda: all(loop.rounds for loop in loops))
    await supervisor.stop()
    assert ended == ["third", "second", "first"]


async def test_a_loop_added_late_starts_at_once() -> None:
    supervisor = Supervisor()
    early, late = Patient("early"), Patient("late")
    supervisor.add(early)
    supervisor.start()
    supervisor.add(late)
    await eventually(lambda: late.rounds == 1)
    await supervisor.stop()


def test_a_name_is_supervised_once() -> None:
    supervisor = Supervisor()
    supervisor.add(Fake("twice"))
    with pytest.raises(ValueError, match="twice"):
        supervisor.add(Fake("twice"))


def test_pauses_double_with_each_failure_up_to_a_bound_and_differ_by_up_to_half() -> None:
    supervisor = Supervisor(jitter=random.Random(1))
    assert supervisor.pause_s(1.0, 0) == 1.0
    for failures, least in ((1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (50, BACKOFF_MAX_S)):
        assert least <= supervisor.pause_s(1.0, failures) <= least * 1.5
    assert len({supervisor.pause_s(1.0, 1) for _ in range(10)}) == 10


async def test_three_failures_in_a_row_are_a_fault() -> None:
    supervisor = Supervisor(jitter=random.Random(1))
    loop = Fake("broken", frozenset(range(1, 1_000)))
    supervisor.add(loop)
    state = supervisor.states["broken"]
    with structlog.testing.capture_logs():
        supervisor.start()
        await eventually(lambda: state.failures == 1)
        assert state.up
        await eventually(lambda: state.failures == 3)
        await supervisor.stop()
    assert not state.up
