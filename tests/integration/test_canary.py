"""No secret shows anywhere: a real server is started with a canary in each, is used well and badly, and is searched.

Looked at: what it answers, prints and logs (debug level), the arguments and files of its processes, metrics, health,
``qsuite doctor`` and ``keys list``, and every document it stored.
"""

import base64
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pymongo
import pytest

from tests.support import server as server_module
from tests.support.server import Server, run_command, serving

SECRET_KEY = "canary-0-key-u8Rw2LxK5vQ9sTz3Hn6Bf1Jd"
RETIRED = "canary-1-old-p4Ym7CgN0aWe6Xi2Vo8Zb5Kh"
REDIS = "canary2redisE3rT6yU9iO2p"
SOURCE = "canary3sourceA5sD8fG1hJ4k"
PASSWORD = "canary4-password-plover-mulch-9371"
WRONG = "canary5-wrong-password-thicket-2284"
NEXT_PASSWORD = "canary6-next-password-osprey-5520"
SETTINGS = {
    "SECRET_KEY": SECRET_KEY,
    "SECRET_KEYS_RETIRED": RETIRED,
    "REDIS_URL": f"redis://user:{REDIS}@127.0.0.1:1/0",
    "FEED__KIND": "websocket",
    "FEED__SYMBOLS": "IBM",
    "SOURCE__URL": f"ws://127.0.0.1:1/?token={SOURCE}",
    "SOURCE__AUTHORIZATION": f"Bearer {SOURCE}",
    "SOURCE__SUBSCRIBE": json.dumps({"op": "login", "secret": SOURCE}),
    "SOURCE__FILL_URL": f"http://127.0.0.1:1/{SOURCE}/{{key}}/{{first}}/{{last}}",
    "LOG__LEVEL": "debug",
}
# The same program, with one fault: what it is told about a user it tells in the error, with its own secret.
FAULTY = """
import os
from qsuite.services.users import UserService

async def fail(self, user):
    raise RuntimeError(f"{os.environ['QSUITE_SECRET_KEY']} {os.environ['QSUITE_SOURCE__AUTHORIZATION']} {SEEN[-1]}")

SEEN = []
from qsuite.services.auth import AuthService
check = AuthService.authenticate
def see(self, header):
    SEEN.append(header)
    return check(self, header)
AuthService.authenticate = see
UserService.get = fail
from qsuite.cli import main
main()
"""


def ask(
    server: Server, path: str, body: bytes | None = None, token: str | None = None, **headers: str
) -> tuple[int, str]:
    """Return the status, and head and body as one text."""
    sent = {"Content-Type": "application/json", **headers}
    if token is not None:
        sent["Authorization"] = f"Bearer {token}"
    try:
        with urllib.request.urlopen(urllib.request.Request(server.url + path, body, sent), timeout=10) as answer:
            return answer.status, f"{answer.headers}{answer.read().decode()}"
    except urllib.error.HTTPError as error:
        return error.code, f"{error.headers}{error.read().decode()}"


def login(server: Server, password: str) -> tuple[int, dict[str, Any], str]:
    body = json.dumps({"username": "maria", "password": password}).encode()
    status, text = ask(server, "/api/auth/login/", body)
    return status, json.loads(text[text.index("{") :]), text


