"""Positions that each strategy's own orders built up, whatever else its account holds; written by the engine's commit.

    {
      "_id": "0199…:IBM", "strategy": UUID("0199…"), "symbol": "IBM", "quantity": Decimal128("100"),
      "cost": Decimal128("18152.00"), "realized_pnl": Decimal128("0"), "commission": Decimal128("0.500"),
      "updated_at": ISODate("…"), "version": 1
    }

In the domain the same ``Position`` as an account's; its ``account`` is the strategy's id.
"""

from pymongo import ASCENDING, IndexModel

from qsuite.domain.times import datetime_to_ns, ns_to_datetime
from qsuite.domain.trading.account import Position
from qsuite.repos.database import Document
from qsuite.repos.decimals import decode_decimal, encode_decimal
from qsuite.repos.schema import CollectionSpec, money, schema

SPEC = CollectionSpec(
    "strategy_positions",
    schema(
        "strategy symbol quantity cost realized_pnl commission updated_at version",
        {
            "strategy": {"bsonType": "binData"},
            "symbol": {"bsonType": "string"},
            "quantity": money(),
            "cost": money(),
            "realized_pnl": money(),
            "commission": money(),
        },
    ),
    (IndexModel([("strategy", ASCENDING), ("symbol", ASCENDING)], name="one_per_symbol", unique=True),),
)


def position_document(position: Position) -> Document:
    """Write a strategy's position as a whole document."""
    return {
        "_id": f"{position.account}:{position.symbol}",
        "strategy": position.account,
        "symbol": position.symbol,
        "quantity": encode_decimal(position.quantity),
        "cost": encode_decimal(position.cost),
        "realized_pnl": encode_decimal(position.realized_pnl),
        "commission": encode_decimal(position.commission),
        "updated_at": ns_to_datetime(position.updated_at),
        "version": position.version,
    }


def position_from(document: Document) -> Position:
    """Read a strategy's position back."""
    return Position(
        account=document["strategy"],
        symbol=document["symbol"],
        quantity=decode_decimal(document["quantity"]),
        cost=decode_decimal(document["cost"]),
        realized_pnl=decode_decimal(document["realized_pnl"]),
        commission=decode_decimal(document["commission"]),
        updated_at=datetime_to_ns(document["updated_at"]),
        version=document["version"],
        stored=True,
    )
