"""Read the books for ``qsuite check``: every order, execution, account, position and audit entry, as of one instant.

Invariant: all of it is read from one snapshot, so that a check beside a running engine sees whole batches only; and it
is read in the order of an index, row by row, so that memory does not grow with the books.

Shares no code with the engine's storage: what reads the books to judge them must not inherit a fault of what wrote
them. Synchronous, for a thread of its own.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from bson.decimal128 import Decimal128
from pymongo.client_session import ClientSession
from pymongo.errors import OperationFailure

from qsuite.domain.errors import Invalid, Unavailable
from qsuite.repos.database import Database, Document, translated

SNAPSHOT_TOO_OLD = 239
MS_PER_S = 1000


class OrderRow(NamedTuple):
    """An order as it is stored; ``reject`` is the code of the control that refused it."""

    id: UUID
    account: UUID
    symbol: str
    side: str
    quantity: Decimal
    status: str
    filled_quantity: Decimal
    filled_value: Decimal
    avg_fill_price: Decimal | None
    commission: Decimal
    reserved: Decimal
    version: int
    reject: str | None
    strategy: UUID | None
    reduce_only: bool


class ExecutionRow(NamedTuple):
    """An execution as it is stored."""

    id: UUID
    order: UUID
    account: UUID
    symbol: str
    side: str
    quantity: Decimal
    price: Decimal
    commission: Decimal
    postings: dict[str, Decimal]


class AccountRow(NamedTuple):
    """An account as it is stored."""

    id: UUID
    cash: Decimal
    deposited: Decimal
    reserved: Decimal
    realized_pnl: Decimal
    commission: Decimal


class PositionRow(NamedTuple):
    """A position as it is stored; ``account`` holds it, of a strategy's own position the strategy."""

    account: UUID
    symbol: str
    quantity: Decimal
    cost: Decimal
    avg_cost: Decimal | None
    realized_pnl: Decimal
    commission: Decimal | None


class EntryRow(NamedTuple):
    """An audit entry as it is stored; ``ts_ms`` since the epoch."""

    seq: int
    ts_ms: int
    kind: str
    actor: str
    subject: str
    account: str
    facts: dict[str, Any]
    prev_hash: str
    hash: str


class EngineRow(NamedTuple):
    """Where the engine says the audit chain ends."""

    batch: int
    audit_seq: int
    audit_hash: str


ORDER_FIELDS = {name: 1 for name in OrderRow._fields if name != "id"}
EXECUTION_FIELDS = {name: 1 for name in ExecutionRow._fields if name != "id"}


class BooksReader:
    """Read each kind of row, sorted as said. ``open_books`` makes one."""

    def __init__(self, database: Database, session: ClientSession | None) -> None:
        self._db = database.sync
        self._session = session

    def orders(self) -> Iterator[OrderRow]:
        """Yield every order by id."""
        return map(_order, self._find("orders", {}, [("_id", 1)], ORDER_FIELDS))

    def executions(self) -> Iterator[ExecutionRow]:
        """Yield every execution by the id of its order."""
        return map(_execution, self._find("executions", {}, [("order", 1)], EXECUTION_FIELDS))

    def executions_of(self, ids: Iterable[UUID]) -> dict[UUID, ExecutionRow]:
        """Return those of these executions that are there."""
        found = self._find("executions", {"_id": {"$in": list(ids)}}, [], EXECUTION_FIELDS)
        return {row.id: row for row in map(_execution, found)}

    def order_steps(self) -> Iterator[EntryRow]:
        """Yield the audit entries of orders by subject, then by sequence."""
        return map(_entry, self._find("audit_log", {"kind": {"$regex": "^order\\."}}, [("subject", 1), ("_id", 1)]))

    def entries(self) -> Iterator[EntryRow]:
        """Yield every audit entry by sequence."""
        return map(_entry, self._find("audit_log", {}, [("_id", 1)]))

    def accounts(self) -> Iterator[AccountRow]:
        """Yield every account."""
        return map(_account, self._find("accounts", {}, []))

    def positions(self) -> Iterator[PositionRow]:
        """Yield every position."""
        return map(_position, self._find("positions", {}, []))

    def strategy_positions(self) -> Iterator[PositionRow]:
        """Yield what each strategy's own orders built up."""
        return map(_strategy_position, self._find("strategy_positions", {}, []))

    def client_ids(self) -> Iterator[tuple[UUID, str]]:
        """Yield account and client id of every order that has one, sorted."""
        query = {"client_order_id": {"$type": "string"}}
        sort = [("account", 1), ("client_order_id", 1)]
        for document in self._find("orders", query, sort, {"_id": 0, "account": 1, "client_order_id": 1}):
            yield document["account"], document["client_order_id"]

    def engine(self) -> EngineRow | None:
        """Return the engine's own state, None before its first start."""
        for document in self._find("engine_state", {"_id": "engine"}, []):
            return EngineRow(document["batch"], document["audit_seq"], document["audit_hash"])
        return None

    def _find(
        self, name: str, query: Document, sort: list[tuple[str, int]], fields: Document | None = None
    ) -> Iterator[Document]:
        cursor = self._db[name].find(query, fields, session=self._session)
        if sort:
            cursor = cursor.sort(sort).allow_disk_use(True)
        with translated(name):
            try:
                yield from cursor
            except OperationFailure as error:
                if error.code == SNAPSHOT_TOO_OLD:
                    raise Unavailable(
                        "the books are too large to be read within the database's snapshot window; raise its"
                        " minSnapshotHistoryWindowInSeconds, or check a restored copy"
                    ) from None
                raise


