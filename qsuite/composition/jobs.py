"""Jobs: taken in, run, and told of."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID, uuid4

from qsuite.composition.gateways import GATEWAY
from qsuite.composition.market import Market
from qsuite.repos.database import Database
from qsuite.repos.jobs import JobsRepo
from qsuite.services.audit_trail import AuditTrail
from qsuite.services.executors import JobExecutor
from qsuite.services.executors.processes import ProcessExecutor
from qsuite.services.job_runner import JobRunner
from qsuite.services.job_stream import CHANNEL, JobStream
from qsuite.services.jobs import JobService
from qsuite.services.tracing import Traces
from qsuite.settings import Settings, WorkerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """``runner`` where jobs run: not on a gateway, nor where no other process could open the database."""

    service: JobService
    stream: JobStream
    runner: JobRunner | None


def make_jobs(
    *,
    settings: Settings,
    database: Database,
    market: Market,
    trail: AuditTrail,
    catalogue: str,
    traces: Traces | None,
    new_id: Callable[[], UUID],
    clock: Callable[[], int],
) -> Jobs:
    """Make what lets work be done beside the requests; ``catalogue`` is the module whose ``TASKS`` can be run."""
    repo, workers, address = JobsRepo(database), settings.workers, database.address
    service = JobService(
        repo=repo,
        trail=trail,
        most_queued=workers.jobs_queued,
        reachable=address is not None,
        new_id=new_id,
        clock=clock,
    )
    hub = market.stream
    stream = JobStream(repo=repo, stream=hub, owners=lambda: hub.registry.private_owners(CHANNEL), clock=clock)
    service.on_change(stream.wake)
    runner = None
    if address is not None and settings.role != GATEWAY:
        runner = JobRunner(
            repo=repo,
            executor=make_executor(workers),
            address=address if workers.executor == "process" else address.sendable,
            catalogue=catalogue,
            at_once=workers.jobs_at_once,
            timeout_s=workers.job_timeout_s,
            lease_s=workers.job_lease_s,
            traces=traces,
            new_claim=uuid4,
            clock=clock,
        )
        service.on_change(runner.wake)
    return Jobs(service=service, stream=stream, runner=runner)


def make_executor(settings: WorkerSettings) -> JobExecutor:
    """Make the configured executor. SetupError where that cannot be."""
    if settings.executor == "dask":
        from qsuite.services.executors.grid import GridExecutor

        return GridExecutor(settings.dask_scheduler)
    size = settings.jobs_at_once or settings.processes or os.cpu_count() or 1
    return ProcessExecutor(size, niceness=settings.job_niceness)
