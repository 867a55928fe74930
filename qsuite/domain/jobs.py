"""A job: work that takes longer than an answer may, done in another process.

    queued ──> running ──> done
       │          ├──────> failed      its ``error`` says why
       └──────────┴──────> cancelled

Invariant: a job that ended never changes again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID


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
    a code and a detail. ``attempts`` is how often it began. Times in nanoseconds.
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
