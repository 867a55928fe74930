"""A mongod that asks for passwords: a replica set of one with a key file, and a user ``root``."""

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pymongo.errors import OperationFailure, PyMongoError

from ops.stack.process import Process, free_port
from ops.stack.replica_set import direct, find_mongod, mongod_command
from ops.stack.scratch import scratch
from ops.stack.waiting import wait_until

ROOT = "root-password"


@contextmanager
def guarded_mongod() -> Iterator[int]:
    """Start it, yield its port, stop it."""
    binary = find_mongod()
    if binary is None:
        pytest.skip("no mongod")
    with scratch() as directory, tempfile.TemporaryDirectory(prefix="qsuite-test-") as beside:
        key = Path(beside) / "key"
        key.write_text(secrets.token_urlsafe(64).replace("-", "a").replace("_", "b"))
        key.chmod(0o600)
        port = free_port()
        command = [*mongod_command(binary, Path(directory), port), "--auth", "--keyFile", str(key)]
        process = Process("guarded", command, Path(directory), port=port)
        process.launch()
        try:
            wait_until(lambda: _initiated(port), timeout_s=30)
            wait_until(lambda: _root_made(port), timeout_s=30)
            yield port
        finally:
            process.kill()


def uri(port: int, user: str, password: str) -> str:
    """Return its address for a user."""
    return f"mongodb://{user}:{password}@127.0.0.1:{port}/?replicaSet=qsuite&authSource=admin"


def _initiated(port: int) -> bool:
    """Begin the set; the first user may be made from the machine itself before there is one."""
    try:
        with direct(port) as client:
            client.admin.command(
                "replSetInitiate", {"_id": "qsuite", "members": [{"_id": 0, "host": f"127.0.0.1:{port}"}]}
            )
    except OperationFailure:
        raise
    except PyMongoError:
        return False
    return True


def _root_made(port: int) -> bool:
    with direct(port) as client:
        if not client.admin.command("hello")["isWritablePrimary"]:
            return False
        client.admin.command("createUser", "root", pwd=ROOT, roles=["root"])
    return True
