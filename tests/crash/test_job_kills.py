"""SIGKILL of workers and of servers while jobs run: each job ends once, done or failed with its reason.

A job's task leaves a mark in the database as it begins and as it ends, in every attempt: so what was done is known from
elsewhere than from the job itself.
"""

import asyncio
import random
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from uuid import UUID

import psutil
import pytest
from structlog.testing import capture_logs

from qsuite.domain.jobs import Job, JobState
from qsuite.repos.database import Database
from qsuite.services.executors.processes import ProcessExecutor
from tests.crash.clients import SCALE, end, spawn
from tests.support.jobs import JobQueue, running_jobs
from tests.support.waiting import eventually, wait_until
from tests.support.workers import workers

VARIABLES = {"QSUITE_WORKERS__JOB_LEASE_S": "1.0", "QSUITE_WORKERS__JOBS_AT_ONCE": "2"}
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


async def test_workers_killed_at_random_cost_attempts_and_no_job_is_done_twice(database: Database) -> None:
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
    mongod: str, database: Database
) -> None:
    queue, source = JobQueue(database), random.Random(21)
    victim = await asyncio.to_thread(start, mongod, database)
    asked = await submit_many(queue)
    for kill in range(SERVER_KILLS):
        await eventually(lambda least=kill: marks(database, "begun").total() > 3 * least, timeout_s=60)
        await asyncio.to_thread(kill_at, victim, source.uniform(0.0, 0.1))
        victim = await asyncio.to_thread(start, mongod, database)
    ends = await queue.ends_of(asked, timeout_s=100)
    victim.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(victim.wait, 30) == 0
    await asyncio.to_thread(end, victim)
    check_ends(database, asked, ends)


async def test_a_server_that_stops_in_order_costs_no_attempt(database: Database) -> None:
    async with running_jobs(database, ProcessExecutor(1)) as queue:
        job = await queue.submit("tally", number=0, seconds=60)
        await eventually(lambda: marks(database, "begun").total() == 1, timeout_s=60)
    after = await queue.now(job)
    assert (after.state, after.attempts, after.progress) == (JobState.QUEUED, 0, 0.0)
    assert workers() == []


def start(mongod: str, database: Database) -> "subprocess.Popen[str]":
    victim = spawn(mongod, database.name, "tests.crash.job_victim", variables=VARIABLES)
    assert victim.stdout is not None
    assert victim.stdout.readline(), "it ended as it started"
    return victim


def kill_at(victim: "subprocess.Popen[str]", delay_s: float) -> None:
    """Kill a server a moment later; its workers are gone with it."""
    with suppress(subprocess.TimeoutExpired):
        victim.wait(delay_s)
    left = workers(victim.pid)
    assert end(victim) == -signal.SIGKILL
    wait_until(gone(left), what="the end of its workers")


def gone(processes: Sequence[psutil.Process]) -> Callable[[], bool]:
    return lambda: not any(process.is_running() and process.status() != "zombie" for process in processes)
