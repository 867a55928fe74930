"""What the engine carries: a command with whoever waits for it, a batch on its way, and the counters of both."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from qsuite.domain.trading.changes import Announcement
from qsuite.domain.trading.commands import Command, Outcome


class EngineState(StrEnum):
    """What the engine is doing."""

    STOPPED = "stopped"
    STANDBY = "standby"
    RECOVERING = "recovering"
    ACTIVE = "active"


class Listener(Protocol):
    """Hear what has become durable, in order."""

    def __call__(self, announcements: Sequence[Announcement]) -> None: ...


@dataclass(slots=True, eq=False)
class Job:
    """A command on its way; ``attempted`` once a commit with it was tried."""

    command: Command
    future: asyncio.Future[Outcome] | None
    submitted_s: float
    deadline_s: float
    attempted: bool = False
    outcome: Outcome | None = None


@dataclass(slots=True)
class InFlight:
    """A batch on its way to storage, and what is to be said once it is there.

    ``audit_seq`` and ``audit_hash`` are of its last audit entry; the hash tells it from any other process's batch.
    """

    number: int
    jobs: list[Job]
    announcements: list[Announcement]
    audit_seq: int = 0
    audit_hash: str = ""


@dataclass(slots=True)
class EngineStats:
    """Counters since the start; latencies of the last thousand answered commands, in seconds."""

    batches: int = 0
    commands: int = 0
    recoveries: int = 0
    last_batch_size: int = 0
    orders: int = 0
    latencies_s: deque[float] = field(default_factory=lambda: deque(maxlen=1000))
    order_times_s: deque[float] = field(default_factory=lambda: deque(maxlen=100_000))
