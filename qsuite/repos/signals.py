"""Signals: what was advised at a bar, and what became of it.

{ _id: UUID("0199…"), strategy: UUID("0198…"), account: UUID("…"), algorithm: "sma_cross", symbol: "IBM",
  interval: "1d", bar: ISODate("2013-10-07T00:00:00Z"), signal: "BUY", confidence: Decimal128("1"),
  price: Decimal128("182.01"), features: { close: 182.01, sma_20: 187.2, sma_50: 187.1, score: 1.0 },
  model: null, status: "ordered", intent: { side: "BUY", quantity: Decimal128("5") }, order: UUID("0199…"),
  reason: null, created_at: ISODate("…") }

``strategy`` and ``account`` are null in what anybody may see. A stored signal never changes but for ``status``,
``order`` and ``reason``, once, when what became of it is known.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from pymongo import IndexModel

from qsuite.domain.analytics.signals import Advice
from qsuite.domain.errors import AlreadyExists
from qsuite.domain.listing import Condition, Listing, Page
from qsuite.domain.signals import Fate, Intent, Signal
from qsuite.domain.times import datetime_to_ns, ns_to_datetime
from qsuite.domain.trading.order import Side
from qsuite.repos.database import Database, Document, translated
from qsuite.repos.decimals import decode_decimal, encode_decimal
from qsuite.repos.listing import FieldMap, find_page, instant, plain
from qsuite.repos.schema import CollectionSpec, money, schema

NAME = "signals"
PLACE = ("strategy", "algorithm", "symbol", "interval", "bar")

SPEC = CollectionSpec(
    NAME,
    schema(
        "_id strategy account algorithm symbol interval bar signal confidence price features status created_at",
        {
            "_id": {"bsonType": "binData"},
            "strategy": {"bsonType": ["binData", "null"]},
            "account": {"bsonType": ["binData", "null"]},
            "algorithm": {"bsonType": "string"},
            "symbol": {"bsonType": "string"},
            "interval": {"bsonType": "string"},
            "bar": {"bsonType": "date"},
            "signal": {"enum": [advice.value for advice in Advice]},
            "confidence": money(),
            "price": money(),
            "features": {"bsonType": "object"},
            "model": {"bsonType": ["binData", "null"]},
            "status": {"enum": [fate.value for fate in Fate]},
            "intent": {"bsonType": ["object", "null"]},
            "order": {"bsonType": ["binData", "null"]},
            "reason": {"bsonType": ["string", "null"]},
            "created_at": {"bsonType": "date"},
        },
    ),
    (
        IndexModel([(name, 1) for name in PLACE], name="one_signal_per_bar", unique=True),
        IndexModel([("created_at", -1), ("_id", -1)], name="newest"),
        IndexModel([("symbol", 1), ("created_at", -1), ("_id", -1)], name="of_a_symbol"),
        IndexModel([("strategy", 1), ("created_at", -1), ("_id", -1)], name="of_a_strategy"),
        IndexModel([("status", 1)], name="pending", partialFilterExpression={"status": Fate.PENDING.value}),
    ),
)

FIELDS: dict[str, FieldMap] = {
    "id": plain("_id"),
    "strategy": plain("strategy"),
    "account": plain("account"),
    "algorithm": plain("algorithm"),
    "symbol": plain("symbol"),
    "interval": plain("interval"),
    "signal": plain("signal"),
    "status": plain("status"),
    "bar": instant("bar"),
    "created_at": instant("created_at"),
}


class SignalsRepo:
    """Keep signals. A list names the accounts it may see beside the public ones; None sees all."""

    def __init__(self, database: Database) -> None:
        self._signals = database.collection(NAME)

    async def add(self, signal: Signal) -> bool:
        """Store a signal; False when there is one for its bar already."""
        try:
            with translated("signal"):
                await self._signals.insert_one(to_document(signal))
        except AlreadyExists:
            return False
        return True

    async def find_at(self, signal: Signal) -> Signal | None:
        """Return the stored signal for the same strategy, algorithm, symbol, interval and bar, or None."""
        document = to_document(signal)
        with translated("signal"):
            found = await self._signals.find_one({name: document[name] for name in PLACE})
        return None if found is None else to_domain(found)

    async def settle(self, signal: Signal) -> bool:
        """Write down what became of a pending signal; False when that was known before."""
        changes = {"status": signal.status.value, "order": signal.order, "reason": signal.reason}
        with translated("signal"):
            result = await self._signals.update_one({"_id": signal.id, "status": Fate.PENDING.value}, {"$set": changes})
        return bool(result.modified_count)

    async def pending(self, limit: int) -> list[Signal]:
        """Return signals of which it is not known what became of them, the oldest first."""
        with translated("signals"):
            found = self._signals.find({"status": Fate.PENDING.value}).sort("_id", 1).limit(limit)
            documents = await found.to_list(limit)
        return [to_domain(document) for document in documents]

    async def newest(self, symbols: Sequence[str] | None, limit: int) -> list[Signal]:
        """Return the newest public signals, of some symbols or of all, newest first."""
        query: Document = {"strategy": None}
        if symbols is not None:
            query["symbol"] = {"$in": list(symbols)}
        with translated("signals"):
            found = self._signals.find(query).sort([("created_at", -1), ("_id", -1)]).limit(limit)
            documents = await found.to_list(limit)
        return [to_domain(document) for document in documents]

    async def public_since(self, since_ns: int) -> list[Signal]:
        """Return the public signals made at an instant or later, oldest first."""
        query: Document = {"strategy": None, "created_at": {"$gte": ns_to_datetime(since_ns)}}
        with translated("signals"):
            found = self._signals.find(query).sort([("created_at", 1), ("_id", 1)])
            documents = await found.to_list(None)
        return [to_domain(document) for document in documents]

    async def page(self, listing: Listing, accounts: Iterable[UUID] | None) -> Page[Signal]:
        """Return a page of signals."""
        if accounts is not None:
            listing = listing.where(Condition("account", "in", (None, *accounts)))
        return await find_page(self._signals, listing, to_domain=to_domain, fields=FIELDS)


def to_document(signal: Signal) -> Document:
    """Write a signal as it is stored."""
    intent = signal.intent
    return {
        "_id": signal.id,
        "strategy": signal.strategy,
        "account": signal.account,
        "algorithm": signal.algorithm,
        "symbol": signal.symbol,
        "interval": signal.interval,
        "bar": ns_to_datetime(signal.bar),
        "signal": signal.signal.value,
        "confidence": encode_decimal(signal.confidence),
        "price": encode_decimal(signal.price),
        "features": dict(signal.features),
        "model": signal.model,
        "status": signal.status.value,
        "intent": None if intent is None else _intent_document(intent),
        "order": signal.order,
        "reason": signal.reason,
        "created_at": ns_to_datetime(signal.created_at),
    }


def to_domain(document: dict[str, Any]) -> Signal:
    """Read a stored signal."""
    intent = document["intent"]
    return Signal(
        id=document["_id"],
        strategy=document["strategy"],
        account=document["account"],
        algorithm=document["algorithm"],
        symbol=document["symbol"],
        interval=document["interval"],
        bar=datetime_to_ns(document["bar"]),
        signal=Advice(document["signal"]),
        confidence=decode_decimal(document["confidence"]),
        price=decode_decimal(document["price"]),
        features=document["features"],
        model=document.get("model"),  # signals of before there were any do not name one
        status=Fate(document["status"]),
        intent=None if intent is None else Intent(Side(intent["side"]), decode_decimal(intent["quantity"])),
        order=document["order"],
        reason=document["reason"],
        created_at=datetime_to_ns(document["created_at"]),
    )


def _intent_document(intent: Intent) -> Document:
    return {"side": intent.side.value, "quantity": encode_decimal(intent.quantity)}
