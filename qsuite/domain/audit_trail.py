"""The record of everything that is not the engine's: who came in, who was refused, who changed or took what.

A hash chain of its own (``audit_access``) beside the engine's (``audit_log``), which stays the engine's alone:

    hash = SHA-256(prev_hash + canonical [seq, ts, kind, actor, actor_name, subject, facts, request_id, address])

``ts`` in nanoseconds, whole milliseconds; the first ``prev_hash`` is 64 zeros.

Invariants: every stored field is under the hash; facts hold text, whole numbers, booleans, null, and lists and objects
of these, so that what is read back is what was hashed.

Vocabulary: the *actor* did it (empty: nobody who proved who they are), the *subject* is what it was done to.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from qsuite.domain.times import floor_ms
from qsuite.domain.trading.audit import GENESIS, canonical_json

LONGEST = 1_000
"""Characters kept of one text, so that nobody fills the record with one request."""
WHOLE_NUMBERS = range(-(2**63), 2**63)


class Draft(NamedTuple):
    """What is to be recorded, before it has its place in the chain."""

    ts_ns: int
    kind: str
    actor: str
    actor_name: str
    subject: str
    facts: dict[str, Any]
    request_id: str
    address: str


class TrailEntry(NamedTuple):
    """One entry in its place."""

    seq: int
    ts_ns: int
    kind: str
    actor: str
    actor_name: str
    subject: str
    facts: dict[str, Any]
    request_id: str
    address: str
    prev_hash: str
    hash: str


class TrailHead(NamedTuple):
    """Where the chain ends."""

    seq: int = 0
    hash: str = GENESIS


def draft(
    ts_ns: int,
    kind: str,
    *,
    actor: object,
    actor_name: str,
    subject: object,
    facts: Mapping[str, object],
    request_id: str,
    address: str,
) -> Draft:
    """Bring what is to be recorded into the form that is stored: bounded text, plain facts, whole milliseconds."""
    return Draft(
        floor_ms(ts_ns),
        kind,
        _text("" if actor is None else actor),
        _text(actor_name),
        _text(subject),
        _plain(facts),
        _text(request_id),
        _text(address),
    )


def entry_digest(prev_hash: str, seq: int, said: Draft) -> str:
    """Compute an entry's hash."""
    return hashlib.sha256(prev_hash.encode() + canonical_json([seq, *said])).hexdigest()


def chained(head: TrailHead, said: Draft) -> TrailEntry:
    """Return what comes after ``head``."""
    seq = head.seq + 1
    return TrailEntry(seq, *said, head.hash, entry_digest(head.hash, seq, said))


def draft_of(entry: TrailEntry) -> Draft:
    """Return what an entry says, without its place."""
    return Draft(*entry[1:-2])


def _plain(value: object) -> Any:
    """Turn a fact into what the hash can be sure of; decimals, ids and dates become text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and value in WHOLE_NUMBERS:
        return int(value)
    if isinstance(value, Mapping):
        return {_text(key): _plain(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(one) for one in (sorted(value, key=str) if isinstance(value, (set, frozenset)) else value)]
    return _text(value)


def _text(value: object) -> str:
    """Return text that UTF-8 can carry: a lone surrogate of a JSON escape becomes a question mark."""
    return str(value)[:LONGEST].encode("utf-8", "replace").decode()
