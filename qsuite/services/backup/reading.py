"""The file of a backup as it is read: nothing is believed before every byte of it was checked.

Invariant: ``open_archive`` returns only for a file that is whole, whose every byte is the one that was written, and of
which every part is named in its manifest with the hash it has. A part is held against its hash again when it is read.
"""

import hashlib
import json
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from qsuite.domain.errors import SetupError
from qsuite.services.backup.archive import BLOCK, FORMAT, MANIFEST, SEAL, SEAL_BYTES, seal

PIECE = 1 << 20
PART_BYTES_MAX = 64 << 20
"""No part comes near; what claims more is not ours."""

Progress = Callable[[int, int], None]
"""Told how many bytes are done, and of how many."""


class Member(NamedTuple):
    """A member of the archive: where its data begins, how long it is, its hash."""

    at: int
    size: int
    sha256: str


class Archive:
    """A checked file."""

    def __init__(self, path: Path, manifest: Mapping[str, Any], members: Mapping[str, Member], sha256: str) -> None:
        self.path = path
        self.manifest = manifest
        self.sha256 = sha256
        """Of all its bytes but the seal: names the backup."""
        self._members = members

    def read(self, name: str) -> bytes:
        """Return a member's data. SetupError if it has changed since the file was checked."""
        member = self._members[name]
        with self.path.open("rb") as file:
            file.seek(member.at)
            data = file.read(member.size)
        if hashlib.sha256(data).hexdigest() != member.sha256:
            raise _damaged(self.path, f"{name} has changed since it was checked")
        return data

    def documents(self, collection: str) -> Iterator[bytes]:
        """Yield a collection's documents, some megabytes at a time, one after the other as BSON."""
        from pyarrow import Codec

        zstd = Codec("zstd")
        for part in self.manifest["parts"]:
            if part["collection"] == collection:
                yield zstd.decompress(self.read(part["name"]), part["bytes"], asbytes=True)

    def file(self, name: str) -> bytes | None:
        """Return a file that was kept beside the database, None where there was none."""
        return self.read(name) if name in self._members else None


def open_archive(path: Path, progress: Progress = lambda done, total: None) -> Archive:
    """Check a file from its first byte to its last. SetupError says what is wrong with it."""
    try:
        with path.open("rb") as file:
            total = os.fstat(file.fileno()).st_size
            members, sha256 = _check(path, file, total, progress)
            manifest = _manifest(path, file, members)
    except OSError as error:
        raise SetupError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None
    if manifest.get("format") != FORMAT:
        raise SetupError(f"{path} has format {manifest.get('format')}; this QSuite reads format {FORMAT}: update it")
    for part in (*manifest["parts"], *manifest["files"]):
        found = members.get(part["name"])
        if found is None or found.sha256 != part["sha256"]:
            raise _damaged(path, f"its part {part['name']} is not the one of its manifest")
    return Archive(path, manifest, members, sha256)


def _check(path: Path, file: BinaryIO, total: int, progress: Progress) -> tuple[dict[str, Member], str]:
    """Go through the members up to the seal, which must be the one of all that was gone through."""
    everything = hashlib.sha256()
    members: dict[str, Member] = {}
    at, end = 0, total - SEAL_BYTES
    while at < end:
        header = file.read(BLOCK)
        everything.update(header)
        name, size = _header(path, header, at)
        at += BLOCK
        if size > PART_BYTES_MAX or at + size > end:
            raise _damaged(path, f"{name} does not end where it should")
        members[name] = Member(at, size, _hash_of(file, size, everything))
        at += size + -size % BLOCK
        progress(at, total)
    sha256 = everything.hexdigest()
    if at != end or file.read(SEAL_BYTES + 1) != seal(sha256):
        raise _damaged(path, "it is not whole, or was changed")
    progress(total, total)
    return members, sha256


def _header(path: Path, header: bytes, at: int) -> tuple[str, int]:
    try:
        info = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
    except (tarfile.TarError, ValueError):
        raise _damaged(path, f"what should begin at byte {at:,} is not there") from None
    if info.name == SEAL:
        raise _damaged(path, "it goes on behind its end")
    return info.name, info.size


def _hash_of(file: BinaryIO, size: int, everything: "hashlib._Hash") -> str:
    """Return the hash of the next ``size`` bytes; pass over what fills their last block."""
    own = hashlib.sha256()
    left = size
    while left and (data := file.read(min(PIECE, left))):
        own.update(data)
        everything.update(data)
        left -= len(data)
    everything.update(file.read(-size % BLOCK))
    return own.hexdigest()


def _manifest(path: Path, file: BinaryIO, members: Mapping[str, Member]) -> dict[str, Any]:
    found = members.get(MANIFEST)
    if found is None:
        raise _damaged(path, "it has no manifest")
    file.seek(found.at)
    try:
        manifest: dict[str, Any] = json.loads(file.read(found.size))
    except ValueError:
        raise _damaged(path, "its manifest cannot be read") from None
    return manifest


def _damaged(path: Path, reason: str) -> SetupError:
    return SetupError(f"{path} cannot be used: {reason}", code="setup.backup_damaged")