def use(server: Server) -> tuple[list[str], str]:
    """Use the server well and badly; return the tokens it gave out, and all that it may not have shown them in."""
    _, pair, _ = login(server, PASSWORD)
    token = pair["access"]
    status, made = ask(server, "/api/auth/api-keys/", b'{"name": "robot"}', token)
    key = json.loads(made[made.index("{") :])["key"]
    assert status == 201
    wrong_status, _, wrong = login(server, WRONG)
    assert wrong_status == 401
    change = json.dumps({"old_password": PASSWORD, "new_password": NEXT_PASSWORD}).encode()
    seen = [
        wrong,
        *(ask(server, path, token=token)[1] for path in ("/health", "/metrics", "/api/v1/system-metrics/")),
        ask(server, "/api/auth/api-keys/", token=key)[1],
        ask(server, "/api/v1/orders/", token=f"{token}x")[1],
        ask(server, "/api/v1/orders/", token=f"{key}x")[1],
        ask(server, "/api/auth/login/", f'{{"username": "maria", "password": "{PASSWORD}"'.encode())[1],
        ask(server, "/api/auth/login/", json.dumps({"username": "maria", "password": [PASSWORD]}).encode())[1],
        ask(server, "/api/auth/login/", json.dumps({"username": PASSWORD, "password": PASSWORD}).encode())[1],
        ask(server, "/api/auth/refresh/", json.dumps({"refresh": pair["refresh"] + "x"}).encode())[1],
        ask(server, "/api/auth/password/", change.replace(PASSWORD.encode(), WRONG.encode()), token)[1],
        ask(server, "/api/auth/password/", change, token, **{"Idempotency-Key": "change-1"})[1],
    ]
    # In the address is where a token must not be; a careless client's is not written down for that.
    ask(server, f"/api/v1/orders/?token={token}")
    ask(server, f"/api/v1/orders/?api_key={key}", token=key)
    fault, told = ask(server, "/api/auth/me/", token=key)
    assert fault == 500
    return [token, pair["refresh"], key], "\n".join([*seen, told])


def every_process(server: Server) -> str:
    root = psutil.Process(server.process.pid)
    return "\n".join(" ".join(each.cmdline()) for each in (root, *root.children(recursive=True)))


def every_document(server: Server) -> str:
    address = json.loads((server.data_dir / "server.json").read_text())["mongodb_uri"]
    with pymongo.MongoClient[dict[str, Any]](address) as client:
        return "\n".join(
            repr(document)
            for name in client.qsuite.list_collection_names()
            for document in client.qsuite[name].find({})
        )


def every_file(data_dir: Path) -> str:
    """Return what is written beside the database's own files."""
    return "\n".join(path.read_text(errors="replace") for path in data_dir.iterdir() if path.is_file())


def test_no_secret_shows_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_dir = tmp_path / "data"
    made = run_command(data_dir, "user", "create", "maria", "--role", "trader", "--password-stdin", stdin=PASSWORD)
    assert made.returncode == 0, made.stderr
    monkeypatch.setattr(server_module, "COMMAND", (sys.executable, "-c", FAULTY))
    with serving(data_dir, **SETTINGS) as server:
        tokens, answers = use(server)
        monkeypatch.undo()
        lines = (("doctor",), ("keys", "rotate", "--after", "600"), ("keys", "revoke", "no-such-key"), ("keys", "list"))
        commands = [run_command(data_dir, *line, **SETTINGS) for line in lines]
        places = {
            "answers": answers,
            "arguments": every_process(server),
            "documents": every_document(server),
            "files": every_file(data_dir),
            **{str(command.args[-1]): command.stdout + command.stderr for command in commands},
        }
        assert [command.returncode for command in commands] == [0, 0, 1, 0], places
        assert [line.split()[1] for line in places["list"].splitlines()[:2]] == ["signing", "waiting"]
        assert "no key no-such-key" in places["no-such-key"]
        assert server.stop() == 0
        places |= {"printed": server.printed, "logged": server.logged}
    assert "request.failed" in places["logged"]
    assert "feed" in places["logged"], "the source was tried"
    secrets = [SECRET_KEY, RETIRED, REDIS, SOURCE, PASSWORD, WRONG, NEXT_PASSWORD, *tokens]
    secrets += [token.rpartition(".")[2] for token in tokens if "." in token]
    secrets += [base64.b64encode(secret.encode()).decode().rstrip("=") for secret in secrets]
    for place, text in places.items():
        for secret in secrets:
            assert secret not in text, f"{secret} shows in {place}: …{text[max(0, text.find(secret) - 200) :][:300]}"
        assert "canary" not in text.lower(), f"a part of one shows in {place}"


def test_a_secret_from_a_file_is_in_no_environment(tmp_path: Path) -> None:
    """What a process was started with can be read by its user, and is inherited by what it starts."""
    path = tmp_path / "secret"
    path.write_text(SECRET_KEY)
    path.chmod(0o600)
    code = "import os; from qsuite.settings import load_settings; load_settings(); print(dict(os.environ))"
    environ = {**os.environ, "QSUITE_SECRET_KEY_FILE": str(path)}
    shown = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert str(path) in shown.stdout
    assert SECRET_KEY not in shown.stdout
