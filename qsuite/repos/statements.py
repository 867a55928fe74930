"""End-of-day statements: one document for each account and UTC day.

    {
      "_id": "0199…:2026-11-21", "account": UUID("0199…"), "user": UUID("…"), "name": "demo", "currency": "USD",
      "date": "2026-11-21", "day": 20778, "opening_cash": Decimal128("1000000"), "opening_equity": …,
      "opening_unrealized": …, "movements": {"deposit": …, "withdrawal": …, "reset": …}, "executions": 12,
      "bought": …, "sold": …, "realized_pnl": …, "commission": …, "unrealized_change": …, "closing_cash": …,
      "long_value": …, "short_value": …, "closing_equity": …, "closing_unrealized": …, "deposited": …,
      "total_realized_pnl": …, "total_commission": …,
      "postings": {"cash": …, "position": …, "realized_pnl": …, "commission": …},
      "positions": [{"symbol": "IBM", "quantity": …, "cost": …, "avg_cost": …, "market_value": …, "unrealized_pnl": …,
                     "realized_pnl": …, "commission": …,
                     "closing": {"price": Decimal128("181.50"), "source": "quote", "ts_ns": 1381…}}],
      "created_at": ISODate("2026-11-22T00:01:00Z")
    }

Invariant: a statement is written once and never changed. Whichever process is first stores it; the id, made of account
and date, keeps a second one out.
"""

from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID

from pymongo import ASCENDING, IndexModel

from qsuite.domain.errors import AlreadyExists, NotFound
from qsuite.domain.reports.statement import FIGURES, ClosingPrice, Statement, StatementPosition, date_of
from qsuite.domain.times import ns_to_datetime
from qsuite.repos.database import Database, Document, translated
from qsuite.repos.decimals import decode_decimal, decode_optional, encode_decimal, encode_optional
from qsuite.repos.schema import CollectionSpec, money, schema

POSITION_FIGURES = ("quantity", "cost", "market_value", "unrealized_pnl", "realized_pnl", "commission")
BATCH = 200

SPEC = CollectionSpec(
    "statements",
    schema(
        ["account", "user", "date", "day", "executions", "movements", "postings", "positions", "created_at", *FIGURES],
        {
            "_id": {"bsonType": "string"},
            "account": {"bsonType": "binData"},
            "user": {"bsonType": "binData"},
            "date": {"bsonType": "string"},
            "day": {"bsonType": ["int", "long"]},
            "executions": {"bsonType": ["int", "long"], "minimum": 0},
            "positions": {"bsonType": "array"},
            "created_at": {"bsonType": "date"},
            **{name: money() for name in FIGURES},
        },
    ),
    (IndexModel([("account", ASCENDING), ("day", ASCENDING)], name="of_an_account", unique=True),),
)


class StatementsRepo:
    """Keep statements. Reading is for threads, but for ``get``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, account: UUID, day: int) -> Statement:
        """Return one statement. NotFound if there is none."""
        with translated("statement"):
            found = await self._database.collection(SPEC.name).find_one({"account": account, "day": day})
        if found is None:
            raise NotFound("no such statement")
        return statement_from(found)

    def add(self, statement: Statement, now: int) -> bool:
        """Store a statement, in a thread; False if that of its account and day is there already, which then stays."""
        try:
            with translated("statement"):
                self._database.sync[SPEC.name].insert_one(statement_document(statement, now))
        except AlreadyExists:
            return False
        return True

    def last(self, account: UUID, before_day: int | None = None) -> Statement | None:
        """Return an account's newest statement, of a day before the given one if there is any; None without one."""
        condition: Document = {"account": account} | ({} if before_day is None else {"day": {"$lt": before_day}})
        with translated("statement"):
            found = self._database.sync[SPEC.name].find_one(condition, sort=[("day", -1)])
        return None if found is None else statement_from(found)

    def iterate(self, account: UUID, first_day: int | None, end_day: int | None) -> Iterator[Statement]:
        """Yield an account's statements from the oldest on, ``end_day`` not included."""
        days: Document = {}
        if first_day is not None:
            days["$gte"] = first_day
        if end_day is not None:
            days["$lt"] = end_day
        condition: Document = {"account": account} | ({"day": days} if days else {})
        with translated("statement"):
            found = self._database.sync[SPEC.name].find(condition).sort([("account", 1), ("day", 1)])
            yield from map(statement_from, found.batch_size(BATCH))


def statement_document(made: Statement, now: int) -> Document:
    """Write a statement as a document."""
    return {
        "_id": f"{made.account}:{date_of(made.day)}",
        "account": made.account,
        "user": made.user,
        "name": made.name,
        "currency": made.currency,
        "date": date_of(made.day),
        "day": made.day,
        "executions": made.executions,
        **{name: encode_decimal(getattr(made, name)) for name in FIGURES},
        "movements": {name: encode_decimal(amount) for name, amount in made.movements.items()},
        "postings": {name: encode_decimal(amount) for name, amount in made.postings.items()},
        "positions": [_position_document(each) for each in made.positions],
        "created_at": ns_to_datetime(now),
    }


def statement_from(document: Document) -> Statement:
    """Read a statement back, equal to what was written."""
    return Statement(
        account=document["account"],
        user=document["user"],
        name=document["name"],
        currency=document["currency"],
        day=document["day"],
        executions=document["executions"],
        movements=_amounts(document["movements"]),
        postings=_amounts(document["postings"]),
        positions=tuple(_positions(document["positions"])),
        **{name: decode_decimal(document[name]) for name in FIGURES},
    )


def _position_document(each: StatementPosition) -> Document:
    closing = each.closing
    return {
        "symbol": each.symbol,
        **{name: encode_decimal(getattr(each, name)) for name in POSITION_FIGURES},
        "avg_cost": encode_optional(each.avg_cost),
        "closing": None
        if closing is None
        else {"price": encode_decimal(closing.price), "source": closing.source, "ts_ns": closing.ts_ns},
    }


def _positions(documents: Iterable[Document]) -> Iterator[StatementPosition]:
    for document in documents:
        closing = document["closing"]
        yield StatementPosition(
            symbol=document["symbol"],
            avg_cost=decode_optional(document["avg_cost"]),
            closing=None
            if closing is None
            else ClosingPrice(decode_decimal(closing["price"]), closing["source"], int(closing["ts_ns"])),
            **{name: decode_decimal(document[name]) for name in POSITION_FIGURES},
        )


def _amounts(document: Any) -> dict[str, Any]:
    return {name: decode_decimal(amount) for name, amount in document.items()}
