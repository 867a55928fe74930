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
from decimal import Decimal
from typing import Any
from uuid import UUID

from pymongo import ASCENDING, DESCENDING, IndexModel

from qsuite.domain.errors import NotFound
from qsuite.domain.listing import Condition, Listing, Page
from qsuite.domain.times import datetime_to_ns, ns_to_datetime
from qsuite.domain.trading.order import Execution, Side
from qsuite.repos.database import Database, Document, translated
from qsuite.repos.decimals import decode_decimal, decode_decimals, encode_decimal, encode_decimals
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


def execution_document(execution: Execution) -> Document:
    """Write an execution as a document."""
    return {
        "_id": execution.id,
        "order": execution.order,
        "account": execution.account,
        "symbol": execution.symbol,
        "side": execution.side.value,
        "quantity": encode_decimal(execution.quantity),
        "price": encode_decimal(execution.price),
        "commission": encode_decimal(execution.commission),
        "execution_time": ns_to_datetime(execution.execution_time),
        "external_execution_id": execution.external_execution_id,
        "basis": _basis_document(execution.basis),
        "postings": {name: encode_decimal(value) for name, value in execution.postings.items()},
    }


_schedules: dict[int, tuple[Mapping[str, Any], Document]] = {}
"""Commission schedules as documents, by the identity of the one mapping that all fills under a schedule share."""


def _basis_document(basis: Mapping[str, Any]) -> Document:
    document = {
        name: encode_decimal(value) if type(value) is Decimal else value
        for name, value in basis.items()
        if name != "commission"
    }
    schedule = basis.get("commission")
    if schedule is not None:
        known = _schedules.get(id(schedule))
        if known is None or known[0] is not schedule:
            if len(_schedules) >= SCHEDULES_KEPT:
                _schedules.clear()
            known = _schedules[id(schedule)] = (schedule, encode_decimals(schedule))
        document["commission"] = known[1]
    return document


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
