"""The audit chain: no entry missing, none changed, and it ends where the engine says it does."""

import hashlib
import json
from collections.abc import Iterator

from qsuite.repos.books import EngineRow, EntryRow

START = "0" * 64
NS_PER_MS = 1_000_000


class ChainCheck:
    """Follow the chain entry by entry."""

    def __init__(self) -> None:
        self.seq = 0
        self.head = START

    def faults(self, entry: EntryRow) -> Iterator[str]:
        """Yield what is wrong with the next entry."""
        if entry.seq != self.seq + 1:
            yield f"follows entry {self.seq}: {entry.seq - self.seq - 1} missing"
        if entry.prev_hash != self.head:
            yield "does not continue from the entry before it"
        if entry.hash != entry_hash(entry):
            yield "was changed: its hash does not fit what it says"
        self.seq, self.head = entry.seq, entry.hash

    def end_faults(self, engine: EngineRow | None) -> Iterator[str]:
        """Compare the end with what the engine keeps."""
        if engine is None:
            if self.seq:
                yield "there are entries and no engine state"
            return
        if (engine.audit_seq, engine.audit_hash) != (self.seq, self.head):
            yield f"the log ends with entry {self.seq}, the engine wrote {engine.audit_seq}"


def entry_hash(entry: EntryRow) -> str:
    """Compute SHA-256 of the previous hash and the entry as JSON: sorted keys, no spaces, UTF-8."""
    told = [
        entry.seq,
        entry.ts_ms * NS_PER_MS,
        entry.kind,
        entry.actor,
        entry.subject,
        entry.account,
        entry.facts,
    ]
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(entry.prev_hash.encode() + text.encode()).hexdigest()


def fill_of(entry: EntryRow) -> str | None:
    """Return the execution that an entry tells of, if any."""
    execution = entry.facts.get("execution")
    return None if execution is None else str(execution)
