"""A Dask grid of processes of its own: a scheduler and workers, on the loopback interface, without dashboards."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
SCHEDULER = ("-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--no-dashboard", "--no-show", "--port")
WORKER = ("-m", "distributed.cli.dask_worker", "--host", "127.0.0.1", "--no-dashboard", "--no-nanny", "--nthreads", "1")


class Grid:
    """``address`` stays the same when the scheduler is killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = _free_port()
        self._started = 0
        self.address = f"tcp://127.0.0.1:{self._port}"
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []

    def start(self, workers: int) -> None:
        """Start the scheduler, and workers, which join it when they can."""
        self.scheduler = self._run(*SCHEDULER, str(self._port))
        self.start_workers(workers)

    def start_workers(self, count: int) -> None:
        """Start more workers; they join when they can."""
        for _ in range(count):
            self.workers.append(
                self._run(*WORKER, "--local-directory", str(self._folder), "--death-timeout", "60", self.address)
            )

    def kill_scheduler(self) -> None:
        """SIGKILL it."""
        assert self.scheduler is not None
        self.scheduler.send_signal(signal.SIGKILL)
        self.scheduler.wait()

    def kill(self, pid: int) -> None:
        """SIGKILL the worker with this process id."""
        (found,) = [worker for worker in self.workers if worker.pid == pid]
        found.kill()
        found.wait()

    def stop(self) -> None:
        """End all of it."""
        for process in (*self.workers, self.scheduler):
            if process is not None:
                process.kill()
                process.wait()
        self.workers.clear()

    def _run(self, *arguments: str) -> subprocess.Popen[bytes]:
        self._started += 1
        log = self._folder / f"dask-{self._started}.log"
        with log.open("wb") as out:
            return subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=self._folder,
                env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_grid(folder: Path, workers: int = 2) -> Iterator[Grid]:
    """Run a grid; whatever the test does, it has ended afterwards."""
    grid = Grid(folder)
    try:
        grid.start(workers)
        yield grid
    finally:
        grid.stop()
