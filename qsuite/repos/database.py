"""The connection to MongoDB: one Motor client, majority writes with journal, errors turned into QSuite's own.

One of the two files that name Motor. Motor runs each call in a thread; a unit of work made of many calls (the
engine's commit) therefore takes the client underneath, ``sync``, and runs whole in one thread (``in_thread``).
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar
from urllib.parse import urlsplit

import bson
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from bson.errors import InvalidDocument
from pymongo import MongoClient, ReadPreference, WriteConcern
from pymongo.database import Database as SyncDatabase
from pymongo.errors import (
    BulkWriteError,
    DocumentTooLarge,
    DuplicateKeyError,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WriteError,
)
from pymongo.read_concern import ReadConcern

from qsuite.domain.errors import AlreadyExists, Invalid, Unavailable
from qsuite.domain.times import datetime_to_ns
from qsuite.repos.monitoring import DatabaseFigures

os.environ.setdefault("MOTOR_MAX_WORKERS", "32")  # read by Motor when it is imported
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorClientSession, AsyncIOMotorCollection

P = ParamSpec("P")
T = TypeVar("T")
Document = dict[str, Any]
if TYPE_CHECKING:  # the classes take no parameters when they run
    Collection: TypeAlias = AsyncIOMotorCollection[Document]
else:
    Collection = AsyncIOMotorCollection

Session: TypeAlias = AsyncIOMotorClientSession | None
"""A transaction under way, for a repo to take part in; None for none, as always in memory."""

CODEC: CodecOptions[Document] = CodecOptions(tz_aware=True, uuid_representation=UuidRepresentation.STANDARD)
DURABLE = WriteConcern(w="majority", j=True)
DOCUMENT_VALIDATION_FAILURE = 121
NO_ROOM = (8, 14031)
"""What a write is refused with just before a full disk ends mongod: an error of the system's, or out of disk space."""
READERS = 2


@dataclass(frozen=True, slots=True)
class Address:
    """What a process needs to open the same database. It may hold a password, so it does not show."""

    uri: str = field(repr=False)
    name: str

    @property
    def sendable(self) -> "Address":
        """Return it as it may go over a network: with a password, which stays here, there is no address."""
        return Address("", self.name) if urlsplit(self.uri).password else self


