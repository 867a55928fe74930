"""Jobs: taken in, run, and told of."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from qsuite.composition.gateways import GATEWAY
from qsuite.composition.market import Market
from qsuite.repos.database import Database
from qsuite.repos.jobs import JobsRepo
from qsuite.services.executors.processes import ProcessExecutor
from qsuite.services.job_runner import JobRunner
from qsuite.services.job_stream import CHANNEL, JobStream
from qsuite.services.jobs import JobService
from qsuite.settings import Settings


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
    catalogue: str,
    new_id: Callable[[], UUID],
    clock: Callable[[], int],
) -> Jobs:
    """Make what lets work be done beside the requests; ``catalogue`` is the module whose ``TASKS`` can be run."""
    repo, workers, address = JobsRepo(database), settings.workers, database.address
    service = JobService(
        repo=repo, most_queued=workers.jobs_queued, reachable=address is not None, new_id=new_id, clock=clock
    )
    hub = market.stream
    stream = JobStream(repo=repo, stream=hub, owners=lambda: hub.registry.private_owners(CHANNEL), clock=clock)
    service.on_change(stream.wake)
    runner = None
    if address is not None and settings.role != GATEWAY:
        processes = workers.processes or os.cpu_count() or 1
        at_once = workers.jobs_at_once or processes
        runner = JobRunner(
            repo=repo,
            executor=ProcessExecutor(at_once),
            address=address,
            catalogue=catalogue,
            at_once=at_once,
            timeout_s=workers.job_timeout_s,
            lease_s=workers.job_lease_s,
            new_id=new_id,
            clock=clock,
        )
        service.on_change(runner.wake)
    return Jobs(service=service, stream=stream, runner=runner)
