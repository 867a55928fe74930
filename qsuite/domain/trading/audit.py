"""The audit chain: each entry holds the hash of the one before, so a change anywhere shows.

``hash = SHA-256(prev_hash + canonical entry)``, hex; the canonical entry is JSON with sorted keys, no spaces, UTF-8.
The first entry's ``prev_hash`` is 64 zeros.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any, NamedTuple

GENESIS = "0" * 64

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def canonical_json(value: Any) -> bytes:
    """Write the canonical form: sorted keys, no spaces, UTF-8."""
    return _encode(value).encode()


class Entry(NamedTuple):
    """One step that was taken: what (``kind``), when, by whom, to what, and the facts."""

    seq: int
    ts_ns: int
    kind: str
    actor: str
    subject: str
    account: str
    facts: dict[str, Any]
    prev_hash: str
    hash: str


def digest(
    prev_hash: str,
    seq: int,
    ts_ns: int,
    kind: str,
    actor: str,
    subject: str,
    account: str,
    facts: Any,
    canonical: Callable[[Any], bytes] = canonical_json,
) -> str:
    """Compute an entry's hash. Facts hold text, whole numbers, booleans and null only."""
    entry = canonical([seq, ts_ns, kind, actor, subject, account, facts])
    return hashlib.sha256(prev_hash.encode() + entry).hexdigest()


class Chain:
    """The growing end of the chain. ``canonical`` may be a faster writer of the same bytes as ``canonical_json``."""

    def __init__(self, seq: int = 0, head: str = GENESIS, canonical: Callable[[Any], bytes] = canonical_json) -> None:
        self.seq = seq
        self.head = head
        self._canonical = canonical

    def add(self, ts_ns: int, kind: str, actor: str, subject: str, account: str, facts: dict[str, Any]) -> Entry:
        """Append one entry and return it."""
        self.seq += 1
        previous = self.head
        self.head = digest(previous, self.seq, ts_ns, kind, actor, subject, account, facts, self._canonical)
        return Entry(self.seq, ts_ns, kind, actor, subject, account, facts, previous, self.head)
