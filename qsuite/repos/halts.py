"""Thrown kill switches, kept in ``risk_limits``, written by the engine's commit.

{
  "_id": "halt:ticker:IBM", "scope": "ticker", "target": "IBM", "state": "HALTED", "reason": "bad prints",
  "user": UUID("…"), "since": ISODate("…")
}
"""

from typing import Any

from qsuite.domain.times import datetime_to_ns, ns_to_datetime
from qsuite.domain.trading.commands import Scope, TradingHalt
from qsuite.repos.database import Document
from qsuite.repos.schema import CollectionSpec, schema

SPEC = CollectionSpec(
    "risk_limits",
    schema("scope", {"scope": {"bsonType": "string"}, "state": {"enum": ["HALTED"]}, "since": {"bsonType": "date"}}),
)


def halt_id(key: tuple[Scope, str | None]) -> str:
    """Name a halt's document."""
    scope, target = key
    return f"halt:{scope.value}:{target or ''}"


def halt_document(halt: TradingHalt) -> Document:
    """Write a halt as a document."""
    return {
        "_id": halt_id((halt.scope, halt.target)),
        "scope": halt.scope.value,
        "target": halt.target,
        "state": "HALTED",
        "reason": halt.reason,
        "user": halt.user,
        "since": ns_to_datetime(halt.since),
    }


def halt_from(document: dict[str, Any]) -> TradingHalt:
    """Read a halt back."""
    return TradingHalt(
        scope=Scope(document["scope"]),
        target=document["target"],
        reason=document["reason"],
        user=document["user"],
        since=datetime_to_ns(document["since"]),
    )
