"""Strategies: what trades by itself, for whom, and how much it may risk.

{ _id: UUID("0199…"), name: "Trend of the big four", description: "", is_active: true, risk_limit: Decimal128("50000"),
  algorithm: "sma_cross", symbols: ["AAPL", "IBM"], parameters: { fast: 10, slow: 30, quantity: Decimal128("5") },
  interval: "1d", account: UUID("0199…"), running: true, created_by: UUID("0199…"), created_at: ISODate("…"),
  updated_at: ISODate("…"), version: 3 }
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any
from uuid import UUID

from bson.decimal128 import Decimal128
from pymongo import IndexModel

from qsuite.domain.listing import Condition, Listing, Page
from qsuite.domain.strategies import Strategy
from qsuite.domain.times import datetime_to_ns, ns_to_datetime
from qsuite.repos.database import Database, Document
from qsuite.repos.decimals import decode_decimal, encode_decimal
from qsuite.repos.documents import DocumentRepo
from qsuite.repos.listing import instant, plain
from qsuite.repos.schema import CollectionSpec, money, schema

NAME = "strategies"

SPEC = CollectionSpec(
    NAME,
    schema(
        "_id name is_active risk_limit algorithm symbols parameters interval account running created_by created_at"
        " updated_at version",
        {
            "_id": {"bsonType": "binData"},
            "name": {"bsonType": "string", "minLength": 1},
            "description": {"bsonType": "string"},
            "is_active": {"bsonType": "bool"},
            "risk_limit": money(),
            "algorithm": {"bsonType": "string"},
            "symbols": {"bsonType": "array", "items": {"bsonType": "string"}},
            "parameters": {"bsonType": "object"},
            "interval": {"bsonType": "string"},
            "account": {"bsonType": "binData"},
            "running": {"bsonType": "bool"},
            "created_by": {"bsonType": "binData"},
            "created_at": {"bsonType": "date"},
            "updated_at": {"bsonType": "date"},
            "version": {"bsonType": ["int", "long"], "minimum": 1},
        },
    ),
    (
        IndexModel([("account", 1), ("name", 1), ("_id", 1)], name="of_an_account"),
        IndexModel([("updated_at", 1)], name="changes"),
    ),
)

FIELDS = {
    "id": plain("_id"),
    "name": plain("name"),
    "account": plain("account"),
    "algorithm": plain("algorithm"),
    "symbol": plain("symbols"),
    "is_active": plain("is_active"),
    "running": plain("running"),
    "created_by": plain("created_by"),
    "created_at": instant("created_at"),
    "updated_at": instant("updated_at"),
}


class StrategiesRepo(DocumentRepo[Strategy]):
    """Keep strategies."""

    def __init__(self, database: Database) -> None:
        super().__init__(
            database,
            NAME,
            "strategy",
            to_document=to_document,
            to_domain=to_domain,
            fields=FIELDS,
            search_fields=("name", "description"),
        )

    async def all(self) -> list[Strategy]:
        """Return every strategy."""
        return await self.find_many({})

    async def changed_since(self, ts_ns: int) -> list[Strategy]:
        """Return the strategies changed at or after an instant."""
        return await self.find_many({"updated_at": {"$gte": ns_to_datetime(ts_ns)}})

    async def page_of(self, listing: Listing, accounts: Iterable[UUID] | None) -> Page[Strategy]:
        """Return a page of the strategies on these accounts; None sees all."""
        if accounts is not None:
            listing = listing.where(Condition("account", "in", tuple(accounts)))
        return await self.page(listing)


def to_document(strategy: Strategy) -> Document:
    """Write a strategy as it is stored."""
    return {
        "_id": strategy.id,
        "name": strategy.name,
        "description": strategy.description,
        "is_active": strategy.is_active,
        "risk_limit": encode_decimal(strategy.risk_limit),
        "algorithm": strategy.algorithm,
        "symbols": list(strategy.symbols),
        "parameters": {
            name: encode_decimal(value) if isinstance(value, Decimal) else value
            for name, value in strategy.parameters.items()
        },
        "interval": strategy.interval,
        "account": strategy.account,
        "running": strategy.running,
        "created_by": strategy.created_by,
        "created_at": ns_to_datetime(strategy.created_at),
        "updated_at": ns_to_datetime(strategy.updated_at),
        "version": strategy.version,
    }


def to_domain(document: dict[str, Any]) -> Strategy:
    """Read a stored strategy."""
    return Strategy(
        id=document["_id"],
        name=document["name"],
        description=document.get("description", ""),
        is_active=document["is_active"],
        risk_limit=decode_decimal(document["risk_limit"]),
        algorithm=document["algorithm"],
        symbols=tuple(document["symbols"]),
        parameters={
            name: decode_decimal(value) if isinstance(value, Decimal128) else value
            for name, value in document["parameters"].items()
        },
        interval=document["interval"],
        account=document["account"],
        running=document["running"],
        created_by=document["created_by"],
        created_at=datetime_to_ns(document["created_at"]),
        updated_at=datetime_to_ns(document["updated_at"]),
        version=document["version"],
    )
