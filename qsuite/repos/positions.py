"""Positions as documents, written by the engine's commit.

    {
      "_id": "0199…:IBM", "account": UUID("0199…"), "symbol": "IBM", "quantity": Decimal128("100"),
      "cost": Decimal128("18152.00"), "avg_cost": Decimal128("181.52"), "realized_pnl": Decimal128("0"),
      "commission": Decimal128("0.500"), "updated_at": ISODate("…"), "version": 1
    }

``quantity`` and ``cost`` are below zero when short; ``avg_cost`` is absent while flat. A flat position stays, with what
it realised.
"""

from collections.abc import Iterable
from uuid import UUID

from pymongo import ASCENDING, IndexModel

from qsuite.domain.money import ZERO
from qsuite.domain.times import datetime_to_ns, ns_to_datetime
from qsuite.domain.trading.account import Position
from qsuite.repos.database import Database, Document, translated
from qsuite.repos.decimals import decode_decimal, encode_decimal
from qsuite.repos.schema import CollectionSpec, money, schema


def spec(name: str, holder: str) -> CollectionSpec:
    """Describe a collection of positions, one for each symbol of a ``holder`` (the field that names it)."""
    return CollectionSpec(
        name,
        schema(
            f"{holder} symbol quantity cost realized_pnl updated_at version",
            {
                holder: {"bsonType": "binData"},
                "symbol": {"bsonType": "string"},
                "quantity": money(),
                "cost": money(),
                "avg_cost": money(),
                "realized_pnl": money(),
                "commission": money(),
            },
        ),
        (IndexModel([(holder, ASCENDING), ("symbol", ASCENDING)], name="one_per_symbol", unique=True),),
    )


SPEC = spec("positions", "account")

HELD: Document = {"avg_cost": {"$exists": True}}
"""Which positions are not flat."""


def position_document(position: Position, holder: str = "account") -> Document:
    """Write a position as a whole document."""
    document: Document = {
        "_id": f"{position.account}:{position.symbol}",
        holder: position.account,
        "symbol": position.symbol,
        "quantity": encode_decimal(position.quantity),
        "cost": encode_decimal(position.cost),
        "realized_pnl": encode_decimal(position.realized_pnl),
        "commission": encode_decimal(position.commission),
        "updated_at": ns_to_datetime(position.updated_at),
        "version": position.version,
    }
    average = position.avg_cost
    if average is not None:
        document["avg_cost"] = encode_decimal(average)
    return document


def position_from(document: Document, holder: str = "account") -> Position:
    """Read a position back."""
    return Position(
        account=document[holder],
        symbol=document["symbol"],
        quantity=decode_decimal(document["quantity"]),
        cost=decode_decimal(document["cost"]),
        realized_pnl=decode_decimal(document["realized_pnl"]),
        commission=decode_decimal(document["commission"]) if "commission" in document else ZERO,
        updated_at=datetime_to_ns(document["updated_at"]),
        version=document["version"],
        stored=True,
    )


class PositionsRepo:
    """Read positions."""

    def __init__(self, database: Database) -> None:
        self._positions = database.collection(SPEC.name)

    async def of(self, accounts: Iterable[UUID] | None) -> list[Position]:
        """Return the positions of these accounts (None: of all), flat ones included, by symbol."""
        query: Document = {} if accounts is None else {"account": {"$in": list(accounts)}}
        with translated("positions"):
            cursor = self._positions.find(query).sort([("account", ASCENDING), ("symbol", ASCENDING)])
            return [position_from(document) async for document in cursor]
