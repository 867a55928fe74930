"""One process of the local stack: to start, stop, kill, freeze and thaw.

Invariant: none outlives the process that started it, however that ends, and whether or not it is frozen itself. So all
are started from one thread that lives as long as this process, since Linux ties them to the thread that forked them.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ops.stack.waiting import wait_until
from qsuite.domain.errors import SetupError
from qsuite.services import mongod_launcher

START_S = 60.0
STOP_S = 30.0
TAIL_BYTES = 2_000
HOST = "127.0.0.1"
_starter = ThreadPoolExecutor(1, thread_name_prefix="stack-starter")


def free_port() -> int:
    """Return a port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Say whether somebody takes connections there."""
    try:
        socket.create_connection((HOST, port), timeout=1.0).close()
    except OSError:
        return False
    return True


class Process:
    """A program with a port and a log; ``start`` after ``kill`` or ``stop`` gives it the port and the data it had."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        *,
        port: int,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.port = port
        self.log = folder / f"{name}.log"
        self.frozen = False
        self._command = list(command)
        self._folder = folder
        self._environment = None if environment is None else dict(environment)
        self._popen: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int:
        """Return its process id; 0 before it was started."""
        return 0 if self._popen is None else self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """Return what it ended with, as ``subprocess`` tells it; None while it runs."""
        return None if self._popen is None else self._popen.poll()

    @property
    def runs(self) -> bool:
        """Say whether it can answer."""
        return self._popen is not None and not self.frozen and self.exit_code is None

    @property
    def logged(self) -> str:
        """Return what it wrote since it was started last."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start it, and don't wait."""
        assert self._popen is None or self.exit_code is not None, f"{self.name} runs already"
        self.frozen = False
        self._popen = _starter.submit(self._spawn).result()

    def wait_ready(self) -> None:
        """Wait until it is ready. SetupError with the end of its log when it ends instead, or takes too long."""

        def ready_or_gone() -> bool:
            return self.ready() or self.exit_code is not None

        try:
            wait_until(ready_or_gone, timeout_s=START_S, what=f"the start of {self.name}")
        except AssertionError as error:
            raise SetupError(f"{error}: {self.logged[-TAIL_BYTES:]}") from None
        if self.exit_code is not None:
            raise SetupError(f"{self.name} ended while starting: {self.logged[-TAIL_BYTES:]}")

    def ready(self) -> bool:
        """Say whether it takes connections."""
        return listens(self.port)

    def kill(self) -> None:
        """End it with no chance to say so; harmless when it has ended."""
        if self._popen is not None and self.exit_code is None:
            self._popen.kill()
            self._popen.wait()
        self.frozen = False

    def freeze(self) -> None:
        """Stop its work; its connections stay open and say nothing."""
        self.signal(signal.SIGSTOP)
        self.frozen = True

    def thaw(self) -> None:
        """Let it go on."""
        self.signal(signal.SIGCONT)
        self.frozen = False

    def stop(self) -> int:
        """Ask it to end, wait, and return what it ended with; outright after 30 s."""
        assert self._popen is not None, f"{self.name} was never started"
        if self.exit_code is None:
            if self.frozen:
                self.thaw()
            self.signal(signal.SIGTERM)
            try:
                self._popen.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()
        return self._popen.wait()

    def signal(self, how: signal.Signals) -> None:
        """Send it a signal."""
        assert self._popen is not None, f"{self.name} was never started"
        self._popen.send_signal(how)

    def _spawn(self) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            return subprocess.Popen(
                [*tied(), *self._command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env=self._environment,
                start_new_session=True,  # so that Ctrl-C reaches the stack alone, which then stops all in order
            )


def tied() -> list[str]:
    """Return the beginning of a command line that makes the kernel end the rest when this process is gone."""
    parent = f"{os.getpid()}:{signal.SIGKILL.value}"
    return [sys.executable, "-I", "-S", mongod_launcher.__file__, parent]
