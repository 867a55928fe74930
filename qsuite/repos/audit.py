"""The audit log: one entry for each step taken, chained by hash (``domain.trading.audit``).

    {
      "_id": 4711, "ts": ISODate("…"), "kind": "order.filled", "actor": "engine", "subject": "0199…",
      "account": "0199…", "facts": {"status": "FILLED", "version": 2, "price": "181.52", …},
      "prev_hash": "3a7b…", "hash": "90f1…"
    }

``_id`` is the sequence number: gapless, and written in the transaction of the change it tells of.
"""

from pymongo import ASCENDING, IndexModel

from qsuite.domain.times import datetime_to_ns, ns_to_datetime
from qsuite.domain.trading.audit import Entry
from qsuite.repos.database import Document
from qsuite.repos.schema import CollectionSpec, schema

SPEC = CollectionSpec(
    "audit_log",
    schema(
        "ts kind actor subject account facts prev_hash hash",
        {
            "_id": {"bsonType": ["int", "long"]},
            "ts": {"bsonType": "date"},
            "kind": {"bsonType": "string"},
            "facts": {"bsonType": "object"},
            "prev_hash": {"bsonType": "string"},
            "hash": {"bsonType": "string"},
        },
    ),
    (IndexModel([("subject", ASCENDING), ("_id", ASCENDING)], name="of_a_subject"),),
)


def entry_document(entry: Entry) -> Document:
    """Write an entry as a document."""
    return {
        "_id": entry.seq,
        "ts": ns_to_datetime(entry.ts_ns),
        "kind": entry.kind,
        "actor": entry.actor,
        "subject": entry.subject,
        "account": entry.account,
        "facts": entry.facts,
        "prev_hash": entry.prev_hash,
        "hash": entry.hash,
    }


def entry_from(document: Document) -> Entry:
    """Read an entry back."""
    return Entry(
        seq=document["_id"],
        ts_ns=datetime_to_ns(document["ts"]),
        kind=document["kind"],
        actor=document["actor"],
        subject=document["subject"],
        account=document["account"],
        facts=document["facts"],
        prev_hash=document["prev_hash"],
        hash=document["hash"],
    )
