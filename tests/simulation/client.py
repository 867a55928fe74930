"""One simulated process's way to the simulated server: the calls of the driver that the engine's storage makes.

Any statement can fail before or after it was applied, and the answer to a commit can be lost: that says nothing about
whether it was applied, was not, or will be later. A call nobody taught it raises, so that the engine cannot come to
rely on what is not simulated.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from uuid import UUID

from bson.binary import Binary, UuidRepresentation
from pymongo import DeleteOne, InsertOne, ReplaceOne, UpdateOne
from pymongo.errors import AutoReconnect, OperationFailure

from qsuite.repos.database import Document
from tests.simulation.matching import updated
from tests.simulation.server import NO_SUCH_TRANSACTION, Server, Stored, Transaction


class Result(NamedTuple):
    """What a write counts."""

    matched_count: int


class Session:
    """A client's session with at most one transaction."""

    def __init__(self, client: "Client") -> None:
        self._client = client
        self.id = client.new_id()
        self.session_id = {"id": Binary.from_uuid(self.id, UuidRepresentation.STANDARD)}
        self.transaction: Transaction | None = None

    def start_transaction(self, **_: Any) -> None:
        server = self._client.server
        self.transaction = server.sessions[self.id] = Transaction(server.commits)

    def commit_transaction(self) -> None:
        transaction, self.transaction = self.transaction, None
        assert transaction is not None
        self._client.commit(transaction)

    def abort_transaction(self) -> None:
        transaction, self.transaction = self.transaction, None
        if transaction is not None:
            self._client.statement("session", "abort", lambda: self._client.server.abort(transaction))

    def end_session(self) -> None:
        transaction, self.transaction = self.transaction, None
        if transaction is not None:
            self._client.server.abort(transaction)


class Cursor:
    """What a find returns."""

    def __init__(self, found: Callable[[], list[Stored]]) -> None:
        self._found = found
        self._sort: list[tuple[str, int]] = []
        self._rows: Iterator[Document] | None = None

    def hint(self, _: Any) -> "Cursor":
        return self

    def allow_disk_use(self, _: bool) -> "Cursor":
        return self

    def sort(self, by: list[tuple[str, int]]) -> "Cursor":
        self._sort = by
        return self

    def __enter__(self) -> "Cursor":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __iter__(self) -> "Cursor":
        return self

    def __next__(self) -> Document:
        if self._rows is None:
            found = self._found()
            for field, direction in reversed(self._sort):
                found.sort(key=lambda stored: stored.view[field], reverse=direction < 0)
            self._rows = (stored.read() for stored in found)
        return next(self._rows)


