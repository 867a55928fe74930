"""Risk events as documents, written by the engine's commit: refusals by risk controls, halts, changes of limits.

{
  "_id": UUID("0199…"), "ts": ISODate("…"), "code": "risk.position_limit", "severity": "warning",
  "scope": "account", "target": "0199…", "account": UUID("…"), "order": UUID("…"),
  "symbol": "IBM", "detail": "at most 100 of IBM, working orders counted", "limit": Decimal128("100"),
  "value": Decimal128("101"), "actor": UUID("…")
}

``actor`` is null where the engine acted by itself; ``account`` and ``symbol`` where the event is no single one's.
"""

from collections.abc import Iterable
from uuid import UUID

from pymongo import ASCENDING, DESCENDING, IndexModel

from qsuite.domain.listing import Condition, Listing, Page
from qsuite.domain.times import datetime_to_ns, ns_to_datetime
from qsuite.domain.trading.commands import Scope
from qsuite.domain.trading.risk.events import RiskEvent, Severity
from qsuite.repos.database import Database, Document
from qsuite.repos.decimals import decode_optional, encode_optional
from qsuite.repos.listing import FieldMap, find_page, instant, plain
from qsuite.repos.schema import CollectionSpec, money, schema

SPEC = CollectionSpec(
    "risk_events",
    schema(
        "ts code severity scope detail",
        {
            "_id": {"bsonType": "binData"},
            "ts": {"bsonType": "date"},
            "code": {"bsonType": "string"},
            "severity": {"enum": [severity.value for severity in Severity]},
            "scope": {"enum": [scope.value for scope in Scope]},
            "target": {"bsonType": ["string", "null"]},
            "account": {"bsonType": ["binData", "null"]},
            "order": {"bsonType": ["binData", "null"]},
            "symbol": {"bsonType": ["string", "null"]},
            "detail": {"bsonType": "string"},
            "limit": money(nullable=True),
            "value": money(nullable=True),
            "actor": {"bsonType": ["binData", "null"]},
        },
    ),
    (
        IndexModel([("ts", DESCENDING), ("_id", DESCENDING)], name="newest"),
        IndexModel([("account", ASCENDING), ("ts", DESCENDING), ("_id", DESCENDING)], name="of_an_account"),
        IndexModel([("code", ASCENDING), ("ts", DESCENDING), ("_id", DESCENDING)], name="of_a_code"),
        IndexModel([("symbol", ASCENDING), ("ts", DESCENDING), ("_id", DESCENDING)], name="of_a_symbol"),
    ),
)

FIELDS: dict[str, FieldMap] = {
    "id": plain("_id"),
    "ts": instant("ts"),
    "code": plain("code"),
    "severity": plain("severity"),
    "scope": plain("scope"),
    "target": plain("target"),
    "account": plain("account"),
    "order": plain("order"),
    "symbol": plain("symbol"),
}


def event_document(event: RiskEvent) -> Document:
    """Write an event as a document."""
    return {
        "_id": event.id,
        "ts": ns_to_datetime(event.ts),
        "code": event.code,
        "severity": event.severity.value,
        "scope": event.scope.value,
        "target": event.target,
        "account": event.account,
        "order": event.order,
        "symbol": event.symbol,
        "detail": event.detail,
        "limit": encode_optional(event.limit),
        "value": encode_optional(event.value),
        "actor": event.actor,
    }


def event_from(document: Document) -> RiskEvent:
    """Read an event back."""
    return RiskEvent(
        id=document["_id"],
        ts=datetime_to_ns(document["ts"]),
        code=document["code"],
        severity=Severity(document["severity"]),
        scope=Scope(document["scope"]),
        target=document["target"],
        account=document["account"],
        order=document["order"],
        symbol=document.get("symbol"),
        detail=document["detail"],
        limit=decode_optional(document["limit"]),
        value=decode_optional(document["value"]),
        actor=document["actor"],
    )


class RiskEventsRepo:
    """Read risk events. Every query names the accounts it may see; None sees all, and what is no account's."""

    def __init__(self, database: Database) -> None:
        self._events = database.collection(SPEC.name)

    async def page(self, listing: Listing, accounts: Iterable[UUID] | None) -> Page[RiskEvent]:
        """Return a page of events."""
        if accounts is not None:
            listing = listing.where(Condition("account", "in", tuple(accounts)))
        return await find_page(self._events, listing, to_domain=event_from, fields=FIELDS)
