"""The queue as its holders use it: one claim at a time, and whoever lost it changes nothing any more."""

import asyncio
import time
from uuid import UUID, uuid4

from uuid_utils.compat import uuid7

from qsuite.domain import jobs
from qsuite.domain.jobs import Job, JobState
from qsuite.repos.database import Database
from qsuite.repos.jobs import SPEC, Held, JobsRepo
from qsuite.repos.schema import migrate

NOW = 1_700_000_000_000_000_000
OWNER = UUID(int=3)


async def queue_of(database: Database, count: int) -> tuple[JobsRepo, list[Job]]:
    await migrate(database, (SPEC,))
    repo = JobsRepo(database)
    waiting = [Job(id=uuid7(), kind="sum", owner=OWNER, parameters={"n": n}, created_at=NOW) for n in range(count)]
    for job in waiting:
        await repo.add(job)
    return repo, waiting


async def claimed(repo: JobsRepo) -> Held:
    held = await repo.claim(uuid4(), NOW)
    assert held is not None
    return held


async def test_each_job_is_claimed_once_however_many_want_it(database: Database) -> None:
    repo, waiting = await queue_of(database, 5)
    found = await asyncio.gather(*(repo.claim(uuid4(), NOW) for _ in range(12)))
    held = [each for each in found if each is not None]
    assert sorted(each.job.id for each in held) == [job.id for job in waiting]
    assert {(each.job.state, each.job.attempts) for each in held} == {(JobState.RUNNING, 1)}


async def test_who_lost_the_claim_can_neither_end_the_job_nor_keep_it(database: Database) -> None:
    repo, _ = await queue_of(database, 1)
    first = await claimed(repo)
    assert await repo.take(first.job.id, first.claim, "one:1") is not None
    (lapsed,) = await repo.lapsed(-1.0)
    assert await repo.settle(lapsed, jobs.after_loss(lapsed.job, NOW))
    second = await claimed(repo)
    assert (second.job.id, second.job.attempts) == (first.job.id, 2)

    before = await repo.get(first.job.id)
    assert not await repo.settle(first, jobs.done(first.job, {"sum": 1}, NOW))
    assert await repo.take(first.job.id, first.claim, "one:1") is None
    assert await asyncio.to_thread(repo.beat, first.job.id, first.claim, 0.9) is None
    await repo.keep([first.claim])
    assert await repo.get(first.job.id) == before

    assert await repo.settle(second, jobs.done(second.job, {"sum": 2}, NOW))
    assert not await repo.settle(second, jobs.failed(second.job, "no", "no", NOW))
    after = await repo.get(first.job.id)
    assert (after.state, after.result, after.progress, after.attempts) == (JobState.DONE, {"sum": 2}, 1.0, 2)


async def test_an_attempt_is_begun_by_one_worker(database: Database) -> None:
    repo, waiting = await queue_of(database, 1)
    held = await claimed(repo)
    takes = await asyncio.gather(*(repo.take(held.job.id, held.claim, f"worker:{n}") for n in range(6)))
    (taken,) = [each for each in takes if each is not None]
    assert (taken.parameters, taken.owner) == (waiting[0].parameters, OWNER)


async def test_a_job_asked_to_end_is_not_queued_again_behind_its_owners_back(database: Database) -> None:
    repo, _ = await queue_of(database, 1)
    held = await claimed(repo)
    assert (await repo.cancel(held.job.id, NOW)).cancel_asked
    assert not await repo.settle(held, jobs.queued_again(held.job))  # as it was read before it was cancelled
    stored = (await repo.held([held.job.id]))[held.job.id]
    assert await repo.settle(stored, jobs.after_loss(stored.job, NOW))
    assert (await repo.get(held.job.id)).state is JobState.CANCELLED


async def test_a_renewed_claim_does_not_lapse_and_another_does(database: Database) -> None:
    repo, _ = await queue_of(database, 2)
    kept, left = await claimed(repo), await claimed(repo)
    old = {"$set": {"renewed_at": (await database.collection("jobs").find_one({}))["created_at"]}}  # type: ignore[index]
    await database.collection("jobs").update_many({}, old)
    await repo.keep([kept.claim])
    assert [each.claim for each in await repo.lapsed(3_600.0)] == [left.claim]


async def test_changes_are_told_of_those_owners_only_and_since_then_only(database: Database) -> None:
    repo, (one, two) = await queue_of(database, 2)
    await claimed(repo)
    since = time.time_ns() - 60_000_000_000
    assert [job.id for _, job in await repo.changed({OWNER: since})] == [one.id]
    assert {job.id for _, job in await repo.changed({OWNER: NOW - 1_000_000})} == {one.id, two.id}
    assert await repo.changed({UUID(int=9): 0}) == []
    assert await repo.changed({}) == []
