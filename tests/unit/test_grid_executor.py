"""The grid's executor with a scheduler that does what a real one does seldom: it freezes, or loses its last worker."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from qsuite.services.executors import GridLost
from qsuite.services.executors.grid import GridExecutor
from tests.support.waiting import wait_until


class Client:
    """A client of a scheduler that answers with ``cores``, or not at all."""

    def __init__(self, cores: dict[str, int] | None) -> None:
        self.status = "running"
        self.scheduler = SimpleNamespace(ncores=None)
        self.cores = cores
        self.asked: list[Future[Any]] = []
        self.closed = False

    def sync(self, function: Any, callback_timeout: float) -> dict[str, int]:
        if self.cores is None:
            raise TimeoutError("no answer")
        return self.cores

    def get_executor(self, **kwargs: Any) -> "Client":
        return self

    def submit(self, function: Any, *args: Any, **kwargs: Any) -> "Future[Any]":
        self.asked.append(Future())
        return self.asked[-1]

    def close(self, timeout: float) -> None:
        self.closed = True


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    found = Client({"tcp://one": 2, "tcp://two": 1})
    monkeypatch.setattr("distributed.Client", lambda *args, **kwargs: found)
    return found


@pytest.fixture
def executor(client: Client) -> GridExecutor:
    found = GridExecutor("tcp://grid:8786")
    assert not found.ready
    with capture_logs():
        found.look()
    assert (found.ready, found.capacity) == (True, 3)
    return found


def test_nothing_waits_for_a_scheduler_that_does_not_answer(executor: GridExecutor, client: Client) -> None:
    waiting = executor.submit(pow, 2, 2)
    client.cores = None
    with capture_logs() as lines:
        executor.look()
    assert [line["event"] for line in lines] == ["grid.left"]
    assert not executor.ready
    assert isinstance(waiting.exception(timeout=0), GridLost)
    wait_until(lambda: client.asked[0].cancelled() and client.closed)
    with pytest.raises(GridLost):
        executor.submit(pow, 2, 2)
    client.cores = {"tcp://one": 1}
    with capture_logs():
        executor.look()
    assert executor.ready  # connected anew


def test_nothing_waits_for_a_grid_without_workers(executor: GridExecutor, client: Client) -> None:
    waiting = executor.submit(pow, 2, 2)
    client.cores = {}
    with capture_logs():
        executor.look()
    assert not executor.ready
    assert isinstance(waiting.exception(timeout=0), GridLost)


def test_a_result_that_comes_after_its_call_was_taken_back_is_dropped(executor: GridExecutor, client: Client) -> None:
    late, gone, good, bad = [executor.submit(pow, 2, 2) for _ in range(4)]
    executor.end(late)
    assert isinstance(late.exception(timeout=0), GridLost)
    client.asked[1].cancel()
    client.asked[1].set_running_or_notify_cancel()
    client.asked[2].set_result(4)
    client.asked[3].set_exception(ValueError("no"))
    assert isinstance(gone.exception(timeout=0), GridLost)
    assert good.result(timeout=0) == 4
    assert isinstance(bad.exception(timeout=0), ValueError)
