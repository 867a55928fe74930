"""Small files that only their owner may read: the signing secret and the demo's passwords.

Invariant: a file of this kind is never seen half written, is used only while no other user may read or change it, and
of two processes that make it at once both read the same.
"""

import os
import uuid
from collections.abc import Callable
from pathlib import Path

from qsuite.domain.errors import SetupError
from qsuite.secret_files import require_private
from qsuite.services.data_dir import make_data_dir


def read_or_make(path: Path, make: Callable[[], str]) -> str:
    """Return the file's text; when there is none, keep what ``make`` returns. SetupError if neither can be done."""
    make_data_dir(path.parent)
    try:
        if not path.exists():
            draft = _draft(path, make())
            try:
                os.link(draft, path)  # unlike a rename, loses to whoever was first
            except FileExistsError:
                pass  # another process made it: theirs counts
            finally:
                draft.unlink()
        require_private(path, path.stat(), "a secret")
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(path, error) from None


def _draft(path: Path, text: str) -> Path:
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(fd)
    return draft


def _unusable(path: Path, error: OSError | UnicodeDecodeError) -> SetupError:
    reason = error.strerror if isinstance(error, OSError) else "not text"
    return SetupError(f"cannot use {path}: {(reason or str(error)).lower()}")
