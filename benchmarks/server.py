"""Start a whole QSuite, as ``qsuite serve`` does, with a trader, an administrator and one priced ticker."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PASSWORD = "a-long-benchmark-passphrase"
SYMBOL = "BENCH"


@dataclass(frozen=True, slots=True)
class Running:
    """A server that takes orders of ``SYMBOL``."""

    port: int
    trader: str
    admin: str
    mongodb_uri: str
    pid: int
    ready_s: float

    def call(self, method: str, path: str, body: Any = None, token: str | None = None) -> Any:
        """Call a route and return its JSON."""
        return call(self.port, method, path, body, token or self.admin)


@contextmanager
def running_qsuite(data_dir: Path | None = None, **environment: str) -> Iterator[Running]:
    """Start on a data directory (by default a new one), with its embedded database; stop it cleanly afterwards."""
    with tempfile.TemporaryDirectory(prefix="qsuite-bench-") as temporary:
        directory = data_dir or Path(temporary)
        env = os.environ | {"QSUITE_DATA_DIR": str(directory), "QSUITE_LOG__LEVEL": "warning"} | environment
        fresh = not (directory / "mongodb").exists()
        if fresh:
            for name, role in (("bench-trader", "trader"), ("bench-admin", "admin")):
                command = [*QSUITE, "user", "create", name, "--role", role, "--password-stdin"]
                command += ["--cash", "1000000000000"] if role == "trader" else []
                subprocess.run(command, input=PASSWORD, text=True, env=env, check=True, stdout=subprocess.DEVNULL)
        port = free_port()
        began = time.perf_counter()
        process = subprocess.Popen(
            [*QSUITE, "serve", "--port", str(port)], env=env, stdout=subprocess.DEVNULL, cwd=ROOT
        )
        try:
            until_ready(port, process)
            ready_s = time.perf_counter() - began
            admin, trader = (login(port, name) for name in ("bench-admin", "bench-trader"))
            uri = json.loads((directory / "server.json").read_text())["mongodb_uri"]
            running = Running(port, trader, admin, uri, process.pid, ready_s)
            if fresh:
                running.call("POST", "/api/v1/tickers/", {"symbol": SYMBOL, "name": "for measuring"})
            show_price(running)
            yield running
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


QSUITE = [sys.executable, "-m", "qsuite"]
ROOT = Path(__file__).resolve().parent.parent


def show_price(running: Running) -> None:
    """Give the ticker a quote of 1.00 to 1.01."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    tick = {"symbol": SYMBOL, "ts": now, "kind": "quote", "bid": "1.00", "ask": "1.01"}
    running.call("POST", "/api/v1/ticks/", [tick])


def until_ready(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the server says it is ready."""
    while process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=1):
                return
        except OSError:
            time.sleep(0.005)
    raise SystemExit(f"qsuite serve ended with {process.returncode}")


def login(port: int, name: str) -> str:
    """Return an access token."""
    answer = call(port, "POST", "/api/auth/login/", {"username": name, "password": PASSWORD})
    return str(answer["access"])


def call(port: int, method: str, path: str, body: Any = None, token: str | None = None) -> Any:
    """Make one request."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
