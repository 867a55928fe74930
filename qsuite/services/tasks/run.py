"""One attempt at a job, from beginning to end, in whichever process an executor runs it.

    run_attempt ──> open the database ──> take the job ──> task ──> write how it ended
                                            │                ▲
                                            └── herald: a few times a second says how far it is, and hears
                                                whether to stop

The server hands over names only: parameters are read here and the result is written here, so nothing large passes
through the server's event loop, and what is done stays done wherever the server is by then.

Invariant: an attempt whose claim is not good any more writes nothing into the job.
"""

import asyncio
import os
import socket
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from typing import Any
from uuid import UUID

from qsuite.domain import jobs
from qsuite.domain.errors import QSuiteError, Unavailable
from qsuite.domain.jobs import Job
from qsuite.repos.database import Address, Database, connect
from qsuite.repos.jobs import Held, JobsRepo
from qsuite.secret_files import with_secret_files
from qsuite.services.executors import WorkerDied
from qsuite.services.tasks.work import Task

BEAT_S = 0.25
POOL_SIZE = 8
STORE_S = 30.0
"""A result is not given up while the database is away for less than this."""
STORE_PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a worker is told: which job, under which claim, where the database is, which tasks there are."""

    job: UUID
    claim: UUID
    address: Address
    catalogue: str
    timeout_s: float


class Stop(StrEnum):
    """Why a task should end before it is done."""

    CANCELLED = "cancelled"
    TIMEOUT = "timeout"
    SUPERSEDED = "superseded"


class Stopped(BaseException):
    """Ends a task from inside ``progress``; no ``except Exception`` of the task stands in its way."""


def run_attempt(attempt: Attempt) -> str:
    """Run one attempt; return the trace of an error nobody expected, for the server's log, else nothing.

    Raises only where what became of the job could not be written.
    """
    return asyncio.run(_run(attempt))


async def _run(attempt: Attempt) -> str:
    uri = attempt.address.uri or _own_address()
    if not uri:
        raise RuntimeError("the database has a password: set QSUITE_MONGODB_URI where the workers run")
    database = connect(uri, attempt.address.name, pool_size=POOL_SIZE)
    try:
        repo = JobsRepo(database)
        job = await repo.take(attempt.job, attempt.claim, f"{socket.gethostname()}:{os.getpid()}")
        if job is None:
            await _explain(repo, attempt)
            return ""
        work = JobWork(job, database)
        after = await _finish(work, attempt, repo)
        if after is not None:
            await _store(repo, Held(job, attempt.claim), after)
        return work.trace
    finally:
        database.close()


def _own_address() -> str:
    """Return the address that this worker was given, by its environment or in a file."""
    given = {name: os.environ.get(f"QSUITE_{name.upper()}", "") for name in ("mongodb_uri", "mongodb_uri_file")}
    return with_secret_files(given, ["mongodb_uri"], "QSUITE_")["mongodb_uri"]


async def _explain(repo: JobsRepo, attempt: Attempt) -> None:
    """Raise WorkerDied where another worker began this very attempt: a grid passes on what a dead one left."""
    held = (await repo.held([attempt.job])).get(attempt.job)
    if held is not None and held.claim == attempt.claim:
        raise WorkerDied(f"{held.worker} began it and is gone")


async def _finish(work: "JobWork", attempt: Attempt, repo: JobsRepo) -> Job | None:
    """Run the task to its end and return the job as it ended; None where that is nobody's business any more."""
    job = work.told
    running = asyncio.ensure_future(_call(work, attempt))
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        loop.call_soon_threadsafe(running.cancel)

    with Herald(work, attempt, repo, interrupt):
        try:
            result = await running
        except (Stopped, asyncio.CancelledError):
            return _stopped(job, work.stop, attempt.timeout_s)
        except QSuiteError as error:
            return jobs.failed(job, error.code, error.detail, _now())
        except Exception as error:  # noqa: BLE001  whatever it is: the job's reason, and a trace for the log
            work.trace = traceback.format_exc()
            return jobs.failed(job, "jobs.failed", f"{type(error).__name__}: {error}", _now())
    return jobs.done(job, result, _now())


async def _call(work: "JobWork", attempt: Attempt) -> Mapping[str, Any]:
    tasks: Mapping[str, Task] = import_module(attempt.catalogue).TASKS
    return await tasks[work.told.kind](work, work.told.parameters)


def _stopped(job: Job, stop: Stop | None, timeout_s: float) -> Job | None:
    if stop is Stop.CANCELLED:
        return jobs.cancelled(job, _now())
    if stop is Stop.TIMEOUT:
        return jobs.failed(job, "jobs.timeout", f"it took longer than {timeout_s:g} s", _now())
    if stop is None:  # the task cancelled itself
        return jobs.failed(job, "jobs.failed", "the task gave up", _now())
    return None


async def _store(repo: JobsRepo, held: Held, after: Job) -> None:
    """Write how it ended, also where the database is away for a moment."""
    deadline = time.monotonic() + STORE_S
    while True:
        try:
            await repo.settle(held, after)
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(STORE_PAUSE_S)
        except QSuiteError as error:  # a result that cannot be stored: too large, or not plain
            after = jobs.failed(held.job, "jobs.result_refused", f"its result cannot be stored: {error.detail}", _now())
        else:
            return


class JobWork:
    """A job under way, as its task sees it (``tasks.work.Work``)."""

    def __init__(self, job: Job, database: Database) -> None:
        self.told = job
        self.part = 0.0
        self.stop: Stop | None = None
        self.trace = ""
        self._database = database

    @property
    def job(self) -> UUID:
        """Return the job's id."""
        return self.told.id

    @property
    def owner(self) -> UUID:
        """Return the user who asked for it."""
        return self.told.owner

    @property
    def database(self) -> Database:
        """Return this attempt's own connection."""
        return self._database

    def progress(self, part: float) -> None:
        """Note how much is done; Stopped when the task should end."""
        self.part = min(1.0, max(0.0, part))
        if self.stop is not None:
            raise Stopped


class Herald:
    """A thread beside the task: it says how far that is, keeps its claim, and hears whether it should stop."""

    def __init__(self, work: JobWork, attempt: Attempt, repo: JobsRepo, interrupt: Callable[[], None]) -> None:
        self._work = work
        self._attempt = attempt
        self._repo = repo
        self._interrupt = interrupt
        self._deadline = time.monotonic() + attempt.timeout_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="qsuite-herald", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _keep(self) -> None:
        said = 0.0
        while not self._ended.wait(BEAT_S):
            part = self._work.part
            try:
                held = self._repo.beat(self._attempt.job, self._attempt.claim, part if part != said else None)
            except Unavailable:  # the claim may lapse; whoever takes the job over is heard of later
                stop = None
            else:
                said = part
                stop = self._why(held)
            if stop is None and time.monotonic() > self._deadline:
                stop = Stop.TIMEOUT
            if stop is not None:
                self._work.stop = stop
                self._interrupt()
                return

    def _why(self, held: Held | None) -> Stop | None:
        if held is None:
            return Stop.SUPERSEDED
        return Stop.CANCELLED if held.job.cancel_asked else None


def _now() -> int:
    return time.time_ns()
