"""Runs jobs: claims what waits, hands it to an executor, and sees to it that every job ends.

    queue ──claim──> attempt ──executor──> worker, which writes how it ended
                        │ the worker died           ──> once more, then failed
                        │ it does not stop when told ──> ended with its process
    claim that lapsed (its server died) ────────────────> once more, then failed

Invariants: an attempt holds a claim of its own, and only its holder changes the job, so a job ends once; the event loop
only waits here, for the database and for executors in threads. Every server but a gateway runs jobs; they share the
queue.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

import structlog

from qsuite.domain import jobs
from qsuite.domain.errors import QSuiteError, Unavailable
from qsuite.domain.histogram import LONG_BOUNDS_S, Histogram
from qsuite.domain.jobs import Job
from qsuite.domain.times import floor_ms
from qsuite.repos.database import Address
from qsuite.repos.jobs import Held, JobsRepo
from qsuite.services.executors import GridLost, JobExecutor, WorkerDied
from qsuite.services.tasks.run import Attempt, run_attempt
from qsuite.services.tracing import Traces

log = structlog.get_logger(__name__)

GRACE_S = 1.0
"""A task that does not end when told has its process ended this much later."""
ROUND_S = 0.25
IDLE_ROUND_S = 1.0
NS_PER_S = 1_000_000_000
AGAIN = "again"
"""The outcome of an attempt whose job is to be begun again."""
GIVE_BACK_S = 5.0


@dataclass(eq=False, slots=True)
class Attended:
    """An attempt under way, as its server sees it. Times are of the monotonic clock."""

    held: Held
    future: "Future[str] | None" = None
    begun_s: float | None = None
    told_s: float | None = None
    task: "asyncio.Task[None] | None" = None
    settled: bool = False


@dataclass(slots=True)
class RunnerCounts:
    """What was done since the start, for the metrics; ``open`` are all jobs that have not ended, by state.

    ``seconds`` are of attempts, by kind and outcome: a state the job ended in, or ``again``; ``waits`` by kind.
    """

    attempts: int = 0
    deaths: int = 0
    open: dict[str, int] = field(default_factory=dict)
    seconds: dict[tuple[str, ...], Histogram] = field(default_factory=dict)
    waits: dict[tuple[str, ...], Histogram] = field(default_factory=dict)

    def began(self, job: Job) -> None:
        """Count an attempt, and how long its job waited for it if it is the first."""
        self.attempts += 1
        if job.attempts == 1 and job.started_at is not None:
            waited = self.waits.setdefault((job.kind,), Histogram(LONG_BOUNDS_S))
            waited.observe(max(0, job.started_at - job.created_at) / NS_PER_S)

    def ended(self, job: Job, seconds: float) -> None:
        """Count how an attempt went, from its job as it is now."""
        outcome = job.state.value if job.ended else AGAIN
        self.seconds.setdefault((job.kind, outcome), Histogram(LONG_BOUNDS_S)).observe(seconds)


class JobRunner:
    """A supervised loop that keeps up to ``at_once`` jobs running, with 0 as many as the executor can."""

    name = "jobs"
    interval_s = 0.01

    def __init__(
        self,
        *,
        repo: JobsRepo,
        executor: JobExecutor,
        address: Address,
        catalogue: str,
        at_once: int,
        timeout_s: float,
        lease_s: float,
        new_claim: Callable[[], UUID],
        traces: Traces | None = None,
        clock: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.executor = executor
        self.counts = RunnerCounts()
        self._repo = repo
        self._address = address
        self._catalogue = catalogue
        self._at_once = at_once
        self._timeout_s = timeout_s
        self._lease_s = lease_s
        self._new_claim = new_claim
        self._traces = traces
        self._clock = clock
        self._monotonic = monotonic
        self._attended: dict[UUID, Attended] = {}
        """By claim: a job may be begun again before its first attempt is cleared away."""
        self._woken = asyncio.Event()
        self._tended_s = -lease_s
        self._stopped = False
        self._looking: asyncio.Task[None] | None = None

    @property
    def running(self) -> int:
        """Return how many attempts are under way in this process's care."""
        return len(self._attended)

    def wake(self) -> None:
        """Look at the queue soon."""
        self._woken.set()

    async def run_once(self, now: int) -> None:
        """Renew claims, end what should end, take over what lapsed, begin what waits; then wait for something to do."""
        self._woken.clear()
        await self._watch()
        if self._monotonic() - self._tended_s > self._lease_s / 4:
            await self._tend()
            self._tended_s = self._monotonic()
        await self._fill()
        self.counts.open = await self._repo.counts()
        with suppress(TimeoutError):
            async with asyncio.timeout(ROUND_S if self._attended else IDLE_ROUND_S):
                await self._woken.wait()

    async def stop(self) -> None:
        """End every attempt and give the jobs back, as if these attempts had not begun."""
        self._stopped = True
        attended = list(self._attended.values())
        try:
            async with asyncio.timeout(GIVE_BACK_S):
                for one in attended:
                    await self._settle(one, jobs.after_stop)
        except (QSuiteError, TimeoutError) as error:
            log.warning("jobs.not_given_back", jobs=len(attended), error=str(error))  # their claims lapse
        if self._looking is not None:
            await asyncio.gather(self._looking, return_exceptions=True)
        await asyncio.to_thread(self.executor.shutdown)
        await asyncio.gather(*(one.task for one in attended if one.task is not None))

    # -- a round ------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """End attempts that lost their claim, and those that do not end by themselves when they should."""
        attended = list(self._attended.values())
        stored = await self._repo.held([one.held.job.id for one in attended])
        for one in attended:
            held = stored.get(one.held.job.id)
            if held is None or held.claim != one.held.claim:
                if self._overdue(one):
                    one.settled = True  # by whoever has the claim now, or ended the job
                    await self._end(one)
                continue
            if held.worker and one.begun_s is None:
                one.begun_s = self._monotonic()
            late = one.begun_s is not None and self._monotonic() - one.begun_s > self._timeout_s
            if not (held.job.cancel_asked or late):
                continue
            if self._overdue(one) or not held.worker:
                await self._settle(one, jobs.cancelled if held.job.cancel_asked else self._too_long)
                await self._end(one)

    def _overdue(self, one: Attended) -> bool:
        """Say whether an attempt has had its time to end by itself, which begins now if it has not begun."""
        if one.told_s is None:
            one.told_s = self._monotonic()
        return self._monotonic() - one.told_s > GRACE_S

    async def _tend(self) -> None:
        """Renew the claims held here, then see to those that nobody renewed."""
        self._look()
        mine = set(self._attended)
        await self._repo.keep(mine)
        for held in await self._repo.lapsed(self._lease_s):
            if held.claim in mine:  # this process was held up, and is at it all the same
                continue
            after = jobs.after_loss(held.job, self._now())
            if await self._repo.settle(held, after):
                self.counts.deaths += 1
                log.warning("jobs.lapsed", job=str(held.job.id), kind=held.job.kind, state=after.state.value)

    def _look(self) -> None:
        """Have the executor looked after in a thread: it may take its time."""
        looking = self._looking
        if looking is None or looking.done():
            self._looking = asyncio.create_task(asyncio.to_thread(self.executor.look), name="job-executor")
            if looking is not None:
                looking.result()  # what went wrong is this loop's failure

    async def _fill(self) -> None:
        """Begin attempts while there is room, somebody to run them, and something to run."""
        room = self._at_once or self.executor.capacity
        while len(self._attended) < room and self.executor.ready and not self._stopped:
            held = await self._repo.claim(self._new_claim(), self._now())
            if held is None:
                return
            one = self._attended[held.claim] = Attended(held)
            one.task = asyncio.create_task(self._attend(one), name=f"job:{held.job.id}")
            self.counts.began(held.job)

    # -- an attempt ---------------------------------------------------------------------------------------------

    async def _attend(self, one: Attended) -> None:
        began_s = self._monotonic()
        job = one.held.job
        try:
            with nullcontext() if self._traces is None else self._traces.work(f"job {job.kind}", job=str(job.id)):
                await self._run(one)
            self.counts.ended(await self._repo.get(job.id), self._monotonic() - began_s)
        except Exception as error:  # the database is away, or whatever it is: the claim lapses, and the job goes on
            unexpected = not isinstance(error, QSuiteError)
            log.warning("jobs.left", job=str(one.held.job.id), error=str(error), exc_info=unexpected)
        finally:
            del self._attended[one.held.claim]
            self.wake()

    async def _run(self, one: Attended) -> None:
        job = one.held.job
        attempt = Attempt(job.id, one.held.claim, self._address, self._catalogue, self._timeout_s)
        try:
            one.future = await asyncio.to_thread(self.executor.submit, run_attempt, attempt)
            trace = await asyncio.wrap_future(one.future)
        except WorkerDied as error:
            await self._after_death(one, str(error))
        except asyncio.CancelledError:
            if one.future is None or not one.future.cancelled():
                raise  # this task was, not the future
        except GridLost as error:
            if not one.settled:
                log.warning("jobs.grid_lost", job=str(job.id), error=str(error))
                await self._after_parting(one)
        except Unavailable:
            raise  # what became of it could not be written
        except Exception as error:
            log.exception("jobs.attempt_failed", job=str(job.id), kind=job.kind)
            await self._settle(one, partial(_not_run, why=f"{type(error).__name__}: {error}"))
        else:
            if trace:
                log.error("jobs.task_failed", job=str(job.id), kind=job.kind, trace=trace)

    async def _after_death(self, one: Attended, why: str) -> None:
        if one.settled or self._stopped:
            return
        self.counts.deaths += 1
        log.warning("jobs.worker_died", job=str(one.held.job.id), kind=one.held.job.kind, error=why)
        await self._settle(one, jobs.after_loss)

    async def _after_parting(self, one: Attended) -> None:
        """Give a job back that nobody began; a worker that did may still be at it, and keeps the claim by itself."""
        stored = (await self._repo.held([one.held.job.id])).get(one.held.job.id)
        if stored is not None and stored.claim == one.held.claim and not stored.worker:
            await self._repo.settle(stored, jobs.after_stop(stored.job, self._now()))

    async def _settle(self, one: Attended, rule: Callable[[Job, int], Job]) -> None:
        """Write what becomes of a job by a rule, unless somebody else did."""
        stored = (await self._repo.held([one.held.job.id])).get(one.held.job.id)
        while stored is not None and stored.claim == one.held.claim:
            if await self._repo.settle(stored, rule(stored.job, self._now())):
                break
            stored = (await self._repo.held([one.held.job.id])).get(one.held.job.id)
        one.settled = True

    async def _end(self, one: Attended) -> None:
        if one.future is not None:
            await asyncio.to_thread(self.executor.end, one.future)

    def _too_long(self, job: Job, now: int) -> Job:
        return jobs.failed(job, "jobs.timeout", f"it took longer than {self._timeout_s:g} s", now)

    def _now(self) -> int:
        return floor_ms(self._clock())


def _not_run(job: Job, now: int, why: str) -> Job:
    """Return a job that no worker could even begin, such as one on a grid without QSuite."""
    return jobs.failed(job, "jobs.failed", why, now)
