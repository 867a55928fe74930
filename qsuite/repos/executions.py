"""Executions as documents: one fill each, with what the market showed when it was priced (``basis``).

{
  "_id": UUID("0199…"), "order": UUID("…"), "account": UUID("…"), "symbol": "IBM", "side": "BUY",
  "quantity": Decimal128("100"), "price": Decimal128("181.52"), "commission": Decimal128("0.500"),
  "execution_time": ISODate("…"), "external_execution_id": "paper-0199…-1",
  "basis": {"model": "paper-2", "rule": "quote", "market_ts": 1381152600123000000,
            "price": Decimal128("181.52"), "bid": Decimal128("181.50"), "ask": Decimal128("181.52"),
            "commission": {"model": "per_share", "per_share": Decimal128("0.005")}, …},
  "postings": {"cash": Decimal128("-18152.500"), "position": Decimal128("18152.00"),
               "realized_pnl": Decimal128("0"), "commission": Decimal128("0.500")}
}

``postings`` are the fill's double entry: what it added to each ledger account. They sum to exactly zero.
"""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from bson.raw_bson import RawBSONDocument
from pymongo import ASCENDING, DESCENDING, IndexModel

from qsuite.domain.errors import NotFound
from qsuite.domain.listing import Condition, Listing, Page
from qsuite.domain.times import datetime_to_ns
from qsuite.domain.trading.order import Execution, Side
from qsuite.repos.bson_pieces import (
    any_piece,
    date_writer,
    known_text_piece,
    money_piece,
    nested_piece,
    raw_document,
    text_piece,
    uuid_writer,
)
from qsuite.repos.database import Database, Document, translated
from qsuite.repos.decimals import decode_decimal, decode_decimals
from qsuite.repos.listing import FieldMap, decimal, find_page, instant, plain
from qsuite.repos.schema import CollectionSpec, money, schema

SPEC = CollectionSpec(
    "executions",
    schema(
        "order account symbol side quantity price commission execution_time external_execution_id basis",
        {
            "_id": {"bsonType": "binData"},
            "order": {"bsonType": "binData"},
            "account": {"bsonType": "binData"},
            "symbol": {"bsonType": "string"},
            "side": {"enum": [side.value for side in Side]},
            "quantity": money(),
            "price": money(),
            "commission": money(),
            "execution_time": {"bsonType": "date"},
            "external_execution_id": {"bsonType": "string"},
            "basis": {"bsonType": "object"},
            "postings": {"bsonType": "object"},
        },
    ),
    (
        IndexModel([("order", ASCENDING)], name="of_an_order"),
        IndexModel([("account", ASCENDING), ("execution_time", DESCENDING), ("_id", DESCENDING)], name="of_an_account"),
    ),
)

SCHEDULES_KEPT = 1_000

FIELDS: dict[str, FieldMap] = {
    "account": plain("account"),
    "order": plain("order"),
    "symbol": plain("symbol"),
    "side": plain("side"),
    "quantity": decimal("quantity"),
    "price": decimal("price"),
    "execution_time": instant("execution_time"),
}


_ID, _ORDER, _ACCOUNT = map(uuid_writer, ("_id", "order", "account"))
_EXECUTION_TIME = date_writer("execution_time")


def execution_document(execution: Execution) -> RawBSONDocument:
    """Write an execution as a document."""
    return raw_document(
        (
            _ID(execution.id),
            _ORDER(execution.order),
            _ACCOUNT(execution.account),
            known_text_piece("symbol", execution.symbol),
            known_text_piece("side", execution.side),
            money_piece("quantity", execution.quantity),
            money_piece("price", execution.price),
            money_piece("commission", execution.commission),
            _EXECUTION_TIME(execution.execution_time),
            text_piece("external_execution_id", execution.external_execution_id),
            nested_piece("basis", [_word(name, value) for name, value in execution.basis.items()]),
            nested_piece("postings", [money_piece(name, value) for name, value in execution.postings.items()]),
        )
    )


_schedules: dict[int, tuple[Mapping[str, Any], bytes]] = {}
"""Commission schedules as written, by the identity of the one mapping that all fills under a schedule share."""


def _word(name: str, value: Any) -> bytes:
    """Write a word of the basis."""
    if name != "commission":
        return any_piece(name, value)
    known = _schedules.get(id(value))
    if known is None or known[0] is not value:
        if len(_schedules) >= SCHEDULES_KEPT:
            _schedules.clear()
        known = _schedules[id(value)] = (value, any_piece(name, value))
    return known[1]


def execution_from(document: Document) -> Execution:
    """Read an execution back."""
    return Execution(
        id=document["_id"],
        order=document["order"],
        account=document["account"],
        symbol=document["symbol"],
        side=Side(document["side"]),
        quantity=decode_decimal(document["quantity"]),
        price=decode_decimal(document["price"]),
        commission=decode_decimal(document["commission"]),
        execution_time=datetime_to_ns(document["execution_time"]),
        external_execution_id=document["external_execution_id"],
        basis=decode_decimals(document["basis"]),
        postings={name: decode_decimal(value) for name, value in document.get("postings", {}).items()},
    )


class ExecutionsRepo:
    """Read executions. Every query names the accounts it may see; None sees all."""

    def __init__(self, database: Database) -> None:
        self._executions = database.collection(SPEC.name)

    async def get(self, execution_id: UUID, accounts: Iterable[UUID] | None) -> Execution:
        """Return an execution, NotFound if it is not there or not theirs."""
        query: Document = {"_id": execution_id}
        if accounts is not None:
            query["account"] = {"$in": list(accounts)}
        with translated("execution"):
            document = await self._executions.find_one(query)
        if document is None:
            raise NotFound("no such execution")
        return execution_from(document)

    async def page(self, listing: Listing, accounts: Iterable[UUID] | None) -> Page[Execution]:
        """Return a page of executions."""
        if accounts is not None:
            listing = listing.where(Condition("account", "in", tuple(accounts)))
        return await find_page(self._executions, listing, to_domain=execution_from, fields=FIELDS)
