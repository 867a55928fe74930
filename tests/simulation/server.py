"""A database server in memory, as far as the engine's storage can tell it from MongoDB.

What it keeps of MongoDB's behaviour, because safety rests on it:

- a transaction's writes are seen by nobody else before it commits, all at once or never;
- two writers of one document: inside a transaction the second fails at once, outside it waits for the first, here
  until its time is up;
- a transaction whose client is gone stays open, and holds its locks, until its session is killed or its time is up;
- unique indexes, those of the real specs;
- ``$$NOW`` is the server's own clock.

Documents pass through BSON, so that what MongoDB could not store cannot be stored here either.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import bson
from pymongo.errors import DuplicateKeyError, ExecutionTimeout, OperationFailure

from qsuite.repos.collections import COLLECTIONS
from qsuite.repos.database import CODEC, Document
from tests.simulation.matching import matches

WRITE_CONFLICT, NO_SUCH_TRANSACTION, DUPLICATE_KEY = 112, 251, 11000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Key = tuple[str, Any]


class Stored(NamedTuple):
    """A document as it lies there."""

    view: Document

    @classmethod
    def of(cls, document: Document) -> "Stored":
        """Take a document through BSON: what comes back is what MongoDB would give back."""
        return cls(bson.decode(bson.encode(document, codec_options=CODEC), CODEC))

    def read(self) -> Document:
        """Return a copy to do with as one likes."""
        return _copied(self.view)


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copied(each) if isinstance(each, (dict, list)) else each for name, each in value.items()}
    return [_copied(each) for each in value] if isinstance(value, list) else value


class Unique(NamedTuple):
    """A unique index: its fields, and those that must be there for a document to count."""

    fields: tuple[str, ...]
    required: tuple[str, ...]

    def key(self, document: Document) -> tuple[Any, ...] | None:
        if not all(name in document for name in self.required):
            return None
        return tuple(document.get(name) for name in self.fields)


def unique_indexes() -> dict[str, list[Unique]]:
    """Read the unique indexes from the specs that the real database is set up with."""
    found: dict[str, list[Unique]] = {}
    for spec in COLLECTIONS:
        for index in spec.indexes:
            document = index.document
            if document.get("unique"):
                required = tuple(document.get("partialFilterExpression", {}))
                found.setdefault(spec.name, []).append(Unique(tuple(document["key"]), required))
    return found


UNIQUE = unique_indexes()


class Transaction:
    """Writes not yet seen by anybody else."""

    def __init__(self, began: int) -> None:
        self.began = began
        self.writes: dict[Key, Stored | None] = {}
        self.open = True


class Server:
    """All documents. ``clock`` gives the server's time in nanoseconds."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self.data: dict[str, dict[Any, Stored]] = {}
        self.locks: dict[Key, Transaction] = {}
        self.sessions: dict[UUID, Transaction] = {}
        self.commits = 0
        self._written: dict[Key, int] = {}
        self._keys: dict[tuple[str, Unique, tuple[Any, ...]], Any] = {}

    def now(self) -> datetime:
        return EPOCH + timedelta(milliseconds=self._clock() // 1_000_000)

    # -- reading ------------------------------------------------------------------------------------------------

    def get(self, key: Key, transaction: Transaction | None) -> Stored | None:
        if transaction is not None and key in transaction.writes:
            return transaction.writes[key]
        return self.data.get(key[0], {}).get(key[1])

    def find(self, name: str, query: Document, transaction: Transaction | None) -> Iterator[Stored]:
        """Yield what matches, in the order it was inserted."""
        ids: Iterable[Any] = list(self.data.get(name, ()))
        wanted = query.get("_id")
        if isinstance(wanted, dict) and "$in" in wanted:
            ids = wanted["$in"]
        elif "_id" in query and not isinstance(wanted, dict):
            ids = [wanted]
        elif transaction is not None:
            ids = [*ids, *(key[1] for key in transaction.writes if key[0] == name and key[1] not in self.data[name])]
        for each in ids:
            stored = self.get((name, each), transaction)
            if stored is not None and matches(stored.view, query, self.now()):
                yield stored

    # -- writing ------------------------------------------------------------------------------------------------

    def put(self, key: Key, stored: Stored | None, transaction: Transaction | None) -> None:
        """Write or delete a document, in a transaction or at once."""
        holder = self.locks.get(key)
        if transaction is None:
            if holder is not None:
                raise ExecutionTimeout("waited for a lock until the time was up", 50)
            self._apply(key, stored)
            self.commits += 1
            self._written[key] = self.commits
            return
        if not transaction.open:
            raise OperationFailure("the transaction was aborted", NO_SUCH_TRANSACTION)
        if holder not in (None, transaction) or self._written.get(key, 0) > transaction.began:
            raise OperationFailure("write conflict", WRITE_CONFLICT)
        self.locks[key] = transaction
        transaction.writes[key] = stored

    def check_unique(self, name: str, document: Document, transaction: Transaction | None) -> None:
        key = (name, document["_id"])
        if self.get(key, transaction) is not None:
            raise DuplicateKeyError("duplicate _id", DUPLICATE_KEY)
        pending = transaction.writes.items() if transaction is not None else ()
        for index in UNIQUE.get(name, ()):
            wanted = index.key(document)
            if wanted is None:
                continue
            beside = (each.view for where, each in pending if where[0] == name and each is not None)
            if (name, index, wanted) in self._keys or any(index.key(other) == wanted for other in beside):
                raise DuplicateKeyError(f"duplicate {index.fields}", DUPLICATE_KEY)

    def commit(self, transaction: Transaction) -> None:
        """Make all its writes visible at once."""
        if not transaction.open:
            raise OperationFailure("the transaction was aborted", NO_SUCH_TRANSACTION)
        self.commits += 1
        for key, stored in transaction.writes.items():
            self._apply(key, stored)
            self._written[key] = self.commits
        self._end(transaction)

    def abort(self, transaction: Transaction) -> None:
        if transaction.open:
            self._end(transaction)

    def kill_session(self, session: UUID) -> None:
        transaction = self.sessions.get(session)
        if transaction is not None:
            self.abort(transaction)

    def _end(self, transaction: Transaction) -> None:
        transaction.open = False
        for key in transaction.writes:
            if self.locks.get(key) is transaction:
                del self.locks[key]

    def _apply(self, key: Key, stored: Stored | None) -> None:
        name, identifier = key
        documents = self.data.setdefault(name, {})
        old = documents.get(identifier)
        for index in UNIQUE.get(name, ()):
            if old is not None:
                self._keys.pop((name, index, index.key(old.view) or ()), None)
            if stored is not None and (wanted := index.key(stored.view)) is not None:
                self._keys[name, index, wanted] = identifier
        if stored is None:
            documents.pop(identifier, None)
        else:
            documents[identifier] = stored
