"""The data directory: one server at a time in it, and how a command beside that server finds its database.

Invariant: whoever holds the lock on ``qsuite.lock`` owns everything else in the directory; the kernel lets go of the
lock when its process ends, however it ends, so a directory is never left locked behind. ``server.json`` is only
believed while that lock is held.

    data/
      qsuite.lock    held while a server (or a command with a database of its own) runs; its pid inside
      server.json    who that is and which database it uses, readable by the owner alone
      mongodb/       the embedded database; mongodb.log and mongodb.port beside it
"""

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from qsuite.domain.errors import SetupError

LOCK_NAME = "qsuite.lock"
RUNTIME_NAME = "server.json"


@dataclass(frozen=True, slots=True)
class Runtime:
    """A process that uses the directory. ``address`` is empty for a command that serves nothing."""

    pid: int
    mongodb_uri: str
    address: str = ""


class DataDirLock:
    """Own a data directory until released, or until this process ends.

    Usable as a context manager. Child processes started with ``exec`` do not inherit it.
    """

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock. SetupError says who has it, or why the directory cannot be used."""
        make_data_dir(self.data_dir)
        path = self.data_dir / LOCK_NAME
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unusable(self.data_dir, error) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise SetupError(_taken(self.data_dir), code="setup.data_dir_in_use") from None
        self._fd = fd
        try:
            os.ftruncate(fd, 0)
            os.write(fd, f"{os.getpid()}\n".encode())
        except OSError as error:  # a full disk still allows to lock, not to write
            self.release()
            raise _unusable(self.data_dir, error) from None

    def release(self) -> None:
        """Let go; twice is harmless. The lock file stays: removing it would let two processes lock two files."""
        if self._fd is not None:
            clear_runtime(self.data_dir)
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def make_data_dir(data_dir: Path) -> None:
    """Make the directory, for its owner alone. SetupError if that, or writing into it, is impossible."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise _unusable(data_dir, error) from None
    if not os.access(data_dir, os.W_OK | os.X_OK):
        raise SetupError(f"cannot write to the data directory {data_dir}: permission denied")


def write_runtime(data_dir: Path, runtime: Runtime) -> None:
    """Tell commands beside this process which database it uses. The lock must be held.

    Replaced in one step, so that a reader never sees half of it.
    """
    path = data_dir / RUNTIME_NAME
    draft = path.with_suffix(".json.tmp")
    try:
        draft.unlink(missing_ok=True)
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            json.dump(asdict(runtime), file)
        draft.replace(path)
    except OSError as error:
        raise _unusable(data_dir, error) from None


def clear_runtime(data_dir: Path) -> None:
    """Forget the runtime; nothing to forget is fine."""
    (data_dir / RUNTIME_NAME).unlink(missing_ok=True)


def read_runtime(data_dir: Path) -> Runtime | None:
    """Return who uses the directory now, or None: nobody, or somebody still starting."""
    if lock_holder(data_dir) is None:
        return None
    return _parse_runtime(data_dir)


def lock_holder(data_dir: Path) -> int | None:
    """Return the pid of the process that holds the directory, or None. 0 means held by a process still starting."""
    path = data_dir / LOCK_NAME
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(fd, 32).decode("ascii", "replace").strip()
        return int(text) if text.isdecimal() else 0
    finally:
        os.close(fd)  # which also gives back a lock just taken
    return None


def _parse_runtime(data_dir: Path) -> Runtime | None:
    try:
        found = json.loads((data_dir / RUNTIME_NAME).read_text(encoding="utf-8"))
        return Runtime(pid=int(found["pid"]), mongodb_uri=str(found["mongodb_uri"]), address=str(found["address"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _taken(data_dir: Path) -> str:
    runtime = _parse_runtime(data_dir)
    if runtime is None:
        return f"another QSuite process ({lock_holder(data_dir) or 'still starting'}) is using {data_dir}"
    if not runtime.address:
        return f"a qsuite command (process {runtime.pid}) is using {data_dir}; wait until it ends"
    return f"QSuite already runs on {data_dir}: process {runtime.pid}, {runtime.address}"


def _unusable(data_dir: Path, error: OSError) -> SetupError:
    reason = (error.strerror or str(error)).lower()
    return SetupError(f"cannot use the data directory {data_dir}: {reason}")
