"""A Dask grid: a scheduler and workers, on the loopback interface, without dashboards (the extra `dask`)."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from ops.stack.process import HOST, Process, free_port
from qsuite.domain.errors import SetupError

CHECKOUT = Path(__file__).resolve().parents[2]
SCHEDULER = ("-m", "distributed.cli.dask_scheduler", "--host", HOST, "--no-dashboard", "--no-show", "--port")
WORKER = ("-m", "distributed.cli.dask_worker", "--host", HOST, "--no-dashboard", "--no-nanny", "--nthreads", "1")
REJOIN_S = "60"
"""A worker without a scheduler ends after this."""


class Worker(Process):
    """A worker joins the scheduler when it can; nobody connects to it first, and ``port`` is 0."""

    def ready(self) -> bool:
        """Say whether it has joined."""
        return "Registered to:" in self.logged


class Grid:
    """``address`` stays the same when the scheduler is killed and started again."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        if find_spec("distributed") is None:
            raise SetupError("no Dask: pip install qsuite[dask]")
        self._folder = folder
        self._environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        port = port or free_port()
        self.address = f"tcp://{HOST}:{port}"
        command = [sys.executable, *SCHEDULER, str(port)]
        self.scheduler = Process("scheduler", command, folder, port=port, environment=self._environment)
        self.workers: list[Process] = []

    def launch(self, workers: int) -> None:
        """Start the scheduler and workers, and don't wait."""
        self.scheduler.launch()
        self.launch_workers(workers)

    def launch_workers(self, count: int) -> None:
        """Start more workers; they join when they can."""
        for _ in range(count):
            command = [sys.executable, *WORKER, "--local-directory", str(self._folder)]
            command += ["--death-timeout", REJOIN_S, self.address]
            name = f"worker-{len(self.workers)}"
            self.workers.append(Worker(name, command, self._folder, port=0, environment=self._environment))
            self.workers[-1].launch()

    def wait_ready(self) -> None:
        """Wait until every worker has joined."""
        for one in (self.scheduler, *self.workers):
            one.wait_ready()

    def stop(self) -> None:
        """End all of it."""
        for one in (*self.workers, self.scheduler):
            one.kill()
        self.workers.clear()
