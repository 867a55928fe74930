"""What can be traded.

{ _id: UUID("0192f8a0-…"), symbol: "AAPL", name: "Apple Inc.", description: "", currency: "USD",
  data_source: UUID("0192f89f-…"), is_active: true, restricted: false, tick_size: Decimal128("0.01"),
  lot_size: Decimal128("1"), execution_mode: "paper", calendar: "XNYS",
  commission: { model: "percent", percent: Decimal128("0.1") }, fill: { participation: Decimal128("0.25") },
  created_at: ISODate("…"), updated_at: ISODate("…"), version: 1 }
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from pymongo import IndexModel

from qsuite.domain.reference import ALWAYS_OPEN, Ticker
from qsuite.domain.times import datetime_to_ns, ns_to_datetime
from qsuite.repos.database import Database, Document, translated
from qsuite.repos.decimals import decode_decimal, decode_decimals, encode_decimal, encode_decimals
from qsuite.repos.documents import DocumentRepo
from qsuite.repos.listing import instant, plain
from qsuite.repos.schema import CollectionSpec, money, schema

NAME = "tickers"

SPEC = CollectionSpec(
    NAME,
    schema(
        ["_id", "symbol", "name", "currency", "is_active", "tick_size", "lot_size", "execution_mode", "version"],
        {
            "_id": {"bsonType": "binData"},
            "symbol": {"bsonType": "string", "minLength": 1},
            "name": {"bsonType": "string"},
            "description": {"bsonType": "string"},
            "currency": {"bsonType": "string"},
            "data_source": {"bsonType": ["binData", "null"]},
            "is_active": {"bsonType": "bool"},
            "restricted": {"bsonType": "bool"},
            "tick_size": money(),
            "lot_size": money(),
            "execution_mode": {"enum": ["paper", "book"]},
            "calendar": {"bsonType": "string", "minLength": 1},
            "commission": {"bsonType": ["object", "null"]},
            "fill": {"bsonType": ["object", "null"]},
            "created_at": {"bsonType": "date"},
            "updated_at": {"bsonType": "date"},
            "version": {"bsonType": ["int", "long"], "minimum": 1},
        },
    ),
    (
        IndexModel([("symbol", 1)], name="unique_symbol", unique=True),
        IndexModel([("updated_at", 1)], name="changes"),
        IndexModel([("data_source", 1)], name="by_data_source"),
    ),
)

FIELDS = {
    "id": plain("_id"),
    "symbol": plain("symbol"),
    "name": plain("name"),
    "currency": plain("currency"),
    "data_source": plain("data_source", nullable=True),
    "is_active": plain("is_active"),
    "execution_mode": plain("execution_mode"),
    "calendar": plain("calendar"),
    "created_at": instant("created_at"),
    "updated_at": instant("updated_at"),
}


class TickersRepo(DocumentRepo[Ticker]):
    """Keep tickers; ``symbol`` is unique."""

    def __init__(self, database: Database) -> None:
        super().__init__(
            database,
            NAME,
            "ticker",
            to_document=to_document,
            to_domain=to_domain,
            fields=FIELDS,
            search_fields=("symbol", "name"),
        )

    async def all(self) -> list[Ticker]:
        """Return every ticker, by symbol."""
        return await self.find_many({}, [("symbol", 1)])

    async def of_symbols(self, symbols: Iterable[str]) -> list[Ticker]:
        """Return the tickers of these symbols, those that there are."""
        return await self.find_many({"symbol": {"$in": list(symbols)}})

    async def changed_since(self, ts_ns: int) -> list[Ticker]:
        """Return the tickers changed at or after an instant."""
        return await self.find_many({"updated_at": {"$gte": ns_to_datetime(ts_ns)}})

    async def uses_data_source(self, source: UUID) -> bool:
        """Say whether any ticker comes from a data source."""
        with translated("ticker"):
            return await self.collection.find_one({"data_source": source}, {"_id": 1}) is not None


def to_document(ticker: Ticker) -> Document:
    """Write a ticker as it is stored."""
    return {
        "_id": ticker.id,
        "symbol": ticker.symbol,
        "name": ticker.name,
        "description": ticker.description,
        "currency": ticker.currency,
        "data_source": ticker.data_source,
        "is_active": ticker.is_active,
        "restricted": ticker.restricted,
        "tick_size": encode_decimal(ticker.tick_size),
        "lot_size": encode_decimal(ticker.lot_size),
        "execution_mode": ticker.execution_mode,
        "calendar": ticker.calendar,
        "commission": encode_decimals(ticker.commission),
        "fill": encode_decimals(ticker.fill),
        "created_at": ns_to_datetime(ticker.created_at),
        "updated_at": ns_to_datetime(ticker.updated_at),
        "version": ticker.version,
    }


def to_domain(document: dict[str, Any]) -> Ticker:
    """Read a stored ticker."""
    return Ticker(
        id=document["_id"],
        symbol=document["symbol"],
        name=document["name"],
        description=document.get("description", ""),
        currency=document["currency"],
        data_source=document.get("data_source"),
        is_active=document["is_active"],
        restricted=document.get("restricted", False),
        tick_size=decode_decimal(document["tick_size"]),
        lot_size=decode_decimal(document["lot_size"]),
        execution_mode=document["execution_mode"],
        calendar=document.get("calendar", ALWAYS_OPEN),
        commission=decode_decimals(document.get("commission")),
        fill=decode_decimals(document.get("fill")),
        created_at=datetime_to_ns(document["created_at"]),
        updated_at=datetime_to_ns(document["updated_at"]),
        version=document["version"],
    )
