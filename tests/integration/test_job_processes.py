"""The executor of job processes, as any ``concurrent.futures.Executor``: results, errors, deaths, and what is left."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest

from qsuite.domain.errors import Invalid
from qsuite.services.executors import WorkerDied
from qsuite.services.executors.processes import ProcessExecutor
from tests.support.waiting import wait_until
from tests.support.workers import workers


@pytest.fixture
def executor() -> Iterator[ProcessExecutor]:
    found = ProcessExecutor(2, idle_s=0.0)
    yield found
    found.shutdown()
    assert workers() == []


def refuse() -> None:
    raise Invalid("no", errors={"size": ["wrong"]}, code="test.no")


def raise_what_does_not_pickle() -> None:
    raise RuntimeError(lambda: None)


def return_what_does_not_pickle() -> Any:
    return lambda: None


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wait_deaf(note: Path) -> None:
    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    note.touch()
    while True:
        time.sleep(60)


def test_results_and_errors_come_back(executor: ProcessExecutor) -> None:
    assert isinstance(executor, Executor)
    asked: list[Future[Any]] = [executor.submit(pow, 2, 10), executor.submit(refuse)]
    asked += [executor.submit(raise_what_does_not_pickle), executor.submit(return_what_does_not_pickle)]
    assert asked[0].result() == 1024
    refused = asked[1].exception()
    assert isinstance(refused, Invalid)
    assert (refused.code, refused.errors) == ("test.no", {"size": ["wrong"]})
    assert isinstance(asked[2].exception(), RuntimeError)
    assert "pickle" in str(asked[3].exception())
    assert list(executor.map(abs, [-1, -2, -3])) == [1, 2, 3]
    assert len(workers()) <= executor.capacity


def test_jobs_yield_to_processes_of_other_sessions_too() -> None:
    executor = ProcessExecutor(1, niceness=4)
    try:
        pid = executor.submit(os.getpid).result()
        assert os.getpriority(os.PRIO_PROCESS, pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 4)
        assert os.getsid(pid) == pid
        group = Path(f"/proc/{pid}/autogroup")
        text = group.read_text() if group.exists() else ""
        assert not text or text.endswith(" nice 4\n")
    finally:
        executor.shutdown()


def test_one_death_is_the_failure_of_one_call(executor: ProcessExecutor, tmp_path: Path) -> None:
    deaf = executor.submit(wait_deaf, tmp_path / "note")
    with pytest.raises(WorkerDied, match="ended with -9"):
        executor.submit(die).result()
    wait_until((tmp_path / "note").exists)
    waiting = [executor.submit(os.getpid) for _ in range(3)]
    assert len({each.result() for each in waiting}) == 1
    assert not deaf.done()
    executor.end(deaf)
    with pytest.raises(WorkerDied):
        deaf.result(timeout=30)


def test_processes_with_nothing_to_do_are_ended(executor: ProcessExecutor) -> None:
    executor.submit(os.getpid).result()
    wait_until(lambda: executor.look() or workers() == [])
    assert executor.submit(pow, 2, 2).result() == 4


def test_a_shutdown_ends_what_runs_and_what_waits(tmp_path: Path) -> None:
    executor = ProcessExecutor(1)
    running, waiting = executor.submit(wait_deaf, tmp_path / "note"), executor.submit(pow, 2, 2)
    wait_until((tmp_path / "note").exists)
    executor.shutdown()
    assert isinstance(running.exception(), WorkerDied)
    assert waiting.cancelled()
    assert workers() == []
    with pytest.raises(RuntimeError, match="shut down"):
        executor.submit(pow, 2, 2)
