"""File to database: checked whole, filled in, held against the backup to the last byte, then opened.

    check the file ─> lock ─> mark, empty ─> fill ─> same hashes? ─> validators, indexes, versions ─> heads ─> open

Invariant: killed at any point it leaves the database as it was, or marked as half restored, which nobody starts on and
the same command begins anew. Indexes come last: building them at once is quicker, and those that remove documents in
time cannot remove any before they were compared.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from qsuite.domain.errors import SetupError
from qsuite.repos.database import Database
from qsuite.repos.migration_lock import LEASE_S, MigrationLock
from qsuite.repos.restoring import Restoring
from qsuite.repos.schema import require_known
from qsuite.repos.snapshots import open_snapshot
from qsuite.repos.state_hash import Digest, digest_of, state_hash
from qsuite.services.backup.reading import Archive, Progress
from qsuite.services.backup.take import HEADS


class PutBack(NamedTuple):
    """What was done."""

    documents: int
    state_hash: str
    changes: list[str]
    """What was changed to bring it up to this version, a line each; the making of indexes too."""
    heads_moved_to: Path | None
    """Where a file of heads went that was of another database."""


Stage = Callable[[str], None]
"""Told what is done next."""


def require_readable(archive: Archive) -> None:
    """Refuse (SetupError) a backup of a newer QSuite."""
    require_known(archive.manifest["schema_version"])


def put_back(
    database: Database,
    archive: Archive,
    *,
    replace: bool,
    heads_file: Path,
    progress: Progress = lambda done, total: None,
    stage: Stage = lambda what: None,
    lease_s: float = LEASE_S,
) -> PutBack:
    """Fill a database from a checked file; for threads.

    SetupError where a server runs on it, where it is not empty and not to be replaced, or where what it holds in the
    end is not what the backup held.
    """
    if not database.transactions:
        raise SetupError("all is held in memory, where nothing is kept and nothing can be restored")
    require_readable(archive)
    manifest = archive.manifest
    restoring = Restoring(database, archive.sha256)
    restoring.require_free(replace=replace)
    with MigrationLock(database.sync, "restore", lease_s=lease_s):
        restoring.require_free(replace=replace)  # another restore may have been first
        stage("emptying")
        restoring.begin(manifest["engine_epoch"])
        stage("filling")
        documents = _fill(restoring, archive, progress)
        restoring.settle()
        stage("comparing")
        state = _compare(database, archive, progress)
        stage("indexes")
        changes = restoring.bring_up(manifest["schema_version"])
        moved = _put_heads(heads_file, archive.file(HEADS))
        restoring.finish(manifest["snapshot"])
    return PutBack(documents, state, changes, moved)


def _fill(restoring: Restoring, archive: Archive, progress: Progress) -> int:
    total = sum(each["bytes"] for each in archive.manifest["collections"])
    documents = done = 0
    for collection in archive.manifest["collections"]:
        restoring.create(collection["name"], collection["options"])
        for data in archive.documents(collection["name"]):
            documents += restoring.insert(collection["name"], data)
            done += len(data)
            progress(done, total)
    return documents


def _compare(database: Database, archive: Archive, progress: Progress) -> str:
    """Return the state hash of what is there. SetupError unless every collection is what it was."""
    wanted = {each["name"]: each for each in archive.manifest["collections"]}
    total, done = sum(each["bytes"] for each in wanted.values()), 0
    digests: dict[str, Digest] = {}
    with open_snapshot(database) as snapshot:
        for stored in snapshot.collections:
            found = digests[stored.name] = digest_of(snapshot.batches(stored.name))
            said = wanted.get(stored.name, {"documents": 0, "sha256": found.sha256})
            # The buckets of a time series give their documents in an order of their own.
            same = found.documents == said["documents"] and (not stored.ordered or found.sha256 == said["sha256"])
            if not same:
                raise SetupError(
                    f"{stored.name} holds {found.documents:,} documents that are not the {said['documents']:,} of the"
                    " backup: did anybody write meanwhile? Run it again"
                )
            done += found.bytes
            progress(done, total)
    state = state_hash(digests)
    if state != archive.manifest["state_hash"] or set(wanted) - set(digests):
        raise SetupError(f"the state hash is {state}, the backup's is {archive.manifest['state_hash']}: run it again")
    return state


def _put_heads(path: Path, heads: bytes | None) -> Path | None:
    """Put the signed heads of the backup in their place; return where others went that were there.

    Heads that were signed after the backup are of entries that are gone now: beside the restored record they would be
    the proof that somebody cut it off.
    """
    present = path.read_bytes() if path.exists() else None
    if present == heads:
        return None
    moved = None
    if present is not None:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
        moved = path.rename(path.with_name(f"{path.name}.before-restore-{stamp}"))
    if heads is not None:
        draft = path.with_name(f".{path.name}.restored")
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(heads)
            file.flush()
            os.fsync(descriptor)
        draft.rename(path)
    return moved
