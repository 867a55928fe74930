"""The rules of a job's life, and what is told to somebody who looks now and then."""

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest

from qsuite.domain.jobs import ATTEMPTS, Job, JobState, after_loss, after_stop, cancelled, done, failed, steps

NOW = 1_700_000_000_000_000_000
QUEUED = Job(id=UUID(int=1), kind="sum", owner=UUID(int=2), created_at=NOW - 10)
RUNNING = replace(QUEUED, state=JobState.RUNNING, attempts=1, started_at=NOW - 5, progress=0.4)


def test_a_lost_job_is_begun_again_once() -> None:
    again = after_loss(RUNNING, NOW)
    assert (again.state, again.progress, again.started_at, again.attempts) == (JobState.QUEUED, 0.0, None, 1)
    lost = after_loss(replace(RUNNING, attempts=ATTEMPTS), NOW)
    assert (lost.state, lost.finished_at) == (JobState.FAILED, NOW)
    assert lost.error == {"code": "jobs.worker_died", "detail": "what ran it ended 2 times before it was done"}


@pytest.mark.parametrize("rule", [after_loss, after_stop])
def test_a_lost_job_that_nobody_wants_is_not_begun_again(rule: Callable[[Job, int], Job]) -> None:
    assert rule(replace(RUNNING, cancel_asked=True), NOW).state is JobState.CANCELLED


def test_a_server_that_stops_in_order_costs_no_attempt() -> None:
    assert (after_stop(RUNNING, NOW).state, after_stop(RUNNING, NOW).attempts) == (JobState.QUEUED, 0)


def test_each_end_says_when_and_what() -> None:
    assert done(RUNNING, {"sum": 3}, NOW) == replace(
        RUNNING, state=JobState.DONE, progress=1.0, result={"sum": 3}, finished_at=NOW
    )
    assert failed(RUNNING, "test.no", "why", NOW).error == {"code": "test.no", "detail": "why"}
    assert cancelled(QUEUED, NOW).ended
    assert not RUNNING.ended


def seen(before: Job | None, after: Job) -> list[str]:
    return [step.state.value for step in steps(before, after)]


def test_states_that_were_missed_are_told_from_what_the_job_is_now() -> None:
    end = done(RUNNING, {"sum": 3}, NOW)
    assert seen(None, QUEUED) == ["queued"]
    assert seen(None, RUNNING) == ["queued", "running"]
    assert seen(None, end) == ["queued", "running", "done"]
    assert seen(QUEUED, end) == ["running", "done"]
    assert seen(RUNNING, end) == ["done"]
    assert seen(QUEUED, cancelled(QUEUED, NOW)) == ["cancelled"]
    *_, missed, last = steps(None, end)
    assert (missed.progress, missed.result, missed.finished_at, missed.started_at) == (0.0, None, None, NOW - 5)
    assert last == end
