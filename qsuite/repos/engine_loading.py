"""What the engine reads from storage: all that is open when it recovers, later what a batch needs and memory lacks.

Every function takes the synchronous database and blocks; it runs in a thread of the engine.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple
from uuid import UUID

from pymongo.database import Database as SyncDatabase

from qsuite.domain.trading.account import Account, Position
from qsuite.domain.trading.changes import Missing
from qsuite.domain.trading.commands import TradingHalt
from qsuite.domain.trading.order import Order
from qsuite.domain.trading.risk import ScopeLimits
from qsuite.repos import accounts, halts, orders, positions, risk_limits, strategy_positions
from qsuite.repos.database import Document, translated

# Documents are decoded a batch at a time without letting other threads run: short batches keep the loop free.
DECODED_AT_ONCE = 1_000


class Loaded(NamedTuple):
    """What was read for the engine's memory, in the order that ``TradingState.load`` takes it."""

    accounts: list[Account]
    positions: list[Position]
    orders: list[Order]
    strategy_positions: list[Position]
    strategies: list[UUID]


def load_open(db: SyncDatabase[Document]) -> Loaded:
    """Load every open order by arrival, with all accounts and strategies that have one or hold anything."""
    stored = db.orders.find({"status": {"$in": orders.OPEN_STATUSES}}, batch_size=DECODED_AT_ONCE)
    found = [orders.order_from(document) for document in stored]
    found.sort(key=lambda order: (order.arrival, order.id))
    holders = {document["account"] for document in db.positions.find(positions.HELD, {"account": 1})}
    loaded, held = load_accounts(db, {order.account for order in found} | holders)
    strategies = {order.strategy for order in found if order.strategy is not None}
    return Loaded(loaded, held, found, *load_strategies(db, strategies))


def load_controls(db: SyncDatabase[Document]) -> tuple[list[TradingHalt], list[ScopeLimits]]:
    """Load the thrown kill switches and the limits of every scope."""
    found = list(db.risk_limits.find({}))
    thrown = [halts.halt_from(document) for document in found if halts.is_halt(document)]
    return thrown, [risk_limits.limits_from(document) for document in found if not halts.is_halt(document)]


def load_missing(db: SyncDatabase[Document], missing: Missing) -> Loaded:
    """Load what a batch needs; what is not there stays missing."""
    loaded, held = load_accounts(db, missing.accounts)
    found = [orders.order_from(document) for query in _order_queries(missing) for document in db.orders.find(query)]
    return Loaded(loaded, held, found, *load_strategies(db, missing.strategies))


def load_accounts(db: SyncDatabase[Document], ids: Iterable[UUID]) -> tuple[list[Account], list[Position]]:
    """Load accounts with all they ever held."""
    wanted = list(ids)
    if not wanted:
        return [], []
    found = db.accounts.find({"_id": {"$in": wanted}})
    held = db.positions.find({"account": {"$in": wanted}})
    return [accounts.account_from(doc) for doc in found], [positions.position_from(doc) for doc in held]


def load_strategies(db: SyncDatabase[Document], ids: Iterable[UUID]) -> tuple[list[Position], list[UUID]]:
    """Load what strategies hold, and return it with the ids asked for: they are known from then on."""
    wanted = list(ids)
    if not wanted:
        return [], []
    found = db.strategy_positions.find({"strategy": {"$in": wanted}})
    return [strategy_positions.position_from(document) for document in found], wanted


def client_ids(db: SyncDatabase[Document], slice_size: int) -> Iterator[list[tuple[UUID, str]]]:
    """Read every client order id with its account, from the index alone, in slices."""
    found = db.orders.find(
        {"client_order_id": {"$exists": True}},
        {"_id": 0, "account": 1, "client_order_id": 1},
        batch_size=slice_size,
    ).hint(orders.CLIENT_ID_INDEX)
    with found, translated("orders"):
        while rows := [(row["account"], row["client_order_id"]) for row in islice(found, slice_size)]:
            yield rows


def _order_queries(missing: Missing) -> list[Document]:
    queries: list[Document] = []
    if missing.orders:
        queries.append({"_id": {"$in": list(missing.orders)}})
    by_account: dict[UUID, list[str]] = {}
    for account, client_order_id in missing.client_ids:
        by_account.setdefault(account, []).append(client_order_id)
    queries += [
        {"account": account, "client_order_id": {"$in": client_ids}} for account, client_ids in by_account.items()
    ]
    return queries
