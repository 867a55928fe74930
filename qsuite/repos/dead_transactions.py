"""Ends transactions that killed processes left open: they hold what they wrote, and everybody who wants to write it.

The database would wait for a minute, by default, before it ends them itself. Ending one of a process that lives does no
harm: its transaction then fails as if it had met another, and is begun anew.
"""

from uuid import UUID

import structlog
from bson.binary import UUID_SUBTYPE, Binary
from pymongo.errors import PyMongoError

from qsuite.repos.database import Database

log = structlog.get_logger(__name__)


def end_dead_transactions(database: Database, idle_s: float) -> int:
    """End transactions of our user that nobody has gone on with for so long; return how many. For threads.

    The engine's is left alone: whoever takes over from a dead engine ends that.
    """
    client = database.sync_client
    idle = {"type": "idleSession", "transaction.timeInactiveMicros": {"$gte": int(idle_s * 1_000_000)}}
    try:
        found = list(client.admin.aggregate([{"$currentOp": {"idleSessions": True}}, {"$match": idle}]))
        engines = {_raw(each) for each in client[database.name].engine_state.distinct("session") if each is not None}
        dead = {_raw(each["lsid"]["id"]) for each in found} - engines
        if dead:
            client.admin.command("killSessions", [{"id": Binary(each, UUID_SUBTYPE)} for each in dead])
    except PyMongoError as error:  # then they end later, by themselves
        log.warning("transactions.not_ended", reason=str(error))
        return 0
    if dead:
        log.info("transactions.ended", count=len(dead))
    return len(dead)


def _raw(identifier: UUID | Binary) -> bytes:
    return identifier.bytes if isinstance(identifier, UUID) else bytes(identifier)
