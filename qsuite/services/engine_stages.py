"""Where an order's time goes in the engine, and what became of its batches: plain numbers, read at the scrape.

    queue    a command waited to be decided          encode   a batch was written as documents
    load     what it needs was read from storage     commit   a batch was on its way to storage and back
    decide   commands were decided, one after another publish  callers were answered and listeners told

Invariant: one value a command (``queue``) or a batch (all others), so that a command costs half a microsecond here.
"""

import time

from qsuite.domain.histogram import STAGE_BOUNDS_S, Histogram
from qsuite.repos.engine_store import CommitUnknown, Fenced, NotCommitted

Labels = tuple[str, ...]
STAGES = ("queue", "load", "decide", "encode", "commit", "publish")
COMMITTED, OTHER = "committed", "failed"
OUTCOMES: dict[type[BaseException], str] = {
    Fenced: "fenced",
    NotCommitted: "not_committed",
    CommitUnknown: "unknown",
}


class EngineStages:
    """The time of each stage, in seconds."""

    __slots__ = STAGES

    queue: Histogram
    load: Histogram
    decide: Histogram
    encode: Histogram
    commit: Histogram
    publish: Histogram

    def __init__(self) -> None:
        for stage in STAGES:
            setattr(self, stage, Histogram(STAGE_BOUNDS_S))

    def shown(self) -> dict[Labels, Histogram]:
        """Return them by name."""
        return {(stage,): getattr(self, stage) for stage in STAGES}


class CommitFigures:
    """Transactions by outcome, with the time they took in the database, and the statements sent. One thread writes."""

    def __init__(self) -> None:
        names = (COMMITTED, *OUTCOMES.values(), OTHER)
        self.seconds: dict[Labels, Histogram] = {(name,): Histogram() for name in names}
        self.statements = 0

    def note(self, began_s: float, statements: int, error: BaseException | None) -> None:
        """Count one that began then, on the clock of ``time.perf_counter``."""
        outcome = COMMITTED if error is None else OUTCOMES.get(type(error), OTHER)
        self.seconds[outcome,].observe(time.perf_counter() - began_s)
        self.statements += statements
