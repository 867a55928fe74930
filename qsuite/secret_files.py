"""Secrets from files: ``QSUITE_SECRET_KEY_FILE=/run/secrets/qsuite`` in the place of ``QSUITE_SECRET_KEY=…``.

What an environment holds is inherited by every child process and shown by `docker inspect`; a mounted file is neither.
Every setting that hides its value takes it from a file, named by its own name with ``_FILE`` after it.
"""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from qsuite.domain.errors import SetupError

SUFFIX = "_file"
MAX_BYTES = 65_536
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def with_secret_files(given: dict[str, str], secret_names: Iterable[str], prefix: str) -> dict[str, str]:
    """Return settings (lower-case names, no prefix) with the text of files in the place of their paths.

    SetupError for a file that cannot be read, that others may change or read, and for a setting given both ways. An
    empty path is none.
    """
    read = dict(given)
    for name in secret_names:
        path = read.pop(name + SUFFIX, "")
        if not path:
            continue
        shown = prefix + name.upper()
        if given.get(name):
            raise SetupError(f"{shown} and {shown}_FILE are both set: give one of them")
        read[name] = _text(Path(path).expanduser(), f"{shown}_FILE")
    return read


def require_private(path: Path, found: os.stat_result, what: str) -> None:
    """Refuse a secret that others may change, or read where it is ours to forbid. SetupError names the file.

    A file that root has mounted for us is read as it is: who else sees it is the mount's business.
    """
    ours = found.st_uid == os.geteuid()
    shared = found.st_mode & (OTHERS_WRITE | stat.S_IROTH | stat.S_IRGRP if ours else OTHERS_WRITE)
    if shared:
        doing = "changed" if shared & OTHERS_WRITE else "read"
        raise SetupError(f"{what}: {path} may be {doing} by other users of this machine; run chmod 600 on it")


def _text(path: Path, what: str) -> str:
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise SetupError(f"{what}: {path} is no file")
            require_private(path, found, what)
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise SetupError(f"{what}: {path} is longer than a secret")
        text = raw.decode("utf-8").strip()
    except OSError as error:
        raise SetupError(f"{what}: cannot read {path}: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError:
        raise SetupError(f"{what}: {path} is not text") from None
    if not text:
        raise SetupError(f"{what}: {path} is empty")
    return ",".join(text.splitlines())
