"""One hash over all that matters: two databases with the same one hold the same accounts, orders, users and records.

    collection   SHA-256 of its documents, as BSON, in the order of their ids
    state        SHA-256 of a line for each collection that has documents, by name: ``name count hash``

A document is what it says, field by field: a price of ``1.5`` is not one of ``1.50``. Where documents lie, which
indexes there are, and which process has the engine are no part of it.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from qsuite.repos import idempotency_keys, model_files, refresh_tokens, sweep_parts, tick_blocks, tick_seals, ticks
from qsuite.repos.snapshots import LEFT_OUT, Batch, Snapshot

NOT_STATE: Mapping[str, str] = {
    **LEFT_OUT,
    ticks.NAME: "a time series has no ids to put it in order by",
    tick_blocks.NAME: "ticks again; small blocks are merged into large ones at any time",
    tick_seals.NAME: "how far ticks are in blocks, which rises by itself",
    refresh_tokens.SPEC.name: "sessions, which the database removes when they are over",
    idempotency_keys.NAME: "answers kept for a day, then removed by the database",
    sweep_parts.NAME: "work under way, removed by the database after a week",
    model_files.NAME: "removed by the database in time; the hash of each kept one is in its model",
}
"""Collections that are no part of the state, and why."""


class Digest(NamedTuple):
    """What a collection holds."""

    documents: int
    bytes: int
    sha256: str


class Hashing:
    """Take the hash of a collection, batch by batch."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._documents = self._bytes = 0

    def add(self, batch: Batch) -> None:
        """Take in the next documents."""
        self._hash.update(batch.data)
        self._documents += batch.documents
        self._bytes += len(batch.data)

    @property
    def digest(self) -> Digest:
        """Return what was taken in."""
        return Digest(self._documents, self._bytes, self._hash.hexdigest())


def digest_of(batches: Iterable[Batch]) -> Digest:
    """Return the hash of a whole collection."""
    hashing = Hashing()
    for batch in batches:
        hashing.add(batch)
    return hashing.digest


def state_hash(digests: Mapping[str, Digest]) -> str:
    """Return the state hash of a database. One without documents is as one that is not there."""
    kept = sorted((name, found) for name, found in digests.items() if found.documents and name not in NOT_STATE)
    lines = "".join(f"{name} {found.documents} {found.sha256}\n" for name, found in kept)
    return hashlib.sha256(lines.encode()).hexdigest()


def read_state(snapshot: Snapshot) -> dict[str, Digest]:
    """Read all that the state hash is over; return it by collection."""
    names = [each.name for each in snapshot.collections if each.name not in NOT_STATE]
    return {name: digest_of(snapshot.batches(name)) for name in names}
