"""Find the database a command works on, whether or not a server runs beside it.

    QSUITE_MONGODB_URI set               that one
    a server on the same data directory  that server's
    a mongod can be had                  an embedded one, for as long as the command runs
    else                                 in memory, with a loud warning that nothing is kept

Invariant: two processes never start a mongod on one directory, and none is left running behind a command.
"""

import asyncio
import getpass
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import click

from qsuite.domain.errors import SetupError
from qsuite.services.data_dir import DataDirLock, Runtime, lock_holder, read_runtime, write_runtime
from qsuite.settings import Settings

if TYPE_CHECKING:
    from qsuite.repos.database import Database
    from qsuite.services.audit_trail import Origin
    from qsuite.services.embedded_mongod import EmbeddedMongod

STARTING_S = 10.0
"""A server that holds the directory tells its database within this, else it does not come up."""


def command_origin() -> "Origin":
    """Return who the audit record names for what a command changes: the user of the machine."""
    from qsuite.services.audit_trail import Origin

    return Origin(actor_name=f"{getpass.getuser()} (command)", address=socket.gethostname())


@asynccontextmanager
async def open_database(settings: Settings, *, migrated: bool = True) -> AsyncIterator["Database"]:
    """Connect a command to its database, validators and indexes up to date if it wants them so.

    SetupError when the database cannot be had, Unavailable when it does not answer.
    """
    found = settings.mongodb_uri or await _server_database(settings)
    if found is not None:
        async with prepare_database(settings, found, migrated=migrated) as database:
            yield database
        return
    with own_database(settings) as mongod:
        uri = None if mongod is None else mongod.uri
        async with prepare_database(settings, uri, migrated=migrated) as database:
            yield database


@asynccontextmanager
async def prepare_database(settings: Settings, uri: str | None, *, migrated: bool = True) -> AsyncIterator["Database"]:
    """Connect to ``uri`` (None: in memory) and bring its collections up to date; close it in the end."""
    from qsuite.repos.collections import collections_of
    from qsuite.repos.database import in_memory
    from qsuite.repos.deployment import connect_to, require_replica_set
    from qsuite.repos.schema import migrate, require_migrated

    if uri is None:
        database = in_memory(settings.database)
    else:
        mongo = settings.mongo
        database = connect_to(uri, settings.database, pool_size=mongo.pool_size, timeout_s=mongo.timeout_s)
    try:
        await require_replica_set(database)
        if migrated:
            bring_up = migrate if settings.migrate.at_start else require_migrated
            await bring_up(database, collections_of(database))
        yield database
    finally:
        database.close()


@contextmanager
def own_database(
    settings: Settings, *, meanwhile: Callable[[], None] = lambda: None
) -> Iterator["EmbeddedMongod | None"]:
    """Own the data directory and run a mongod on it; yield it, or None where no mongod can be had.

    ``meanwhile`` is called once the directory is ours, before mongod is waited for. Call this on the main thread, which
    the kernel ties mongod's life to. SetupError when the directory is taken.
    """
    from qsuite.services.embedded_mongod import EmbeddedMongod, find_mongod

    with DataDirLock(settings.data_dir):
        meanwhile()
        binary = find_mongod(settings.mongod)
        if binary is None:
            warn_of_memory()
            write_runtime(settings.data_dir, Runtime(os.getpid(), ""))
            yield None
            return
        mongod = EmbeddedMongod(binary, settings.data_dir, cache_gib=settings.mongo.cache_gib)
        try:
            mongod.start()
        except SetupError as error:
            if error.code != "setup.mongod_unusable" or settings.mongod is not None or _has_data(mongod):
                raise
            click.echo(error.detail, err=True)
            warn_of_memory()
            write_runtime(settings.data_dir, Runtime(os.getpid(), ""))
            yield None
            return
        try:
            write_runtime(settings.data_dir, Runtime(os.getpid(), mongod.uri))
            yield mongod
        finally:
            mongod.stop()


def _has_data(mongod: "EmbeddedMongod") -> bool:
    """Say whether something was kept before, which must not seem to be lost."""
    return any(mongod.db_path.glob("WiredTiger*"))


def warn_of_memory() -> None:
    """Say that nothing will be kept."""
    click.secho(
        "WARNING: no mongod was found, so everything is held in memory and NOTHING IS KEPT.\n"
        "         Install MongoDB, or name its program with QSUITE_MONGOD, or a server with QSUITE_MONGODB_URI.",
        fg="red",
        bold=True,
        err=True,
    )


async def _server_database(settings: Settings) -> str | None:
    """Return the database of the server that holds the data directory; None when nobody does."""
    deadline = time.monotonic() + STARTING_S
    while lock_holder(settings.data_dir) is not None:
        runtime = read_runtime(settings.data_dir)
        if runtime is not None and runtime.address:
            if not runtime.mongodb_uri:
                raise SetupError(f"the server at {runtime.address} keeps all in memory, where no command can reach it")
            return runtime.mongodb_uri
        if time.monotonic() > deadline:
            break  # taking the lock says who has it
        await asyncio.sleep(0.05)
    return None
