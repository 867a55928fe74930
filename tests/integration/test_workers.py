"""The pool of processes: what a killed worker costs, what a call that takes too long costs, and what a stop leaves."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from structlog.testing import capture_logs
from tornado.ioloop import IOLoop

from qsuite.domain.errors import Invalid, Unavailable
from qsuite.services.health import State
from qsuite.services.workers import WorkerPool
from qsuite.settings import WorkerSettings
from tests.support.waiting import eventually, wait_until


@pytest.fixture
def pool(io_loop: IOLoop) -> Iterator[WorkerPool]:
    found = WorkerPool(WorkerSettings(processes=1, timeout_s=60))
    yield found
    io_loop.run_sync(found.stop)
    assert workers() == []


def workers(of: int | None = None) -> list[psutil.Process]:
    """Return the worker processes of a process, this one by default."""
    found = []
    for child in psutil.Process(of).children(recursive=True):
        try:
            if any("spawn_main" in word for word in child.cmdline()):
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


# -- what workers are asked to do ------------------------------------------------------------------------------------


def double(value: int) -> int:
    return 2 * value


def refuse(field: str) -> None:
    raise Invalid("no", errors={field: ["wrong"]}, code="test.no")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_first(note: Path) -> str:
    """Kill the process the first time, and come back the second."""
    if not note.exists():
        note.touch()
        die()
    return "survived"


def wait_long(note: Path) -> None:
    note.touch()
    time.sleep(600)


def wait_deaf(note: Path) -> None:
    """Take no notice of the interrupt."""
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    wait_long(note)


# -- tests -----------------------------------------------------------------------------------------------------------


def test_a_pool_nobody_uses_starts_nothing(pool: WorkerPool) -> None:
    assert workers() == []
    assert pool.state is State.UP


async def test_a_function_runs_in_another_process_and_its_error_comes_back_whole(pool: WorkerPool) -> None:
    assert await pool.run(double, 21) == 42
    assert await pool.run(os.getpid) != os.getpid()
    with pytest.raises(Invalid) as caught:
        await pool.run(refuse, "size")
    assert (caught.value.code, caught.value.errors) == ("test.no", {"size": ["wrong"]})
    assert (pool.calls, pool.running, pool.deaths) == (3, 0, 0)


async def test_a_killed_worker_costs_one_retry(pool: WorkerPool, tmp_path: Path) -> None:
    with capture_logs() as lines:
        assert await pool.run(die_first, tmp_path / "died") == "survived"
    assert [line["event"] for line in lines] == ["workers.died"]
    assert await pool.run(double, 1) == 2


async def test_work_that_kills_every_worker_fails_alone_and_is_no_fault_of_the_pool(pool: WorkerPool) -> None:
    with capture_logs():
        answers = await asyncio.gather(
            pool.run(die), *(pool.run(double, value) for value in range(4)), return_exceptions=True
        )
    assert isinstance(answers[0], Unavailable)
    assert answers[0].code == "workers.died"
    assert answers[1:] == [0, 2, 4, 6]
    assert pool.state is State.UP


async def test_a_call_that_takes_too_long_gives_its_process_back(pool: WorkerPool, tmp_path: Path) -> None:
    pid = await pool.run(os.getpid)
    with pytest.raises(Unavailable) as caught:
        await pool.run(wait_long, tmp_path / "begun", timeout_s=0.2)
    assert caught.value.code == "workers.timeout"
    assert await pool.run(os.getpid) == pid


async def test_a_call_that_minds_no_interrupt_loses_its_process(pool: WorkerPool, tmp_path: Path) -> None:
    pid = await pool.run(os.getpid)
    with pytest.raises(Unavailable, match="longer than 0.2 s"):
        await pool.run(wait_deaf, tmp_path / "begun", timeout_s=0.2)
    await eventually(lambda: not psutil.pid_exists(pid))
    with capture_logs():
        assert await pool.run(double, 3) == 6


async def test_a_stop_ends_a_worker_in_the_middle_of_its_work(pool: WorkerPool, tmp_path: Path) -> None:
    call = asyncio.create_task(pool.run(wait_long, tmp_path / "begun"))
    await eventually((tmp_path / "begun").exists)
    await pool.stop()
    assert workers() == []
    for late in (call, pool.run(double, 1)):
        with pytest.raises(Unavailable) as caught:
            await late
        assert caught.value.code == "stopping"


async def test_a_pool_that_can_start_no_process_is_down_until_it_can(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qsuite.services.workers._begin_worker", os._exit)  # what a worker finds is not startable
    with capture_logs() as lines:
        with pytest.raises(Unavailable):
            await pool.run(double, 1)
        assert pool.state is State.DOWN
        await pool.run_once(0)
        assert pool.state is State.DOWN
        monkeypatch.undo()
        await pool.run_once(0)
    assert pool.state is State.UP
    assert "workers.down" in {line["event"] for line in lines}
    assert await pool.run(double, 1) == 2


SERVER = """
import asyncio, sys, time
from pathlib import Path
from qsuite.services.workers import WorkerPool
from qsuite.settings import WorkerSettings

async def main():
    pool = WorkerPool(WorkerSettings(processes=1))
    await pool.run(abs, -1)
    await pool.run(time.sleep, 600)

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_no_worker_outlives_a_server_that_was_killed(tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    server = subprocess.Popen([sys.executable, str(script)])
    try:
        wait_until(lambda: len(workers(server.pid)) == 1)
        (worker,) = workers(server.pid)
    finally:
        server.kill()
        server.wait()
    wait_until(lambda: not worker.is_running())
