"""The file of a backup: a tar archive that says by its last bytes that it is whole, and by hashes that it is unchanged.

    README                       what it is, for whoever finds it
    orders/00001.bson.zst        documents one after the other, as BSON, compressed with Zstandard
    orders/00002.bson.zst
    …
    files/audit-heads.jsonl      the signed heads of the audit chains, which are kept outside the database
    manifest.json                versions, the instant, counts, the SHA-256 of every part and collection, the state hash
    SHA256                       the SHA-256 of every byte before this member

`tar`, `zstd` and `bsondump` read it without QSuite. Invariant: under its name there is only ever a whole file. It is
written beside that as ``….partial``, for the owner's eyes alone, is on disk before it gets its name, and takes no other
file's place.
"""

import fcntl
import hashlib
import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from qsuite.domain.errors import SetupError

FORMAT = 1
BLOCK = 512
MANIFEST = "manifest.json"
SEAL = "SHA256"
README = """A backup of QSuite, made by `qsuite backup` and read by `qsuite restore FILE`.

It holds password hashes, secrets sealed with the server's secret key, and everybody's orders: keep it as you keep the
database. The secret key is not in it, and without that key second factors and signed heads cannot be used again.
"""
PARTIAL = ".partial"


def member(name: str, data: bytes) -> bytes:
    """Return a member of the archive: its header, and its data in whole blocks."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o600
    return info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % BLOCK)


def seal(sha256: str) -> bytes:
    """Return the end of an archive whose bytes up to there have this hash."""
    return member(SEAL, f"{sha256}\n".encode()) + bytes(2 * BLOCK)


SEAL_BYTES = len(seal("0" * 64))


class ArchiveWriter:
    """Write a file part by part; leave it under its name by ``finish``, or nothing at all."""

    def __init__(self, path: Path) -> None:
        """Begin. SetupError where the file is there already, is being written, or cannot be."""
        self.path = path
        self.stored = 0
        """Bytes written so far."""
        self._partial = path.with_name(path.name + PARTIAL)
        self._hash = hashlib.sha256()
        if path.exists():
            raise SetupError(f"{path} is there already, and a backup takes no other file's place")
        try:
            self._file = os.open(self._partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unusable(self._partial, error) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise SetupError(f"another backup is just being written to {path}") from None
        os.fchmod(self._file, 0o600)
        os.ftruncate(self._file, 0)  # what a killed backup left

    def __enter__(self) -> Self:
        self.add("README", README.encode())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._partial.unlink(missing_ok=True)
        os.close(self._file)

    def add(self, name: str, data: bytes) -> str:
        """Write a member; return the SHA-256 of its data. SetupError where the disk takes no more."""
        self._write(member(name, data))
        return hashlib.sha256(data).hexdigest()

    def finish(self, manifest: Mapping[str, Any]) -> str:
        """Write manifest and seal and give the file its name; return the hash of all before the seal."""
        self._write(member(MANIFEST, json.dumps(manifest, indent=1).encode()))
        sha256 = self._hash.hexdigest()
        self._write(seal(sha256))
        try:
            os.fsync(self._file)
            os.link(self._partial, self.path)  # unlike a rename, takes no other file's place
            self._partial.unlink()
            _sync_folder(self.path.parent)
        except OSError as error:
            raise _unusable(self.path, error) from None
        return sha256

    def _write(self, data: bytes) -> None:
        self._hash.update(data)
        self.stored += len(data)
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError as error:
            raise _unusable(self._partial, error) from None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unusable(path: Path, error: OSError) -> SetupError:
    return SetupError(f"cannot write {path}: {(error.strerror or str(error)).lower()}")
