"""Refuse a MongoDB that cannot keep QSuite's promises, before anything is written to it.

Invariant: what serves real orders is a replica set (transactions, majority writes) of a version with time series. With
less, 100 of 100 acknowledged orders were lost when a server was killed; so there is no switch to go on without.
"""

from pymongo.errors import ConfigurationError, InvalidURI, PyMongoError

from qsuite.domain.errors import SetupError
from qsuite.repos.database import Database, connect

WIRE_VERSION_5_0 = 13  # time-series collections came with it


def connect_to(uri: str, name: str, *, pool_size: int, timeout_s: float) -> Database:
    """Open a client. SetupError when the address cannot even be read; the address itself is not repeated."""
    try:
        return connect(uri, name, pool_size=pool_size, timeout_s=timeout_s)
    except (ConfigurationError, InvalidURI, ValueError) as error:
        raise SetupError(
            f"QSUITE_MONGODB_URI is not a usable MongoDB address: {str(error).replace(uri, 'it')}"
        ) from None


async def require_replica_set(database: Database) -> str:
    """Return the server's version. SetupError if it does not answer or is less than QSuite needs."""
    if not database.transactions:
        return "in memory"
    admin = database.client.admin
    try:
        hello = await admin.command("hello")
        version = str((await admin.command("buildInfo"))["version"])
    except PyMongoError as error:
        raise SetupError(f"the database does not answer: {_first_reason(error)}") from None
    if hello.get("maxWireVersion", 0) < WIRE_VERSION_5_0:
        raise SetupError(f"MongoDB {version} is too old; QSuite needs 5.0 or newer")
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        raise SetupError(
            "this MongoDB is a single server without transactions; start it with --replSet and run rs.initiate() on it"
        )
    return version


def _first_reason(error: PyMongoError) -> str:
    """Keep the host and the reason of the driver's text, which goes on with settings and the whole topology."""
    return str(error).partition(" (configured timeouts")[0].partition(", Timeout:")[0].partition(", full error")[0]