@contextmanager
def open_books(database: Database) -> Iterator[BooksReader]:
    """Open the books as they are now; the in-memory database has no snapshots and is read as it is."""
    if not database.transactions:
        yield BooksReader(database, None)
        return
    with database.sync_client.start_session(snapshot=True) as session:
        yield BooksReader(database, session)


def _money(value: Any) -> Decimal:
    if not isinstance(value, Decimal128):
        raise Invalid(f"{value!r} is stored where a Decimal128 belongs")
    return _decoded(value.bid)


@lru_cache(maxsize=65_536)
def _decoded(bid: bytes) -> Decimal:
    """Let the driver decode, which takes a tenth of a check's time unless what repeats is remembered."""
    return Decimal128.from_bid(bid).to_decimal()


def _maybe_money(value: Any) -> Decimal | None:
    return None if value is None else _money(value)


def _order(document: Document) -> OrderRow:
    return OrderRow(
        document["_id"],
        document["account"],
        document["symbol"],
        document["side"],
        _money(document["quantity"]),
        document["status"],
        _money(document["filled_quantity"]),
        _money(document["filled_value"]),
        _maybe_money(document.get("avg_fill_price")),
        _money(document["commission"]),
        _money(document["reserved"]),
        document["version"],
        (document.get("reject") or {}).get("code"),
        document.get("strategy"),
        document.get("reduce_only", False),
    )


def _execution(document: Document) -> ExecutionRow:
    return ExecutionRow(
        document["_id"],
        document["order"],
        document["account"],
        document["symbol"],
        document["side"],
        _money(document["quantity"]),
        _money(document["price"]),
        _money(document["commission"]),
        {name: _money(value) for name, value in document.get("postings", {}).items()},
    )


def _account(document: Document) -> AccountRow:
    names = ("cash", "deposited", "reserved", "realized_pnl", "commission")
    return AccountRow(document["_id"], *(_money(document[name]) for name in names))


def _position(document: Document) -> PositionRow:
    return PositionRow(
        document["account"],
        document["symbol"],
        _money(document["quantity"]),
        _money(document["cost"]),
        _maybe_money(document.get("avg_cost")),
        _money(document["realized_pnl"]),
        _maybe_money(document.get("commission")),
    )


def _strategy_position(document: Document) -> PositionRow:
    return PositionRow(
        document["strategy"],
        document["symbol"],
        _money(document["quantity"]),
        _money(document["cost"]),
        None,
        _money(document["realized_pnl"]),
        _money(document["commission"]),
    )


def _entry(document: Document) -> EntryRow:
    return EntryRow(
        document["_id"],
        round(document["ts"].timestamp() * MS_PER_S),
        document["kind"],
        document["actor"],
        document["subject"],
        document["account"],
        document["facts"],
        document["prev_hash"],
        document["hash"],
    )
