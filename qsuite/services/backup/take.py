"""Database to file: one snapshot, read in pieces, compressed, hashed, beside a server that trades on.

Invariants: memory does not grow with the database. The signed heads are read before the snapshot is taken, so that
each of them is of an entry that is in it. QSuite changes no collection or index meanwhile: the lock that migrations
take is held.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from qsuite import __version__
from qsuite.repos.database import Database
from qsuite.repos.migration_lock import MigrationLock
from qsuite.repos.schema import require_known
from qsuite.repos.snapshots import LEFT_OUT, Batch, Snapshot, Stored, open_snapshot
from qsuite.repos.state_hash import Digest, Hashing, state_hash
from qsuite.services.backup.archive import FORMAT, ArchiveWriter
from qsuite.services.backup.reading import Progress

PART_BYTES = 4 << 20
LEVEL = 3
"""Of Zstandard: its own default."""
HEADS = "files/audit-heads.jsonl"


class Taken(NamedTuple):
    """What was written."""

    manifest: dict[str, Any]
    sha256: str
    stored: int
    """Bytes of the file."""


@dataclass(slots=True)
class Pace:
    """Read no faster than ``rate`` bytes a second, None for as fast as it goes; count what was read."""

    rate: float | None
    done: int = 0
    _started_s: float = field(default_factory=time.monotonic)

    def add(self, count: int) -> None:
        """Count bytes, and wait where they came too fast."""
        self.done += count
        if self.rate is not None:
            ahead_s = self.done / self.rate - (time.monotonic() - self._started_s)
            if ahead_s > 0:
                time.sleep(ahead_s)


def take(
    database: Database,
    path: Path,
    *,
    heads_file: Path,
    secret: str,
    rate: float | None = None,
    progress: Progress = lambda done, total: None,
) -> Taken:
    """Write the database to a new file; for threads.

    ``secret`` is the id of the secret the server has now, ``rate`` bytes a second. SetupError where the file cannot be
    written, Unavailable where the database could not be read to the end; there is no file then.
    """
    with ArchiveWriter(path) as archive, MigrationLock(database.sync, "backup"):
        heads = heads_file.read_bytes() if heads_file.exists() else None
        with open_snapshot(database) as snapshot:
            version = snapshot.schema_version()
            require_known(version)
            collections, parts = _write_all(archive, snapshot, Pace(rate), progress)
            epoch = snapshot.engine_epoch()
        files = [] if heads is None else [{"name": HEADS, "bytes": len(heads), "sha256": archive.add(HEADS, heads)}]
        digests = {each["name"]: Digest(each["documents"], each["bytes"], each["sha256"]) for each in collections}
        manifest = {
            "format": FORMAT,
            "qsuite": __version__,
            "schema_version": version,
            "mongodb": database.sync_client.server_info()["version"],
            "database": database.name,
            "snapshot": _rfc3339(snapshot.taken_at),
            "state_hash": state_hash(digests),
            "engine_epoch": epoch,
            "secret": secret,
            "collections": collections,
            "left_out": dict(LEFT_OUT),
            "files": files,
            "parts": parts,
        }
        return Taken(manifest, archive.finish(manifest), archive.stored)


def _write_all(
    archive: ArchiveWriter, snapshot: Snapshot, pace: Pace, progress: Progress
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Write every collection; return the lines of the manifest for them and for their parts."""
    collections: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    total = sum(each.bytes for each in snapshot.collections)
    for stored in snapshot.collections:
        hashing = Hashing()
        for number, piece in enumerate(_pieces(snapshot, stored, hashing), 1):
            parts.append(_write_part(archive, f"{stored.name}/{number:05d}.bson.zst", stored.name, piece))
            pace.add(len(piece.data))
            progress(pace.done, max(total, pace.done))
        collections.append({"name": stored.name, "options": stored.options_json, **hashing.digest._asdict()})
    return collections, parts


def _pieces(snapshot: Snapshot, stored: Stored, hashing: Hashing) -> Iterator[Batch]:
    """Put what is read together until it is worth a part."""
    kept = bytearray()
    documents = 0
    for batch in snapshot.batches(stored.name):
        hashing.add(batch)
        kept += batch.data
        documents += batch.documents
        if len(kept) >= PART_BYTES:
            yield Batch(documents, bytes(kept))
            kept.clear()
            documents = 0
    if documents:
        yield Batch(documents, bytes(kept))


def _write_part(archive: ArchiveWriter, name: str, collection: str, piece: Batch) -> dict[str, Any]:
    from pyarrow import Codec

    stored = Codec("zstd", compression_level=LEVEL).compress(piece.data, asbytes=True)
    return {
        "name": name,
        "collection": collection,
        "documents": piece.documents,
        "bytes": len(piece.data),
        "stored": len(stored),
        "sha256": archive.add(name, stored),
    }


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
