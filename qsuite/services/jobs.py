"""Jobs as their owners see them: asked for, looked at, cancelled.

    handler ──submit──> jobs (queued) ──> JobRunner, in this process or another ──> jobs (done) ──> GET jobs/{id}/

Invariant: at most ``workers.jobs_queued`` jobs wait; whoever comes then is told to come back, and nothing is stored.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from qsuite.domain.errors import Conflict, NotFound, TooMany, Unavailable
from qsuite.domain.jobs import Job, JobState
from qsuite.domain.listing import Listing, Page
from qsuite.domain.roles import Caller, Role
from qsuite.domain.times import floor_ms, format_rfc3339
from qsuite.repos.jobs import JobsRepo
from qsuite.services.audit_trail import AuditTrail

RETRY_AFTER_S = 5.0


class JobService:
    """Take jobs in and show them. ``reachable``: worker processes can open the database."""

    def __init__(
        self,
        *,
        repo: JobsRepo,
        trail: AuditTrail,
        most_queued: int,
        reachable: bool,
        new_id: Callable[[], UUID],
        clock: Callable[[], int],
    ) -> None:
        self._repo = repo
        self._trail = trail
        self._most_queued = most_queued
        self._reachable = reachable
        self._new_id = new_id
        self._clock = clock
        self._entering = asyncio.Lock()
        self._wakes: list[Callable[[], None]] = []

    def on_change(self, wake: Callable[[], None]) -> None:
        """Call back when a job was taken in or cancelled here."""
        self._wakes.append(wake)

    async def submit(
        self, caller: Caller, kind: str, parameters: Mapping[str, Any], *, priority: int = 0, recorded_as: str = ""
    ) -> Job:
        """Queue a job of a kind in ``services.tasks.catalogue``; its parameters are plain values, as in JSON.

        ``recorded_as``: the kind of the entry in the record of who did what, for work that changes what others get.
        TooMany when the queue is full; Unavailable where all is kept in memory, which no worker can read.
        """
        if not self._reachable:
            raise Unavailable("jobs need a database; this server keeps all in memory", code="jobs.no_database")
        job = Job(
            id=self._new_id(),
            kind=kind,
            owner=caller.user,
            parameters=parameters,
            priority=priority,
            created_at=floor_ms(self._clock()),
        )
        async with self._entering:  # or as many as ask at once would be taken in
            if await self._repo.queued(self._most_queued) >= self._most_queued:
                raise TooMany("too many jobs wait", code="jobs.queue_full", retry_after_s=RETRY_AFTER_S)
            if recorded_as:
                await self._trail.record(
                    recorded_as, subject=job.id, facts=parameters, change=lambda session: self._repo.add(job, session)
                )
            else:
                await self._repo.add(job)
        self._wake()
        return job

    async def get(self, caller: Caller, identity: UUID) -> Job:
        """Return one of the caller's jobs, or any for who reads all. NotFound."""
        job = await self._repo.get(identity)
        if not caller.may_read(job.owner):
            raise NotFound(f"no job {identity}")
        return job

    async def page(self, caller: Caller, listing: Listing) -> Page[Job]:
        """Return a page of the jobs the caller may see."""
        return await self._repo.page(listing, caller.reads_of)

    async def cancel(self, caller: Caller, identity: UUID) -> Job:
        """End a job of the caller's, an admin anybody's, which is recorded; a running one ends a moment later.

        A job cancelled before is returned as it is. Conflict when it ended otherwise.
        """
        job = await self.get(caller, identity)
        if job.owner != caller.user and caller.role is not Role.ADMIN:
            raise NotFound(f"no job {identity} of yours")
        if not job.ended:
            job = await self._cancel(job, own=job.owner == caller.user)
            self._wake()
        if job.state in (JobState.DONE, JobState.FAILED):
            raise Conflict(f"the job is {job.state.value} already", code="jobs.ended")
        return job

    async def _cancel(self, job: Job, *, own: bool) -> Job:
        now = floor_ms(self._clock())
        if own:
            return await self._repo.cancel(job.id, now)
        return await self._trail.record(
            "job.cancelled",
            subject=job.id,
            facts={"kind": job.kind, "owner": job.owner},
            change=lambda session: self._repo.cancel(job.id, now, session),
        )

    def _wake(self) -> None:
        for wake in self._wakes:
            wake()


def show_job(job: Job) -> dict[str, Any]:
    """Show a job. What its task returned is shown as that returned it."""
    return {
        "id": str(job.id),
        "kind": job.kind,
        "state": job.state.value,
        "progress": job.progress,
        "result": None if job.result is None else dict(job.result),
        "error": None if job.error is None else dict(job.error),
        "priority": job.priority,
        "attempts": job.attempts,
        "owner": str(job.owner),
        "cancel_asked": job.cancel_asked,
        "created_at": format_rfc3339(job.created_at),
        "started_at": _time(job.started_at),
        "finished_at": _time(job.finished_at),
    }


def _time(moment: int | None) -> str | None:
    return None if moment is None else format_rfc3339(moment)
