"""``qsuite serve`` as a process of its own, the way a person or an init system runs it."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.waiting import wait_until

CHECKOUT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-c", "from qsuite.cli import main; main()")
START_S = 60.0
READY = re.compile(r"(?:is ready|stands by|is a gateway) at (http://[^ ]+)")


def environment(data_dir: Path, **settings: str) -> dict[str, str]:
    """Return this process's environment without its own QSuite settings, and with these."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("QSUITE_")}
    ours = {
        "QSUITE_PROFILE": "test",
        "QSUITE_DATA_DIR": str(data_dir),
        "QSUITE_MONGO__CACHE_GIB": "0.25",
        "QSUITE_LOG__LEVEL": "info",
        "PYTHONPATH": str(CHECKOUT),
    }
    return {**clean, **ours, **{f"QSUITE_{name}": value for name, value in settings.items()}}


def run_command(data_dir: Path, *arguments: str, stdin: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        env=environment(data_dir, **settings),
        cwd=data_dir.parent,
        timeout=START_S,
    )


class Server:
    """A server on a data directory; what it prints and logs goes to files beside that, named after ``output``."""

    def __init__(self, data_dir: Path, arguments: Sequence[str] = (), output: str = "", **settings: str) -> None:
        self.data_dir = data_dir
        files = data_dir.with_name(f"{data_dir.name}{output}")
        self._out, self._err = files.with_suffix(".out"), files.with_suffix(".err")
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [*COMMAND, "serve", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=environment(data_dir, **settings),
                cwd=data_dir.parent,
            )

    @property
    def printed(self) -> str:
        """Return what it wrote to standard output."""
        return self._out.read_text()

    @property
    def logged(self) -> str:
        """Return what it wrote to standard error."""
        return self._err.read_text()

    @property
    def url(self) -> str:
        """Return its address, once it is ready."""

        def address() -> str:
            found = READY.search(self.printed)
            assert found or self.process.poll() is None, f"it ended: {self.printed}{self.logged}"
            return found[1] if found else ""

        return wait_until(address, timeout_s=START_S, what="the server")

    def get(self, path: str, token: str | None = None) -> tuple[int, Any]:
        """GET; return status and body, read as JSON where it is."""
        return self._request(urllib.request.Request(self.url + path), token)

    def post(self, path: str, body: Any, token: str | None = None) -> tuple[int, Any]:
        """POST JSON."""
        headers = {"Content-Type": "application/json"}
        return self._request(urllib.request.Request(self.url + path, json.dumps(body).encode(), headers), token)

    def login(self, username: str, password: str) -> str:
        """Return an access token."""
        status, body = self.post("/api/auth/login/", {"username": username, "password": password})
        assert status == 200, body
        return str(body["access"])

    def _request(self, request: urllib.request.Request, token: str | None) -> tuple[int, Any]:
        if token is not None:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, _read(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, _read(error.read())

    def mongod_pid(self) -> int:
        """Return the process id of its embedded mongod, 0 while there is none."""
        return int((self.data_dir / "mongodb" / "mongod.lock").read_text() or 0)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, wait for the end, and return the exit code."""
        self.process.send_signal(how)
        return self.process.wait(timeout=START_S)


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode()


@contextmanager
def serving(data_dir: Path, *arguments: str, output: str = "", **settings: str) -> Iterator[Server]:
    """Run a server; whatever the test does, it has ended afterwards."""
    server = Server(data_dir, arguments, output, **settings)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()
