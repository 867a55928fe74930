"""The ``jobs`` channel: first the caller's newest jobs, then every state and step of progress of theirs.

    jobs ──what changed, of owners who listen──> steps ──> stream

A job may run in another process or on another machine, and its worker writes its progress into the database. So this
reads what changed there, a few times a second while somebody listens and not at all otherwise. Invariant: a state a job
was in for a moment is told too; what was told is not told again, but for the last seconds before somebody subscribed.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from qsuite.domain.jobs import Job, steps
from qsuite.domain.roles import Caller
from qsuite.domain.times import NS_PER_S
from qsuite.repos.jobs import JobsRepo
from qsuite.services.jobs import show_job
from qsuite.services.stream import StreamHub

CHANNEL = "jobs"
SNAPSHOT_JOBS = 20
ROUND_S = 0.25
IDLE_ROUND_S = 1.0
LOOK_BACK_NS = 10 * NS_PER_S
"""Changes are not seen in the order of their times, and a job's first time is its server's clock."""
FIRST_NS = 2 * NS_PER_S
"""Who subscribed is looked at within a round: what changed since then is younger than this."""


class JobStream:
    """A supervised loop. ``owners`` are those who listen here; ``wake`` makes it look at once."""

    name = "job-stream"
    interval_s = 0.05

    def __init__(
        self, *, repo: JobsRepo, stream: StreamHub, owners: Callable[[], Collection[UUID]], clock: Callable[[], int]
    ) -> None:
        self._repo = repo
        self._stream = stream
        self._owners = owners
        self._clock = clock
        self._since: dict[UUID, int] = {}
        self._new: set[UUID] = set()
        self._told: dict[UUID, tuple[int, Job]] = {}
        """The jobs told of, by id, with the time of the change."""
        self._woken = asyncio.Event()
        stream.snapshot_source(CHANNEL, self._snapshot)

    def wake(self) -> None:
        """Look soon."""
        self._woken.set()

    async def run_once(self, now: int) -> None:
        """Tell what changed, then wait."""
        self._woken.clear()
        owners = set(self._owners())
        new = owners - self._since.keys() | self._new
        self._new = new  # until they were looked at
        self._since = {owner: self._since.get(owner, self._clock() - FIRST_NS) for owner in owners}
        for changed_at, job in await self._repo.changed(self._since):
            self._tell(changed_at, job)
        self._new = set()
        self._forget()
        with suppress(TimeoutError):
            async with asyncio.timeout(ROUND_S if owners else IDLE_ROUND_S):
                await self._woken.wait()

    def _tell(self, changed_at: int, job: Job) -> None:
        known = self._told.get(job.id)
        if known is not None and known[1].version >= job.version:
            return
        self._told[job.id] = (changed_at, job)
        self._since[job.owner] = max(self._since[job.owner], changed_at - LOOK_BACK_NS)
        # Whose snapshot was not read here, but by a gateway, may know what these jobs were before.
        passed = [job] if job.owner in self._new else steps(None if known is None else known[1], job)
        for step in passed:
            self._stream.publish_private(job.owner, CHANNEL, {"type": "job", **show_job(step)})

    def _forget(self) -> None:
        """Keep what may come again, or is not over."""
        self._told = {
            identity: (changed_at, job)
            for identity, (changed_at, job) in self._told.items()
            if job.owner in self._since and (not job.ended or changed_at > self._since[job.owner])
        }

    async def _snapshot(self, caller: Caller, channel: str) -> Sequence[Mapping[str, Any]]:
        found = await self._repo.newest(caller.user, SNAPSHOT_JOBS)
        if caller.user not in self._since:
            now = self._clock()
            self._since[caller.user] = now - FIRST_NS
            for job in found:
                self._told[job.id] = (now, job)
        return [show_job(job) for job in found]
