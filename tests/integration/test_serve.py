"""``qsuite serve`` from the outside: start, signals, its database's life, and commands beside it."""

import json
import os
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.stack.replica_set import find_mongod
from qsuite.services.data_dir import lock_holder, read_runtime
from tests.support.server import Server, run_command, serving
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(find_mongod() is None, reason="no mongod to embed")

PASSWORD = "correct horse battery staple"
CANARY = "canary-6f1ed002ab5595859014ebf0951522d9"


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that several tests look at and none changes for the others."""
    directory = tmp_path_factory.mktemp("shared") / "data"
    with serving(directory, SECRET_KEY=CANARY) as found:
        assert found.url
        yield found
        assert found.stop() == 0


def test_a_server_is_ready_when_it_says_so(server: Server) -> None:
    assert server.get("/health/ready") == (200, {"status": "ready"})
    status, health = server.get("/health")
    assert (status, health["services"]["database"], health["services"]["engine"]) == (200, "up", "up")


def test_a_second_server_on_the_directory_is_told_so_in_one_line(server: Server) -> None:
    second = run_command(server.data_dir, "serve")
    assert second.returncode == 1
    assert (
        second.stderr
        == f"Error: QSuite already runs on {server.data_dir}: process {server.process.pid}, {server.url}\n"
    )
    assert server.get("/health/ready")[0] == 200


def test_commands_beside_a_server_work_on_its_database(server: Server) -> None:
    made = run_command(
        server.data_dir, "user", "create", "maria", "--role", "trader", "--password-stdin", stdin=PASSWORD
    )
    assert (made.returncode, made.stderr) == (0, "")
    token = server.login("maria", PASSWORD)
    status, me = server.get("/api/auth/me/", token)
    assert (status, me["id"]) == (200, made.stdout.strip())
    checked = run_command(server.data_dir, "check")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout.startswith("The books agree: ")
    examined = run_command(server.data_dir, "doctor")
    assert examined.returncode == 0, examined.stdout
    assert server.url in examined.stdout
    assert run_command(server.data_dir, "migrate").stdout == "Nothing had changed\n"


def test_no_secret_is_ever_logged(server: Server) -> None:
    server.post("/api/auth/login/", {"username": "nobody", "password": CANARY})
    server.get("/api/auth/me/", CANARY)
    server.post("/api/auth/refresh/", {"refresh": CANARY})
    server.get(f"/api/v1/tickers/?token={CANARY}")
    assert wait_until(lambda: '"status":401' in server.logged)
    assert CANARY not in server.logged + server.printed
    assert all(json.loads(line) for line in server.logged.splitlines())


def test_sigterm_ends_server_and_mongod_and_a_restart_finds_everything_again(data_dir: Path) -> None:
    with serving(data_dir) as first:
        assert first.url
        made = run_command(data_dir, "user", "create", "otto", "--role", "viewer", "--password-stdin", stdin=PASSWORD)
        assert made.returncode == 0, made.stderr
        mongod = first.mongod_pid()
        assert alive(mongod)
        assert first.stop(signal.SIGTERM) == 0
    assert not alive(mongod)
    assert lock_holder(data_dir) is None
    with serving(data_dir) as second:
        assert second.login("otto", PASSWORD)
        assert second.stop(signal.SIGINT) == 0


def test_a_killed_server_leaves_no_mongod_and_its_directory_works_at_once(data_dir: Path) -> None:
    with serving(data_dir) as first:
        assert first.url
        mongod = first.mongod_pid()
        first.stop(signal.SIGKILL)
    with serving(data_dir) as second:
        assert second.get("/health/ready")[0] == 200
        assert not alive(mongod)
        assert second.stop() == 0


def test_a_request_in_flight_is_answered_before_the_end(data_dir: Path) -> None:
    with serving(data_dir) as server:
        host, port = server.url.removeprefix("http://").split(":")
        body = json.dumps({"username": "nobody", "password": "x" * 20}).encode()
        length = f"Content-Length: {len(body)}"
        head = f"POST /api/auth/login/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{length}"
        with socket.create_connection((host, int(port)), timeout=20) as client:
            client.sendall(f"{head}\r\n\r\n".encode() + body[:10])
            wait_until(lambda: server.get("/health/live")[0] == 200)
            server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: refuses(host, int(port)))
            client.sendall(body[10:])
            assert client.recv(65_536).startswith(b"HTTP/1.1 401 ")
        assert server.process.wait(timeout=30) == 0


def refuses(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return True
    return False


def test_watchers_are_told_when_the_server_ends(data_dir: Path) -> None:
    with serving(data_dir) as server:
        assert server.url
        run_command(data_dir, "user", "create", "eve", "--role", "viewer", "--password-stdin", stdin=PASSWORD)
        request = urllib.request.Request(f"{server.url}/api/v1/stream/?channels=trades:*")
        request.add_header("Authorization", f"Bearer {server.login('eve', PASSWORD)}")
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert b"welcome" in answer.readline()
            server.process.send_signal(signal.SIGTERM)
            rest = answer.read().decode()
        assert '{"type":"closing"' in rest
        assert rest.endswith('event: close\ndata: {"code":1001,"reason":"shutdown"}\n\n')
        assert server.process.wait(timeout=30) == 0


def test_a_frozen_database_turns_health_down_and_leaves_the_process_alive(data_dir: Path) -> None:
    with serving(data_dir, MONGO__TIMEOUT_S="2") as server:
        assert server.get("/health")[0] == 200
        mongod = server.mongod_pid()
        os.kill(mongod, signal.SIGSTOP)
        try:
            wait_until(lambda: server.get("/health/ready")[0] == 503, timeout_s=10)
            status, health = server.get("/health")
            assert (status, health["services"]["database"]) == (503, "down")
            assert server.get("/health/live")[0] == 200
        finally:
            os.kill(mongod, signal.SIGCONT)
        wait_until(lambda: server.get("/health/ready")[0] == 200, timeout_s=30)
        assert server.stop() == 0


def test_a_mongod_that_dies_is_started_again(data_dir: Path) -> None:
    with serving(data_dir) as server:
        assert server.url
        mongod = server.mongod_pid()
        os.kill(mongod, signal.SIGKILL)
        wait_until(lambda: server.mongod_pid() not in (0, mongod), timeout_s=30)
        wait_until(lambda: server.get("/health")[1]["services"]["database"] == "up", timeout_s=30)
        wait_until(lambda: server.get("/health/ready")[0] == 200, timeout_s=30)
        assert '"loop":"mongod"' in server.logged
        made = run_command(data_dir, "user", "create", "otto", "--role", "viewer", "--password-stdin", stdin=PASSWORD)
        assert made.returncode == 0, made.stderr
        assert server.stop() == 0


def test_a_second_process_on_one_database_stands_by_and_takes_over(mongod: str, tmp_path: Path) -> None:
    shared = {"MONGODB_URI": mongod, "DATABASE": f"test_{tmp_path.name.replace('-', '_')}", "SECRET_KEY": CANARY}
    with serving(tmp_path / "one", **shared) as first:
        assert first.get("/health/ready")[0] == 200
        with serving(tmp_path / "two", **shared) as second:
            status, health = second.get("/health")
            assert (status, health["services"]["engine"]) == (200, "standby")
            assert second.get("/health/ready")[0] == 503
            assert first.stop() == 0
            wait_until(lambda: second.get("/health/ready")[0] == 200, timeout_s=20)
            assert second.stop() == 0


def test_several_servers_may_share_a_directory_when_the_database_is_elsewhere(mongod: str, data_dir: Path) -> None:
    shared = {"MONGODB_URI": mongod, "DATABASE": f"test_{data_dir.parent.name.replace('-', '_')}"}
    with serving(data_dir, **shared) as first:
        assert first.url
        runtime = read_runtime(data_dir)
        assert runtime is not None
        with serving(data_dir, output="second", **shared) as second:
            assert second.url != first.url
            assert read_runtime(data_dir) == runtime
            assert (runtime.address, runtime.mongodb_uri) == (first.url, mongod)
            assert second.stop() == 0
        assert first.stop() == 0


def test_a_given_database_and_secret_need_no_data_directory(mongod: str, tmp_path: Path) -> None:
    shared = {"MONGODB_URI": mongod, "DATABASE": f"test_{tmp_path.name.replace('-', '_')}", "SECRET_KEY": CANARY}
    with serving(tmp_path / "data", DATA_DIR="/proc/nowhere", **shared) as server:
        assert server.get("/health/ready")[0] == 200
        assert server.stop() == 0


def test_a_taken_port_is_one_clear_line(server: Server, tmp_path: Path) -> None:
    port = server.url.rpartition(":")[2]
    refused = run_command(tmp_path / "other", "serve", "--port", port)
    assert refused.returncode == 1
    last = refused.stderr.splitlines()[-1]
    assert last == f"Error: cannot listen on 127.0.0.1:{port}: address already in use; set QSUITE_PORT"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"MONGODB_URI": "mongodb://u:canary@127.0.0.1:1/"}, "the database does not answer"),
        ({"MONGODB_URI": "http://nonsense/"}, "QSUITE_MONGODB_URI is not a usable MongoDB address"),
        ({"MONGOD": "/no/such/mongod"}, "QSUITE_MONGOD is /no/such/mongod"),
        ({"PROFILE": "production"}, "QSUITE_SECRET_KEY must be set in the production profile"),
        ({"PORT": "70000"}, "setting port must be between 0 and 65535"),
        ({"NONSENSE": "1"}, "unknown setting nonsense"),
        ({"DATA_DIR": "/proc/nowhere"}, "cannot use the data directory /proc/nowhere"),
    ],
)
def test_what_keeps_it_from_starting_is_said_in_one_line(
    data_dir: Path, settings: dict[str, str], expected: str
) -> None:
    refused = run_command(data_dir, "serve", **{"MONGO__TIMEOUT_S": "1", **settings})
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert "canary" not in refused.stderr
    assert refused.stderr.count("Error: ") == 1
    assert expected in refused.stderr


def test_a_second_ctrl_c_ends_it_at_once(data_dir: Path) -> None:
    with serving(data_dir) as server:
        host, port = server.url.removeprefix("http://").split(":")
        mongod = server.mongod_pid()
        with socket.create_connection((host, int(port)), timeout=20) as client:
            # A body that never comes holds the orderly end up for as long as is allowed.
            client.sendall(b"POST /api/auth/login/ HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
            server.process.send_signal(signal.SIGINT)
            wait_until(lambda: refuses(host, int(port)))
            assert server.process.poll() is None
            assert server.stop(signal.SIGINT) == 130
    assert not alive(mongod)
    assert "Traceback" not in server.logged


def test_the_demo_prints_three_lines_that_do_what_they_say(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--demo", LOG__FORMAT="console") as server:
        wait_until(lambda: "Ctrl-C stops QSuite" in server.printed, timeout_s=60)
        lines = {name: server.printed.partition(f"{name}")[2].split("\n")[1] for name in ("Log in:", "Buy:", "Watch (")}
        bought = subprocess.run(
            ["bash", "-c", f"{lines['Log in:']}\n{lines['Buy:']}\necho $TOKEN"],
            capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        order, token = bought.stdout.split("\n", 1)
        assert json.loads(order)["status"] in ("FILLED", "PARTIAL"), bought
        watched = subprocess.run(
            ["bash", "-c", f"TOKEN={token.strip()}; {lines['Watch (']} --max-time 5"],
            capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        snapshots, _, live = watched.stdout.partition('"channel":"positions"')
        assert json.loads(order)["id"] in snapshots  # its execution is there
        assert '"type":"trade"' in live
        checked = run_command(tmp_path / "data", "check")
        assert checked.returncode == 0, checked.stdout
        assert server.stop() == 0
