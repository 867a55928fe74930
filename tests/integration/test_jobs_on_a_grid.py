"""Jobs on a real Dask scheduler with two worker processes: as on the process pool, and none waits for what is gone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from qsuite.domain.errors import SetupError
from qsuite.domain.jobs import Job
from qsuite.repos.database import Address, Database
from qsuite.services.executors.grid import GridExecutor
from qsuite.services.executors.processes import ProcessExecutor
from tests.support.grid import Grid, running_grid
from tests.support.jobs import JobQueue, running_jobs
from tests.support.waiting import eventually

START_S = 60.0


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    with running_grid(tmp_path_factory.mktemp("grid"), workers=2) as found:
        yield found


async def connected(executor: GridExecutor, threads: int) -> None:
    await eventually(lambda: executor.capacity >= threads, timeout_s=START_S, what="the grid")


async def work_of_many_kinds(queue: JobQueue) -> list[Job]:
    asked = [await queue.submit("multiply", seed=seed, size=40) for seed in range(6)]
    asked += [await queue.submit("add", left=2, right=number) for number in range(4)]
    asked += [await queue.submit(kind) for kind in ("refuse", "fail", "juggle")]
    return await queue.ends_of(asked)


async def test_both_executors_give_the_same_results(grid: Grid, database: Database) -> None:
    with capture_logs():  # the traces of what failed
        async with running_jobs(database, ProcessExecutor(2)) as queue:
            in_processes = await work_of_many_kinds(queue)
        executor = GridExecutor(grid.address)
        async with running_jobs(database, executor) as queue:
            await connected(executor, 2)
            on_the_grid = await work_of_many_kinds(queue)
    outcomes = [(job.kind, job.state, job.result, job.error, job.attempts) for job in on_the_grid]
    assert outcomes == [(job.kind, job.state, job.result, job.error, job.attempts) for job in in_processes]
    assert [job.state.value for job in on_the_grid] == ["done"] * 10 + ["failed"] * 3
    assert [job.result for job in on_the_grid[6:10]] == [{"sum": 2}, {"sum": 3}, {"sum": 4}, {"sum": 5}]


async def test_what_waits_on_the_grid_and_what_runs_there_can_be_cancelled(
    grid: Grid, database: Database, tmp_path: Path
) -> None:
    executor = GridExecutor(grid.address)
    async with running_jobs(database, executor, at_once=3) as queue:
        await connected(executor, 2)
        notes = [tmp_path / str(number) for number in range(3)]
        asked = [await queue.submit("wait", note=str(note)) for note in notes]
        await eventually(lambda: sum(note.exists() for note in notes) == 2, timeout_s=START_S)
        for job in asked:
            await queue.cancel(job)
        ends = await queue.ends_of(asked)
        assert [job.state.value for job in ends] == ["cancelled"] * 3
        assert sum(note.exists() for note in notes) == 2  # the third had no worker, and never got one


async def test_a_worker_that_cannot_run_a_job_says_why(grid: Grid, database: Database) -> None:
    executor = GridExecutor(grid.address)
    real, database.address = database.address, Address("", database.name)
    async with running_jobs(database, executor) as queue:
        await connected(executor, 2)
        with capture_logs():
            end = await queue.end_of(await queue.submit("add", left=1, right=2))
    database.address = real
    assert end.error == {
        "code": "jobs.failed",
        "detail": "RuntimeError: the database has a password: set QSUITE_MONGODB_URI where the workers run",
    }


async def test_a_killed_worker_costs_one_attempt(grid: Grid, database: Database, tmp_path: Path) -> None:
    executor = GridExecutor(grid.address)
    async with running_jobs(database, executor) as queue:
        await connected(executor, 2)
        note = tmp_path / "note"
        job = await queue.submit("wait", note=str(note))
        await eventually(lambda: note.exists() and note.read_text(), timeout_s=START_S)
        first = int(note.read_text())
        with capture_logs():
            next(worker for worker in grid.workers if worker.pid == first).kill()
            await eventually(lambda: int(note.read_text() or first) != first, timeout_s=START_S)
        note.unlink()
        end = await queue.end_of(job)
        assert (end.state.value, end.result, end.attempts) == ("done", {"waited": True}, 2)


async def test_a_killed_scheduler_loses_no_job(grid: Grid, database: Database, tmp_path: Path) -> None:
    executor = GridExecutor(grid.address)
    async with running_jobs(database, executor) as queue:
        await connected(executor, 1)  # the other one was killed
        note = tmp_path / "note"
        going = await queue.submit("wait", note=str(note))
        await eventually(lambda: note.exists() and note.read_text(), timeout_s=START_S)
        with capture_logs():
            grid.scheduler.kill()
            await eventually(lambda: not executor.ready)
            kept, unwanted = await queue.submit("add", left=1, right=2), await queue.submit("add", left=1, right=2)
            assert (await queue.cancel(unwanted)).state.value == "cancelled"
            note.unlink()  # its worker is cut off from the scheduler, not from the database
            end = await queue.end_of(going)
            assert (end.state.value, end.attempts) == ("done", 1)
            assert (await queue.now(kept)).state.value == "queued"
            grid.launch(1)
            end = await queue.end_of(kept)
        assert (end.state.value, end.result) == ("done", {"sum": 3})


def test_a_grid_without_an_address_stops_the_start() -> None:
    with pytest.raises(SetupError, match=r"set workers\.dask_scheduler"):
        GridExecutor("")


def test_a_password_is_not_sent_to_the_grid() -> None:
    open_to_all, secret = Address("mongodb://a:1,b:2/?replicaSet=r", "q"), Address("mongodb://u:p@a:1,b:2/", "q")
    assert open_to_all.sendable == open_to_all
    assert secret.sendable == Address("", "q")
    assert "p@" not in repr(secret)
