"""What the engine carries: a command with whoever waits for it, a batch on its way, and the counters of both.

Whoever waits is told once: the outcome when it is durable, else an error, which says when the outcome is unknown.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from qsuite.domain.errors import OutcomeUnknown, QSuiteError, Unavailable
from qsuite.domain.histogram import Histogram
from qsuite.domain.trading.changes import Announcement
from qsuite.domain.trading.commands import Command, Outcome, PlaceOrder
from qsuite.services.engine_stages import EngineStages

if TYPE_CHECKING:
    from opentelemetry.trace import Span

LOOK_FOR_LATE_S = 0.2
WATCHED_REFUSALS = ("risk.halted", "risk.invariant", "risk.reference_stale", "risk.reference_suspect")
"""Shown as 0 before the first one, so that the first is seen to be more."""


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
    span: "Span | None" = None
    """Where it is traced."""

    def give_up(self, error: QSuiteError, stats: "EngineStats") -> None:
        """Tell whoever waits that nothing was done, or that this is unknown if a commit was tried."""
        if self.future is None or self.future.done():
            return
        stats.unknown += self.attempted
        self.future.set_exception(_unknown(self.command) if self.attempted else error)


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
    """Counters since the start. ``order_seconds``: from an order's arrival here to its durable answer.

    ``retried`` commands were decided again after a recovery, ``unknown`` ones given up while a commit was tried, and
    ``breaches`` contradicted the engine's own books. ``refused`` are orders that a control refused, by its code.
    """

    batches: int = 0
    commands: int = 0
    recoveries: int = 0
    deaths: int = 0
    last_batch_size: int = 0
    orders: int = 0
    retried: int = 0
    unknown: int = 0
    breaches: int = 0
    refused: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WATCHED_REFUSALS, 0))
    stages: EngineStages = field(default_factory=EngineStages)
    order_seconds: Histogram = field(default_factory=Histogram)


def answer(jobs: Sequence[Job], stats: EngineStats) -> None:
    """Tell everybody who waits for these their outcome, which is durable."""
    now_s = time.monotonic()
    stats.batches += 1
    stats.last_batch_size = len(jobs)
    stats.commands += len(jobs)
    for job in jobs:
        if isinstance(job.command, PlaceOrder):
            stats.orders += 1
            stats.order_seconds.observe(now_s - job.submitted_s)
            order = None if job.outcome is None else job.outcome.order
            if order is not None and order.reject is not None:
                code = str(order.reject["code"])
                stats.refused[code] = stats.refused.get(code, 0) + 1
        if job.future is not None and not job.future.done():
            assert job.outcome is not None
            job.future.set_result(job.outcome)


async def give_up_late(waiting: Callable[[], Sequence[Job]], stats: EngineStats) -> None:
    """Tell those who waited too long, while storage is away. ``waiting`` gives the oldest first."""
    while True:
        await asyncio.sleep(LOOK_FOR_LATE_S)
        now_s = time.monotonic()
        for job in waiting():
            if job.deadline_s > now_s:
                break
            job.give_up(Unavailable("storage is away", retry_after_s=2), stats)


def _unknown(command: Command) -> OutcomeUnknown:
    facts: dict[str, Any] = {}
    if isinstance(command, PlaceOrder):
        facts = {"order_id": str(command.id), "client_order_id": command.client_order_id}
    return OutcomeUnknown("storage went away while committing; ask again with the id", retry_after_s=2, **facts)
