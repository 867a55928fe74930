"""Make a lone mongod the primary of a replica set of one, which transactions and change streams need.

Invariant: a server that ``become_primary`` returns for takes majority writes, under the address it listens on now. The
set keeps its member's address in the database; a server that had to move to another port is told the new one by force.

Synchronous, because it runs before the event loop does. Every look is over a new connection: one that was there before
the set was made keeps seeing a lone server.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from pymongo import MongoClient
from pymongo.database import Database as SyncDatabase
from pymongo.errors import OperationFailure, PyMongoError

from qsuite.domain.errors import Unavailable

POLL_S = 0.01
ANSWER_S = 2.0
NOT_YET_INITIALIZED = 94
# There is nobody to hold an election against, so nothing is gained by waiting for others.
SET_SETTINGS = {"electionTimeoutMillis": 1000}


def become_primary(address: str, name: str, *, pid: int, deadline: float, alive: Callable[[], bool]) -> None:
    """Wait until the server at ``address`` (host:port) is primary of set ``name``, making the set if there is none.

    ``pid`` is the server's process: another one found at that address is left alone. ``deadline`` is a
    ``time.monotonic`` value; ``alive`` tells whether the server still runs, so that nobody waits for a dead one.
    Unavailable, with the server's last refusal, when it does not come to that.
    """
    last = "no answer"
    while alive() and time.monotonic() < deadline:
        try:
            if _advance(address, name, pid):
                return
        except PyMongoError as error:
            last = str(error)
        time.sleep(POLL_S)
    raise Unavailable(f"mongod at {address} did not become primary: {last}")


def _advance(address: str, name: str, pid: int) -> bool:
    """Take the one step that is due; True when there is none left."""
    client: MongoClient[dict[str, Any]] = MongoClient(
        f"mongodb://{address}/?directConnection=true", serverSelectionTimeoutMS=int(ANSWER_S * 1000)
    )
    with client:
        admin = client.admin
        if admin.command("serverStatus")["pid"] != pid:
            raise Unavailable(f"another server listens at {address}")
        hello = admin.command("hello")
        if hello.get("isWritablePrimary") and hello.get("me") == address:
            return True
        config = _stored_config(admin)
        if config is None:
            members = [{"_id": 0, "host": address}]
            admin.command("replSetInitiate", {"_id": name, "members": members, "settings": SET_SETTINGS})
        elif config["members"][0]["host"] != address:
            admin.command("replSetReconfig", _moved(config, address), force=True)
    return False


def _stored_config(admin: SyncDatabase[dict[str, Any]]) -> Mapping[str, Any] | None:
    try:
        config: Mapping[str, Any] = admin.command("replSetGetConfig")["config"]
    except OperationFailure as error:
        if error.code == NOT_YET_INITIALIZED:
            return None
        raise
    return config


def _moved(config: Mapping[str, Any], address: str) -> dict[str, Any]:
    member = {**config["members"][0], "host": address}
    return {**config, "version": config["version"] + 1, "members": [member]}
