"""The limits each scope sets, and thrown kill switches (``halts``), written by the engine's commit.

{
  "_id": "limit:account:0199…", "scope": "account", "target": "0199…", "version": 2,
  "limits": {"max_quantity": Decimal128("500"), "short_sale": true},
  "set_by": UUID("…"), "set_at": ISODate("…"), "reason": "new trader",
  "history": [{"version": 1, "limits": {…}, "set_by": UUID("…"), "set_at": ISODate("…"), "reason": "…"}]
}

A figure that is there but cannot be read comes back as None, so that its control refuses; one that nobody knows by name
(of a newer version) is left alone. ``history`` holds the versions before, newest first; the audit log has them all.
"""

from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any

from bson.decimal128 import Decimal128

from qsuite.domain.times import datetime_to_ns, ns_to_datetime
from qsuite.domain.trading.commands import Scope, TradingMode
from qsuite.domain.trading.risk.limits import NAMES, SWITCHES, Figure, ScopeLimits
from qsuite.repos.database import Document
from qsuite.repos.decimals import decode_decimal, encode_decimals
from qsuite.repos.schema import CollectionSpec, schema

PREFIX = "limit:"

SPEC = CollectionSpec(
    "risk_limits",
    schema(
        "scope reason",
        {
            "scope": {"enum": [scope.value for scope in Scope]},
            "target": {"bsonType": ["string", "null"]},
            "reason": {"bsonType": "string"},
            "state": {"enum": [mode.value for mode in TradingMode]},
            "since": {"bsonType": "date"},
            "version": {"bsonType": ["int", "long"], "minimum": 1},
            "limits": {"bsonType": "object"},
            "set_at": {"bsonType": "date"},
            "history": {"bsonType": "array"},
        },
    ),
)


def limits_document(limits: ScopeLimits) -> Document:
    """Write a scope's limits as a document."""
    return {
        "_id": f"{PREFIX}{limits.scope.value}:{limits.target or ''}",
        "scope": limits.scope.value,
        "target": limits.target,
        **_version_document(limits),
        "history": [_version_document(before) for before in limits.history],
    }


def limits_from(document: Document) -> ScopeLimits:
    """Read a scope's limits back."""
    scope, target = Scope(document["scope"]), document["target"]
    history = tuple(_version_from(scope, target, before) for before in document.get("history", ()))
    return _version_from(scope, target, document)._replace(history=history)


def _version_document(limits: ScopeLimits) -> Document:
    return {
        "version": limits.version,
        "limits": encode_decimals(dict(limits.figures)),
        "set_by": limits.set_by,
        "set_at": ns_to_datetime(limits.set_at),
        "reason": limits.reason,
    }


def _version_from(scope: Scope, target: str | None, document: Mapping[str, Any]) -> ScopeLimits:
    raw = document["limits"]
    return ScopeLimits(
        scope=scope,
        target=target,
        figures={name: _figure(name, raw[name]) for name in raw if name in NAMES},
        version=document["version"],
        set_by=document["set_by"],
        set_at=datetime_to_ns(document["set_at"]),
        reason=document["reason"],
    )


def _figure(name: str, raw: object) -> Figure:
    if name in SWITCHES:
        return raw if isinstance(raw, bool) else None
    figure: Decimal | None = None
    if isinstance(raw, Decimal128):
        with suppress(ValueError):  # an infinity or NaN bounds nothing
            figure = decode_decimal(raw)
    return figure
