"""Read both audit chains to judge or export them: as they are stored, to the byte.

Invariant: an entry that is not stored exactly as it would be written is not passed on as one. So a field of another
type, one more field, or a form of the same value that reads alike is seen, though no hash is over it. Reads by ``_id``
in pieces, so that memory does not grow with the chain. Synchronous, for a thread of its own.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import bson
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from pymongo import ASCENDING, DESCENDING

from qsuite.domain.audit_proof import TRADING, Bad, ChainShape, Row, check_told
from qsuite.domain.audit_trail import TrailHead
from qsuite.domain.times import datetime_to_ns, ns_to_datetime
from qsuite.repos import audit_access
from qsuite.repos.database import CODEC, Database, Document, translated

PIECE = 1_000


class AuditRows:
    """Read the chains of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def rows(self, chain: ChainShape, query: Document | None = None, *, newest_first: bool = False) -> Iterator[Row]:
        """Yield a chain's entries by number. Bad for the first that is not stored as it would be written."""
        order = DESCENDING if newest_first else ASCENDING
        with translated("the audit record"):
            if not self._database.transactions:
                for document in self._database.sync[chain.collection].find(query or {}).sort("_id", order):
                    yield row_of(chain, bson.encode(document, codec_options=CODEC))
                return
            raw: Any = self._database.sync.get_collection(
                chain.collection, codec_options=CODEC.with_options(document_class=RawBSONDocument)
            )
            for document in raw.find(query or {}).sort("_id", order).batch_size(PIECE):
                yield row_of(chain, document.raw)

    def head(self, chain: ChainShape) -> TrailHead:
        """Return where a chain ends, as its writers keep it."""
        with translated("the audit record"):
            if chain is TRADING:
                found = self._database.sync.engine_state.find_one({"_id": "engine"})
                return TrailHead() if found is None else TrailHead(found["audit_seq"], found["audit_hash"])
            found = self._database.sync.engine_state.find_one(audit_access.HEAD)
            return TrailHead() if found is None else TrailHead(found["seq"], found["hash"])

    def hash_of(self, chain: ChainShape, seq: int) -> str | None:
        """Return the hash that an entry says it has; None when it is not there."""
        with translated("the audit record"):
            found = self._database.sync[chain.collection].find_one({"_id": seq}, {"hash": 1})
        return None if found is None else str(found.get("hash"))


def row_of(chain: ChainShape, raw: bytes) -> Row:
    """Read a stored entry. Bad unless it is exactly as it would be written."""
    try:
        document = bson.decode(raw, CODEC)
    except (BSONError, ValueError, OverflowError) as error:
        raise Bad(f"cannot be read: {error}") from None
    seq = _seq(document)
    try:
        row = _read(chain, document)
        same = bson.encode(_written(chain, row), codec_options=CODEC) == raw
    except Bad as bad:
        raise Bad(bad.reason, seq) from None
    except (BSONError, ValueError, TypeError, OverflowError) as error:
        raise Bad(f"holds what no entry holds: {error}", seq) from None
    if not same:
        raise Bad("is not stored as it was written", seq)
    return row


def _read(chain: ChainShape, document: Mapping[str, Any]) -> Row:
    if tuple(document) != ("_id", "ts", *chain.told, "prev_hash", "hash"):
        raise Bad("its fields are not those of an entry")
    told = tuple(document[name] for name in chain.told)
    check_told(chain, told)
    ts, prev_hash, own_hash = document["ts"], document["prev_hash"], document["hash"]
    if type(ts) is not datetime or type(prev_hash) is not str or type(own_hash) is not str:
        raise Bad("a field is of another type than was written")
    # By way of JSON facts lose whatever only reads like text or a number.
    told = tuple(json.loads(json.dumps(value)) if type(value) is dict else value for value in told)
    return Row(_seq(document), datetime_to_ns(ts), told, prev_hash, own_hash)


def _written(chain: ChainShape, row: Row) -> Document:
    said = dict(zip(chain.told, row.told, strict=True))
    return {"_id": row.seq, "ts": ns_to_datetime(row.ts_ns), **said, "prev_hash": row.prev_hash, "hash": row.hash}


def _seq(document: Mapping[str, Any]) -> int:
    identity = document.get("_id")
    return int(identity) if isinstance(identity, int) and not isinstance(identity, bool) else 0
