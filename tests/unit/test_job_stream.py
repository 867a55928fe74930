"""What listeners are told of jobs by one who looks at the database now and then."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from qsuite.domain.jobs import Job, JobState, done
from qsuite.domain.roles import Caller, Role
from qsuite.services.job_stream import JobStream

NOW = 1_700_000_000_000_000_000
OWNER, OTHER = UUID(int=1), UUID(int=2)
QUEUED = Job(id=UUID(int=10), kind="sum", owner=OWNER, created_at=NOW)
RUNNING = replace(QUEUED, state=JobState.RUNNING, attempts=1, started_at=NOW, version=2)
DONE = replace(done(RUNNING, {"sum": 3}, NOW), version=3)


class Jobs:
    """The stored jobs, each with the time of its last change."""

    def __init__(self) -> None:
        self.stored: dict[UUID, tuple[int, Job]] = {}
        self.asked: list[Mapping[UUID, int]] = []

    def put(self, job: Job, changed_at: int = NOW) -> None:
        self.stored[job.id] = (changed_at, job)

    async def changed(self, owners: Mapping[UUID, int]) -> list[tuple[int, Job]]:
        self.asked.append(dict(owners))
        return [each for each in self.stored.values() if each[1].owner in owners and each[0] > owners[each[1].owner]]

    async def newest(self, owner: UUID, limit: int) -> list[Job]:
        return [job for _, job in self.stored.values() if job.owner == owner]


class Stream:
    def __init__(self) -> None:
        self.heard: list[tuple[str, float]] = []
        self.snapshot: Any = None

    def snapshot_source(self, prefix: str, source: Any) -> None:
        self.snapshot = source

    def publish_private(self, owner: UUID, channel: str, message: Mapping[str, Any]) -> None:
        assert (channel, message["type"], message["owner"]) == ("jobs", "job", str(owner))
        self.heard.append((message["state"], message["progress"]))

    def take(self) -> list[tuple[str, float]]:
        heard, self.heard = self.heard, []
        return heard


class Listeners:
    """A stream of jobs with those who listen."""

    def __init__(self) -> None:
        self.jobs, self.stream, self.owners = Jobs(), Stream(), {OWNER}
        self.loop = JobStream(
            repo=self.jobs,  # type: ignore[arg-type]
            stream=self.stream,  # type: ignore[arg-type]
            owners=lambda: self.owners,
            clock=lambda: NOW,
        )

    async def subscribe(self) -> list[str]:
        snapshot = await self.stream.snapshot(Caller(OWNER, "owner", Role.TRADER), "jobs")
        return [job["state"] for job in snapshot]

    async def look(self) -> list[tuple[str, float]]:
        await self.loop.run_once(NOW)
        return self.stream.take()


@pytest.fixture
def listeners(monkeypatch: pytest.MonkeyPatch) -> Listeners:
    for pause in ("ROUND_S", "IDLE_ROUND_S"):
        monkeypatch.setattr(f"qsuite.services.job_stream.{pause}", 0.0)
    return Listeners()


async def test_a_job_that_came_and_went_between_two_looks_is_told_state_by_state(listeners: Listeners) -> None:
    assert await listeners.subscribe() == []
    listeners.jobs.put(DONE)
    assert await listeners.look() == [("queued", 0.0), ("running", 0.0), ("done", 1.0)]
    assert await listeners.look() == []


async def test_what_the_snapshot_showed_is_not_told_again_and_what_follows_is(listeners: Listeners) -> None:
    listeners.jobs.put(RUNNING)
    assert await listeners.subscribe() == ["running"]
    assert await listeners.look() == []
    listeners.jobs.put(replace(RUNNING, progress=0.5, version=3))
    assert await listeners.look() == [("running", 0.5)]
    listeners.jobs.put(replace(DONE, version=4))
    assert await listeners.look() == [("done", 1.0)]


async def test_whose_snapshot_was_read_elsewhere_is_told_how_their_jobs_stand(listeners: Listeners) -> None:
    listeners.jobs.put(RUNNING)
    assert await listeners.look() == [("running", 0.0)]
    listeners.jobs.put(replace(DONE, id=UUID(int=11)))
    assert await listeners.look() == [("queued", 0.0), ("running", 0.0), ("done", 1.0)]


async def test_only_listeners_jobs_are_looked_up_and_who_left_is_forgotten(listeners: Listeners) -> None:
    listeners.jobs.put(replace(RUNNING, id=UUID(int=11), owner=OTHER))
    assert await listeners.look() == []
    assert set(listeners.jobs.asked[-1]) == {OWNER}
    await listeners.subscribe()
    listeners.jobs.put(RUNNING)
    await listeners.look()
    listeners.owners = set()
    await listeners.look()
    assert (listeners.jobs.asked[-1], listeners.loop._told, listeners.loop._since) == ({}, {}, {})


async def test_a_change_stored_late_with_an_earlier_time_is_told(listeners: Listeners) -> None:
    await listeners.subscribe()
    listeners.jobs.put(replace(RUNNING, id=UUID(int=11)), NOW + 5_000_000_000)
    await listeners.look()
    listeners.jobs.put(DONE, NOW + 1_000_000_000)
    assert await listeners.look() == [("queued", 0.0), ("running", 0.0), ("done", 1.0)]
