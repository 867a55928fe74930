"""The database's roles: QSuite's own, which does what it needs and only adds to the record, and the operators'.

The same as ``config/mongodb/initiate.js`` makes with mongosh; a test compares the two. Invariants: on the collections
of ``APPEND_ONLY`` nothing is granted that changes or removes an entry, and nowhere that drops a collection; operators
read, and not what lets anybody in.

    qsuite       serves and migrates
    qsuiteServe  serves alone: for a deployment where `qsuite migrate` runs as another user, beforehand
    qsuiteOps    reads
"""

from typing import Any

from pymongo.database import Database as SyncDatabase
from pymongo.errors import OperationFailure, PyMongoError

from qsuite.domain.errors import SetupError
from qsuite.repos import api_keys, audit, audit_access, idempotency_keys, second_factors, signing_keys, tick_feed, ticks
from qsuite.repos.collections import COLLECTIONS
from qsuite.repos.database import Database, Document

ROLE = "qsuite"
APPEND_ONLY = (audit.SPEC.name, audit_access.SPEC.name)
EVERYWHERE = (
    *("find", "insert", "createCollection", "createIndex", "dropIndex", "collMod", "listCollections", "listIndexes"),
    *("collStats", "dbStats", "changeStream", "validate"),
)
CAPPED = tick_feed.SPEC.name
"""Made as a ring, which needs a right that would let a chain's oldest entries be thrown away: nowhere else."""
CHANGEABLE = ("update", "remove")

SERVE_ROLE = "qsuiteServe"
EVERYWHERE_SERVING = (
    *("find", "insert", "listCollections", "listIndexes"),
    *("collStats", "dbStats", "changeStream", "validate"),
)
AGEING = ticks.NAME
"""Whose time to live follows a setting (`market.ticks_kept_days`), so that serving may change that, and it alone."""

OPS_ROLE = "qsuiteOps"
SECRET = tuple(each.SPEC.name for each in (api_keys, idempotency_keys, second_factors, signing_keys))
"""What operators do not read: keys, and answers kept for whoever asks twice, in which keys may be."""
OPS_ON_DATABASE = ("listCollections", "listIndexes", "indexStats", "collStats", "dbStats")
OPS_ON_CLUSTER = ("serverStatus", "replSetGetStatus", "inprog", "getLog")


def privileges(database: str) -> list[Document]:
    """Return what the role may do, in MongoDB's words."""
    changeable = sorted(spec.name for spec in COLLECTIONS if spec.name not in APPEND_ONLY)
    return [
        {"resource": {"db": database, "collection": ""}, "actions": list(EVERYWHERE)},
        {"resource": {"db": database, "collection": CAPPED}, "actions": ["convertToCapped"]},
        *({"resource": {"db": database, "collection": name}, "actions": list(CHANGEABLE)} for name in changeable),
    ]


def serving_privileges(database: str) -> list[Document]:
    """Return what the role may do that serves and changes no collection."""
    _, _, *changeable = privileges(database)
    return [
        {"resource": {"db": database, "collection": ""}, "actions": list(EVERYWHERE_SERVING)},
        {"resource": {"db": database, "collection": AGEING}, "actions": ["collMod"]},
        *changeable,
    ]


def ops_privileges(database: str) -> list[Document]:
    """Return what the role of ``ops/mongosh`` may do: read, and see how the server is."""
    readable = sorted(spec.name for spec in COLLECTIONS if spec.name not in SECRET)
    return [
        {"resource": {"db": database, "collection": ""}, "actions": list(OPS_ON_DATABASE)},
        {"resource": {"cluster": True}, "actions": list(OPS_ON_CLUSTER)},
        *({"resource": {"db": database, "collection": name}, "actions": ["find"]} for name in readable),
    ]


async def grant(admin: Database, database: str, user: str, password: str | None, *, role: str = ROLE) -> bool:
    """Make or renew the roles, and the user who has ``role`` and nothing else; return whether the user was made.

    ``admin`` is a connection with an administrator's rights. SetupError where it has not, or where a new user gets no
    password.
    """
    return await admin.in_thread(_grant, admin, database, user, password, role)


def _grant(admin: Database, database: str, user: str, password: str | None, role: str) -> bool:
    monitor = [{"role": "clusterMonitor", "db": "admin"}]
    try:
        db = admin.sync_client.admin
        _put_role(db, ROLE, privileges(database), monitor)
        _put_role(db, SERVE_ROLE, serving_privileges(database), monitor)
        _put_role(db, OPS_ROLE, ops_privileges(database), [])
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


def _put_role(db: SyncDatabase[Document], role: str, allowed: list[Document], roles: list[Document]) -> None:
    known = bool(db.command("rolesInfo", role)["roles"])
    db.command("updateRole" if known else "createRole", role, privileges=allowed, roles=roles)