class Database:
    """One database. ``collection(name)`` for single calls, ``sync`` and ``in_thread`` for units of work."""

    def __init__(
        self,
        client: Any,
        name: str,
        *,
        transactions: bool = True,
        workers: int = 8,
        address: Address | None = None,
        figures: DatabaseFigures | None = None,
    ) -> None:
        self.client = client
        self.name = name
        self.figures = figures
        """What the driver told of its commands and connections; None in memory, where there are none."""
        self.address = address
        """Where other processes find it; None where none can."""
        self.transactions = transactions
        self._db: Any = client.get_database(
            name,
            # mongomock keeps UUIDs as they are and refuses to hear of representations.
            codec_options=CODEC if transactions else CodecOptions(tz_aware=True),
            **({"write_concern": DURABLE, "read_concern": ReadConcern("majority")} if transactions else {}),
        )
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="qsuite-db")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="qsuite-read")

    def collection(self, name: str) -> Collection:
        """Return an asynchronous collection."""
        found: Collection = self._db[name]
        return found

    @property
    def sync(self) -> SyncDatabase[Document]:
        """Return the same database on the synchronous client, for use in a thread only."""
        db: SyncDatabase[Document] = self._db.delegate
        return db

    @property
    def sync_client(self) -> MongoClient[Document]:
        """Return the synchronous client, which sessions are started on."""
        client: MongoClient[Document] = self.client.delegate
        return client

    async def in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run blocking database work in a thread of its own pool, away from Motor's."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: work(*args, **kwargs))

    async def in_reader(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run long reading in one of two threads kept for that, where it holds up no writing."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, lambda: work(*args, **kwargs))

    async def ping(self) -> None:
        """Ask the server for a sign of life. Unavailable if there is none."""
        with translated():
            await self._db.command("ping")

    async def time(self) -> int:
        """Return the server's time, in nanoseconds since 1970, exact to its milliseconds."""
        with translated():
            # A command reads dates as the driver does by default, without a zone.
            hello = await self._db.command("hello", codec_options=self._db.codec_options)
        return datetime_to_ns(hello["localTime"])

    async def disk_free(self) -> float:
        """Return the free share of the primary's disk. Unavailable where the server does not tell."""
        with translated():
            stats = await self._db.command("dbStats")
        if not stats.get("fsTotalSize"):
            raise Unavailable("the database does not tell how full its disk is")
        return 1.0 - float(stats["fsUsedSize"]) / float(stats["fsTotalSize"])

    def close(self) -> None:
        """Close the connections and end the threads."""
        self._readers.shutdown(wait=True, cancel_futures=True)
        self._threads.shutdown(wait=True, cancel_futures=True)
        self.client.close()


def connect(uri: str, name: str, *, pool_size: int = 32, timeout_s: float = 5.0) -> Database:
    """Open a client with bounded waits everywhere (fact: the defaults freeze for 27 s behind a frozen primary)."""
    figures = DatabaseFigures()
    client: Any = AsyncIOMotorClient(
        uri,
        event_listeners=figures.listeners,
        maxPoolSize=pool_size,
        timeoutMS=int(timeout_s * 1000),
        connectTimeoutMS=1000,
        serverSelectionTimeoutMS=int(timeout_s * 1000),
        heartbeatFrequencyMS=1000,
        retryWrites=True,
        retryReads=True,
        tz_aware=True,
        uuidRepresentation="standard",
        appname="qsuite",
        readPreference=ReadPreference.PRIMARY.mongos_mode,
    )
    figures.of(client.delegate)
    return Database(client, name, address=Address(uri, name), figures=figures)


def in_memory(name: str = "qsuite") -> Database:
    """Open the last resort: mongomock-motor, without transactions, and nothing is kept."""
    # Only needed where no mongod can be had.
    from mongomock_motor import AsyncMongoMockClient

    mock: Any = import_module("mongomock.collection")
    mock.BSON = _StandardBson
    return Database(AsyncMongoMockClient(tz_aware=True), name, transactions=False)


class _StandardBson:
    """What mongomock checks documents with: its own check knows no UUIDs, and every id is one."""

    @staticmethod
    def encode(document: Document, check_keys: bool = False) -> bytes:
        return bson.encode(document, check_keys, CODEC)


@contextmanager
def translated(what: str = "") -> Iterator[None]:
    """Turn driver errors inside the block into QSuite's own, so that no other package names the driver."""
    try:
        yield
    except DuplicateKeyError as error:
        raise AlreadyExists(f"{what or 'it'} already exists", **_duplicate_facts(error.details)) from None
    except BulkWriteError as error:
        first = (error.details.get("writeErrors") or [{}])[0]
        if first.get("code") in NO_ROOM:
            raise Unavailable("the database has no room left") from error
        if first.get("code") == 11000:
            raise AlreadyExists(f"{what or 'it'} already exists", **_duplicate_facts(first)) from None
        raise Invalid(f"{what or 'it'} was refused by the database") from error
    except (DocumentTooLarge, InvalidDocument, WriteError, OverflowError) as error:
        if isinstance(error, WriteError) and error.code in NO_ROOM:
            raise Unavailable("the database has no room left") from error
        raise Invalid(f"{what or 'it'} cannot be stored") from error
    except ExecutionTimeout as error:
        raise Unavailable("the database took too long") from error
    except OperationFailure as error:
        if error.code == DOCUMENT_VALIDATION_FAILURE:
            raise Invalid(f"{what or 'it'} does not fit the collection") from error
        raise Unavailable("the database refused the operation") from error
    except PyMongoError as error:
        raise Unavailable("the database is away") from error


def _duplicate_facts(details: Any) -> dict[str, Any]:
    pattern = (details or {}).get("keyPattern") or {}
    return {"fields": sorted(pattern)} if pattern else {}
