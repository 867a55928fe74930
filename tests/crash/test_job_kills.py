"""SIGKILL of workers and of servers while jobs run: each job ends once, done or failed with its reason.

A job's task leaves a mark in the database as it begins and as it ends, in every attempt: so what was done is known from
elsewhere than from the job itself.
"""

import asyncio
import random
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import psutil
import pytest
from structlog.testing import capture_logs

from qsuite.domain.jobs import Job, JobState
from qsuite.repos.database import Database
from qsuite.repos.jobs import Held, JobsRepo
from qsuite.services.executors.processes import ProcessExecutor
from tests.crash.clients import SCALE, end, spawn
from tests.support.jobs import JobQueue, running_jobs
from tests.support.waiting import eventually, turns, wait_until
from tests.support.workers import workers

WORKER_KILLS = 4 * SCALE
SERVER_KILLS = SCALE
JOBS = 8 * SCALE


def marks(database: Database, mark: str) -> Counter[UUID]:
    return Counter(each["job"] for each in database.sync.marks.find({"mark": mark}))


def check_ends(database: Database, asked: Sequence[Job], ends: Sequence[Job]) -> None:
    """Every job ended once, as its marks say; nothing is left running."""
    begun, ended = marks(database, "begun"), marks(database, "ended")
    for number, (job, after) in enumerate(zip(asked, ends, strict=True)):
        assert begun[job.id] <= after.attempts <= 2
        if after.state is JobState.DONE:
            assert (after.result, after.error, after.progress) == ({"number": number}, None, 1.0)
            assert ended[job.id] >= 1
        else:
            assert (after.state, after.attempts, after.result) == (JobState.FAILED, 2, None)
            assert after.error is not None
            assert after.error["code"] == "jobs.worker_died"
    assert database.sync.jobs.count_documents({"state": {"$in": ["queued", "running"]}}) == 0
    assert database.sync.jobs.count_documents({"claim": {"$ne": None}}) == 0


async def submit_many(queue: JobQueue) -> list[Job]:
    return [await queue.submit("tally", number=number, seconds=0.1) for number in range(JOBS)]


async def test_workers_killed_at_random_cost_attempts_and_every_job_ends_once(database: Database) -> None:
    source = random.Random(20)
    with capture_logs():
        async with running_jobs(database, ProcessExecutor(2)) as queue:
            asked = await submit_many(queue)
            for kill in range(WORKER_KILLS):
                await eventually(lambda least=kill: marks(database, "begun").total() > least, timeout_s=60)
                for victim in source.sample(found := workers(), min(1, len(found))):
                    victim.kill()
            ends = await queue.ends_of(asked, timeout_s=100)
    check_ends(database, asked, ends)
    assert sum(job.attempts for job in ends) > len(ends)  # some of the kills struck
    assert workers() == []


@pytest.mark.timeout(120 * SCALE)
async def test_a_killed_server_takes_its_workers_along_and_the_next_one_finishes_the_jobs(
    database: Database, servers: "Servers"
) -> None:
    queue, source = JobQueue(database), random.Random(21)
    await asyncio.to_thread(servers.start)
    asked = await submit_many(queue)
    for kill in range(SERVER_KILLS):
        await eventually(lambda least=kill: marks(database, "begun").total() > 3 * least, timeout_s=60)
        await asyncio.to_thread(servers.kill, source.uniform(0.0, 0.1))
        await asyncio.to_thread(servers.start)
    ends = await queue.ends_of(asked, timeout_s=100)
    assert await asyncio.to_thread(servers.stop) == 0
    check_ends(database, asked, ends)


async def test_a_server_that_stops_in_order_costs_no_attempt(database: Database) -> None:
    async with running_jobs(database, ProcessExecutor(1)) as queue:
        job = await queue.submit("tally", number=0, seconds=60)
        await eventually(lambda: marks(database, "begun").total() == 1, timeout_s=60)
    after = await queue.now(job)
    assert (after.state, after.attempts, after.progress) == (JobState.QUEUED, 0, 0.0)
    assert workers() == []


class Servers:
    """One server after the other on a database; the last has ended when the test has, whatever that did."""

    def __init__(self, mongod: str, database: Database) -> None:
        self._place = (mongod, database.name)
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._process = spawn(*self._place, "tests.crash.job_victim")
        assert self._process.stdout is not None
        assert self._process.stdout.readline(), "it ended as it started"

    def kill(self, delay_s: float) -> None:
        """Kill it a moment later; its workers are gone with it."""
        assert self._process is not None
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(delay_s)
        left = workers(self._process.pid)
        assert self.end() == -signal.SIGKILL
        wait_until(gone(left), what="the end of its workers")

    def stop(self) -> int:
        """Ask it to stop, and return how it ended."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)
        return self.end()

    def end(self) -> int:
        """End it if it runs."""
        process, self._process = self._process, None
        return 0 if process is None else end(process)


@pytest.fixture
def servers(mongod: str, database: Database) -> Iterator[Servers]:
    found = Servers(mongod, database)
    yield found
    found.end()


def gone(processes: Sequence[psutil.Process]) -> Callable[[], bool]:
    return lambda: not any(process.is_running() and process.status() != "zombie" for process in processes)


async def test_a_job_begun_again_before_its_first_attempt_was_cleared_away_is_attended(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes, hold = tmp_path / "notes", tmp_path / "hold"
    notes.mkdir()
    hold.touch()
    async with running_jobs(database, ProcessExecutor(2)) as queue:
        runner, real, cleared = queue.runner, JobsRepo.settle, asyncio.Event()
        assert runner is not None

        async def slow(repo: JobsRepo, held: Held, after: Job) -> bool:
            """Come back when the job that was queued again is under way once more."""
            settled = await real(repo, held, after)
            await eventually(lambda: len(list(notes.iterdir())) == 2, timeout_s=60)
            cleared.set()
            return settled

        monkeypatch.setattr(JobsRepo, "settle", slow)
        with capture_logs():
            job = await queue.submit("die", note=str(notes), times=1, hold=str(hold))
            await cleared.wait()
            await turns(10)
            await eventually(lambda: runner.running == 1)
            hold.unlink()
            end = await queue.end_of(job)
            assert (end.state, end.attempts) == (JobState.DONE, 2)
            await eventually(lambda: runner.running == 0)