class SimulatedCollection:
    """The calls the engine's storage makes on a collection."""

    def __init__(self, client: "Client", name: str) -> None:
        self._client = client
        self._server = client.server
        self._name = name

    def with_options(self, **_: Any) -> "SimulatedCollection":
        return self  # what is read here is always what was written last

    def find(self, query: Document, *_: Any, session: Session | None = None, **__: Any) -> Cursor:
        transaction = session.transaction if session else None
        return Cursor(lambda: self._do("find", lambda: list(self._server.find(self._name, query, transaction))))

    def find_one(self, query: Document, *_: Any, session: Session | None = None) -> Document | None:
        return next(iter(self.find(query, session=session)), None)

    def estimated_document_count(self) -> int:
        return self._do("count", lambda: len(self._server.data.get(self._name, ())))

    def insert_one(self, document: Document, session: Session | None = None) -> None:
        self._do("insert_one", lambda: self._insert(document, session))

    def insert_many(self, documents: list[Document], session: Session | None = None) -> None:
        self._do("insert_many", lambda: [self._insert(document, session) for document in documents])

    def update_one(self, query: Document, update: Any, session: Session | None = None) -> Result:
        return self._do("update_one", lambda: self._update(query, update, session))

    def find_one_and_update(self, query: Document, update: Any, **_: Any) -> Document | None:
        def work() -> Document | None:
            changed = self._update(query, update, None).matched_count
            return next((each.read() for each in self._find({"_id": query["_id"]}, None)), None) if (changed) else None

        return self._do("find_one_and_update", work)

    def bulk_write(self, operations: list[Any], session: Session | None = None) -> Result:
        return self._do("bulk_write", lambda: Result(sum(self._one(each, session) for each in operations)))

    def _do(self, verb: str, work: Callable[[], Any]) -> Any:
        return self._client.statement(self._name, verb, work)

    def _one(self, operation: Any, session: Session | None) -> int:
        match operation:
            case InsertOne():
                self._insert(operation._doc, session)
                return 0
            case UpdateOne():
                return self._update(operation._filter, operation._doc, session).matched_count
            case ReplaceOne():
                return self._write(operation._filter, lambda _: operation._doc, session, upsert=operation._upsert)
            case DeleteOne():
                return self._write(operation._filter, lambda _: None, session)
        raise NotImplementedError(f"the simulated database knows no {type(operation).__name__}")

    def _insert(self, document: Document, session: Session | None) -> None:
        transaction = session.transaction if session else None
        stored = Stored.of(document)
        self._server.check_unique(self._name, stored.view, transaction)
        self._server.put((self._name, stored.view["_id"]), stored, transaction)

    def _update(self, query: Document, update: Any, session: Session | None) -> Result:
        return Result(self._write(query, lambda old: updated(old, update, self._server.now()), session))

    def _write(
        self,
        query: Document,
        change: Callable[[Document], Document | None],
        session: Session | None,
        *,
        upsert: bool = False,
    ) -> int:
        """Change the first document that fits, and say how many that were."""
        transaction = session.transaction if session else None
        if transaction is not None and not transaction.open:
            raise OperationFailure("the transaction was aborted", NO_SUCH_TRANSACTION)
        for stored in self._find(query, transaction):
            document = change(stored.read())
            key = (self._name, stored.view["_id"])
            self._server.put(key, None if document is None else Stored.of(document), transaction)
            return 1
        if upsert and (document := change({})) is not None:
            self._insert(document, session)
        return 0

    def _find(self, query: Document, transaction: Transaction | None) -> Iterator[Stored]:
        return self._server.find(self._name, query, transaction)


class Client:
    """One process's way to the server; also the ``Database`` its store is given.

    ``at`` is told of each statement before and after and may raise instead of letting it pass; ``in_doubt`` decides
    what becomes of a commit: None when all goes well, else whether it is applied (``"applied"``), is not
    (``"lost"``), or will be some time later (``"late"``), while the client hears nothing.
    """

    transactions = True

    def __init__(
        self,
        server: Server,
        new_id: Callable[[], UUID],
        at: Callable[[str], None] = lambda point: None,
        in_doubt: Callable[[Transaction], str | None] = lambda transaction: None,
    ) -> None:
        self.server = server
        self.new_id = new_id
        self._at = at
        self._in_doubt = in_doubt
        self.sync = self
        self.sync_client = self
        self.admin = self
        self._collections: dict[str, SimulatedCollection] = {}

    def __getattr__(self, name: str) -> SimulatedCollection:
        return self[name]

    def __getitem__(self, name: str) -> SimulatedCollection:
        if name not in self._collections:
            self._collections[name] = SimulatedCollection(self, name)
        return self._collections[name]

    def start_session(self) -> Session:
        return Session(self)

    def command(self, name: str, sessions: list[Binary]) -> None:
        if name != "killSessions":
            raise NotImplementedError(f"the simulated database knows no {name}")
        for each in sessions:
            identifier = each["id"].as_uuid() if isinstance(each, dict) else each.as_uuid()
            self.statement("admin", "kill", lambda identifier=identifier: self.server.kill_session(identifier))

    def statement(self, name: str, verb: str, work: Callable[[], Any]) -> Any:
        self._at(f"{name}.{verb}:before")
        result = work()
        self._at(f"{name}.{verb}:after")
        return result

    def commit(self, transaction: Transaction) -> None:
        self._at("commit:before")
        fate = self._in_doubt(transaction)
        if fate in (None, "applied"):
            self.server.commit(transaction)
        if fate is not None:
            raise AutoReconnect(f"connection lost while committing ({fate})")
        self._at("commit:after")
