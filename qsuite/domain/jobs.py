"""A job: work that takes longer than an answer may, done in another process.

    queued ──> running ──> done
       │ ^        ├──────> failed      its ``error`` says why
       │ └────────┤
       │  lost, once
       └──────────┴──────> cancelled

    attempt  one run of a job; a job has two at most, since work that ended its process twice would do so again
    lost     running, and nobody is at it any more: its worker, its server or its grid ended

Invariant: a job that ended never changes again.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any
from uuid import UUID

ATTEMPTS = 2


class JobState(StrEnum):
    """Where a job is on its way."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({JobState.DONE, JobState.FAILED, JobState.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job. ``kind`` names its task, ``priority`` who goes first (the higher), ``progress`` is from 0 to 1.

    ``result`` is what its task returned, small: what is large is stored by the task, which returns where. ``error`` is
    a code and a detail. ``attempts`` is how often it began. ``version`` rises with every change. Times in nanoseconds.
    """

    id: UUID
    kind: str
    owner: UUID
    parameters: Mapping[str, Any] = field(default_factory=dict)
    priority: int = 0
    state: JobState = JobState.QUEUED
    progress: float = 0.0
    result: Mapping[str, Any] | None = None
    error: Mapping[str, str] | None = None
    attempts: int = 0
    cancel_asked: bool = False
    created_at: int = 0
    started_at: int | None = None
    finished_at: int | None = None
    version: int = 1

    @property
    def ended(self) -> bool:
        """Say whether nothing more will happen to it."""
        return self.state in ENDED


def done(job: Job, result: Mapping[str, Any], now: int) -> Job:
    """Return a running job as its task returned."""
    return replace(job, state=JobState.DONE, progress=1.0, result=result, finished_at=now)


def failed(job: Job, code: str, detail: str, now: int) -> Job:
    """Return a job that ended without a result, and why."""
    return replace(job, state=JobState.FAILED, error={"code": code, "detail": detail}, finished_at=now)


def cancelled(job: Job, now: int) -> Job:
    """Return a job that nobody wants any more."""
    return replace(job, state=JobState.CANCELLED, finished_at=now)


def after_loss(job: Job, now: int) -> Job:
    """Return what becomes of a running job that was lost: queued again the first time, failed the second."""
    if job.cancel_asked:
        return cancelled(job, now)
    if job.attempts >= ATTEMPTS:
        return failed(job, "jobs.worker_died", f"what ran it ended {job.attempts} times before it was done", now)
    return queued_again(job)


def after_stop(job: Job, now: int) -> Job:
    """Return what becomes of a running job when its server stops in order: queued, as if this attempt had not begun."""
    if job.cancel_asked:
        return cancelled(job, now)
    return replace(queued_again(job), attempts=job.attempts - 1)


def queued_again(job: Job) -> Job:
    """Return a running job as it waits for its next attempt."""
    return replace(job, state=JobState.QUEUED, progress=0.0, started_at=None)


def steps(before: Job | None, after: Job) -> Iterator[Job]:
    """Return each state a job went through from one reading to a later one, the later one itself last.

    Whoever looks now and then may miss states that a short job had for a moment; they can be told from what it is now.
    """
    was_queued = before is not None and before.state is JobState.QUEUED
    fresh = replace(after, result=None, error=None, finished_at=None, cancel_asked=False, progress=0.0)
    if before is None and after.state is not JobState.QUEUED:
        yield replace(fresh, state=JobState.QUEUED, started_at=None, attempts=0)
    if (before is None or was_queued) and after.ended and after.started_at is not None:
        yield replace(fresh, state=JobState.RUNNING)
    yield after
