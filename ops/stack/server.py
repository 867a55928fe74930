"""A QSuite process of the stack: ``qsuite serve`` as a person or an init system runs it."""

import json
import os
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ops.stack.process import HOST, Process

CHECKOUT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "qsuite")
READY = re.compile(r"(?:is ready|stands by|is a gateway) at http")
ANSWER_S = 30.0


NOTHING: Mapping[str, str] = {}


def environment(settings: Mapping[str, str], variables: Mapping[str, str] = NOTHING) -> dict[str, str]:
    """Return this process's environment without its own QSuite settings, and with these (named without QSUITE_)."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("QSUITE_")}
    ours = {f"QSUITE_{name}": value for name, value in settings.items()}
    return {**clean, "PYTHONPATH": str(CHECKOUT), **ours, **variables}


class Server(Process):
    """One of them; ``arguments`` go to ``qsuite serve``, ``variables`` into its environment."""

    def __init__(
        self,
        name: str,
        folder: Path,
        settings: Mapping[str, str],
        *,
        port: int,
        arguments: Sequence[str] = (),
        variables: Mapping[str, str] = NOTHING,
    ) -> None:
        command = [*COMMAND, "serve", "--port", str(port), *arguments]
        super().__init__(name, command, folder, port=port, environment=environment(settings, variables))
        self.url = f"http://{HOST}:{port}"

    def ready(self) -> bool:
        """Say whether it serves, with the engine or without."""
        return READY.search(self.logged) is not None

    def get(self, path: str, token: str = "") -> tuple[int, Any]:
        """GET; return status and body, read as JSON where it is."""
        return self.ask("GET", path, token=token)

    def ask(self, method: str, path: str, body: Any = None, token: str = "") -> tuple[int, Any]:
        """Send a request with JSON; return status and body. OSError where nobody answers."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)  # noqa: S310
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:  # noqa: S310  our own address
                return answer.status, _read(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _read(error.read())

    def login(self, username: str, password: str) -> str:
        """Return an access token. PermissionError where it is refused."""
        status, body = self.ask("POST", "/api/auth/login/", {"username": username, "password": password})
        if status != 200:
            raise PermissionError(f"{username} may not log in: {body}")
        return str(body["access"])


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode()
