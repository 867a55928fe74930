"""Jobs without the rest of QSuite: a queue on a database, and a runner on an executor, in this process."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

from uuid_utils.compat import uuid7

from qsuite.domain.jobs import Job
from qsuite.domain.roles import Caller, Role
from qsuite.repos import jobs
from qsuite.repos.audit_access import AuditAccessRepo
from qsuite.repos.database import Database
from qsuite.repos.schema import migrate
from qsuite.services.audit_trail import AuditTrail
from qsuite.services.executors import JobExecutor
from qsuite.services.job_runner import JobRunner
from qsuite.services.jobs import JobService
from qsuite.services.supervisor import Supervisor
from tests.support.waiting import eventually

CATALOGUE = "tests.support.job_tasks"
LEASE_S = 1.0


class JobQueue:
    """One user's jobs on a database, whoever runs them."""

    def __init__(self, database: Database, runner: JobRunner | None = None, *, most: int = 10_000) -> None:
        self.database = database
        self.runner = runner
        self.repo = jobs.JobsRepo(database)
        self.caller = Caller(UUID(int=7), "worker's employer", Role.TRADER)
        self.service = JobService(
            repo=self.repo,
            trail=AuditTrail(AuditAccessRepo(database)),
            most_queued=most,
            reachable=True,
            new_id=uuid7,
            clock=time.time_ns,
        )
        if runner is not None:
            self.service.on_change(runner.wake)

    async def submit(self, kind: str, **parameters: Any) -> Job:
        return await self.service.submit(self.caller, kind, parameters)

    async def now(self, job: Job) -> Job:
        """Return the job as it is stored."""
        return await self.repo.get(job.id)

    async def cancel(self, job: Job) -> Job:
        return await self.service.cancel(self.caller, job.id)

    async def end_of(self, job: Job, timeout_s: float = 60.0) -> Job:
        """Wait until a job has ended."""

        async def ended() -> Job | None:
            found = await self.now(job)
            return found if found.ended else None

        return await eventually(ended, timeout_s=timeout_s, what=f"the end of {job.kind}")

    async def ends_of(self, asked: Sequence[Job], timeout_s: float = 60.0) -> list[Job]:
        return [await self.end_of(job, timeout_s) for job in asked]


@asynccontextmanager
async def running_jobs(
    database: Database, executor: JobExecutor, *, at_once: int = 0, timeout_s: float = 600.0
) -> AsyncIterator[JobQueue]:
    """Run jobs on an executor until the block ends."""
    assert database.address is not None
    await migrate(database, (jobs.SPEC,))
    runner = JobRunner(
        repo=jobs.JobsRepo(database),
        executor=executor,
        address=database.address,
        catalogue=CATALOGUE,
        at_once=at_once,
        timeout_s=timeout_s,
        lease_s=LEASE_S,
        new_claim=uuid4,
    )
    supervisor = Supervisor()
    supervisor.add(runner)
    supervisor.start()
    try:
        yield JobQueue(database, runner)
    finally:
        await supervisor.stop()
        await runner.stop()
