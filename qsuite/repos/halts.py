"""Thrown kill switches, kept in ``risk_limits`` beside the limits, written by the engine's commit.

{
  "_id": "halt:ticker:IBM", "scope": "ticker", "target": "IBM", "state": "HALTED", "reason": "bad prints",
  "user": UUID("…"), "since": ISODate("…")
}

``user`` is null where the engine itself threw it; ``state`` is HALTED or REDUCING.
"""

from qsuite.domain.times import datetime_to_ns, ns_to_datetime
from qsuite.domain.trading.commands import Scope, TradingHalt, TradingMode
from qsuite.repos.database import Document

PREFIX = "halt:"


def halt_id(key: tuple[Scope, str | None]) -> str:
    """Name a halt's document."""
    scope, target = key
    return f"{PREFIX}{scope.value}:{target or ''}"


def is_halt(document: Document) -> bool:
    """Say whether a document of ``risk_limits`` is a halt."""
    return str(document["_id"]).startswith(PREFIX)


def halt_document(halt: TradingHalt) -> Document:
    """Write a halt as a document."""
    return {
        "_id": halt_id((halt.scope, halt.target)),
        "scope": halt.scope.value,
        "target": halt.target,
        "state": halt.mode.value,
        "reason": halt.reason,
        "user": halt.user,
        "since": ns_to_datetime(halt.since),
    }


def halt_from(document: Document) -> TradingHalt:
    """Read a halt back."""
    return TradingHalt(
        scope=Scope(document["scope"]),
        target=document["target"],
        reason=document["reason"],
        user=document["user"],
        since=datetime_to_ns(document["since"]),
        mode=TradingMode(document["state"]),
    )
