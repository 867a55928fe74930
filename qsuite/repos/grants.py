"""The database role that QSuite works under: it does with its own data what it needs, and only adds to the record.

The same as ``config/mongodb/initiate.js`` makes with mongosh; a test compares the two. Invariant: on the collections of
``APPEND_ONLY`` nothing is granted that changes or removes an entry, and nowhere that drops a collection.

    qsuite        serves and migrates
    qsuite-serve  serves alone: for a deployment where `qsuite migrate` runs as another user, beforehand
"""

from typing import Any

from pymongo.errors import OperationFailure, PyMongoError

from qsuite.domain.errors import SetupError
from qsuite.repos import audit, audit_access, tick_feed, ticks
from qsuite.repos.collections import COLLECTIONS
from qsuite.repos.database import Database, Document

ROLE, SERVING = "qsuite", "qsuite-serve"
APPEND_ONLY = (audit.SPEC.name, audit_access.SPEC.name)
EVERYWHERE = (
    *("find", "insert", "createCollection", "createIndex", "dropIndex", "collMod", "listCollections", "listIndexes"),
    *("collStats", "dbStats", "changeStream", "validate"),
)
EVERYWHERE_SERVING = (
    *("find", "insert", "listCollections", "listIndexes"),
    *("collStats", "dbStats", "changeStream", "validate"),
)
AGEING = ticks.NAME
"""Whose time to live follows a setting (`market.ticks_kept_days`), so that serving may change that, and it alone."""
CAPPED = tick_feed.SPEC.name
"""Made as a ring, which needs a right that would let a chain's oldest entries be thrown away: nowhere else."""
CHANGEABLE = ("update", "remove")


def privileges(database: str) -> list[Document]:
    """Return what the role may do, in MongoDB's words."""
    changeable = sorted(spec.name for spec in COLLECTIONS if spec.name not in APPEND_ONLY)
    return [
        {"resource": {"db": database, "collection": ""}, "actions": list(EVERYWHERE)},
        {"resource": {"db": database, "collection": CAPPED}, "actions": ["convertToCapped"]},
        *({"resource": {"db": database, "collection": name}, "actions": list(CHANGEABLE)} for name in changeable),
    ]


def serving_privileges(database: str) -> list[Document]:
    """Return what the role may do that serves and changes no collection, in MongoDB's words."""
    _, _, *changeable = privileges(database)
    return [
        {"resource": {"db": database, "collection": ""}, "actions": list(EVERYWHERE_SERVING)},
        {"resource": {"db": database, "collection": AGEING}, "actions": ["collMod"]},
        *changeable,
    ]


async def grant(admin: Database, database: str, user: str, password: str | None, *, role: str = ROLE) -> bool:
    """Make or renew a role, and the user who has it and nothing else; return whether the user was made.

    ``admin`` is a connection with an administrator's rights. SetupError where it has not, or where a new user gets no
    password.
    """
    return await admin.in_thread(_grant, admin, database, user, password, role)


def _grant(admin: Database, database: str, user: str, password: str | None, role: str) -> bool:
    allowed = privileges(database) if role == ROLE else serving_privileges(database)
    roles = [{"role": "clusterMonitor", "db": "admin"}]
    try:
        db = admin.sync_client.admin
        known = bool(db.command("rolesInfo", role)["roles"])
        db.command("updateRole" if known else "createRole", role, privileges=allowed, roles=roles)
        exists = bool(db.command("usersInfo", user)["users"])
        if not exists and password is None:
            raise SetupError(f"there is no database user {user} yet: give QSUITE_MONGO__GRANT_PASSWORD")
        given: dict[str, Any] = {} if password is None else {"pwd": password}
        db.command("updateUser" if exists else "createUser", user, roles=[{"role": role, "db": "admin"}], **given)
    except OperationFailure as error:
        raise SetupError(f"the role could not be set up: {str(error).partition(', full error')[0]}") from None
    except PyMongoError:
        raise SetupError("the database does not answer at QSUITE_MONGO__ADMIN_URI") from None
    return not exists
