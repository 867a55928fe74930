"""End a mongod that an outright killed QSuite left on the directory, before another is started on it.

Invariant: only a process that is a mongod on exactly that directory is ever signalled; process ids are used again, so
the id in the pid file proves nothing by itself. mongod keeps that file itself (``mongod.lock``, empty after a clean
end), so it is true however QSuite ended.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from qsuite.domain.errors import SetupError

PATIENCE_S = 5.0
POLL_S = 0.01

# A name of its own: checked in place, the type checker calls the other branch unreachable.
HAS_PROC = sys.platform == "linux"


def end_leftover(db_path: Path, patience_s: float = PATIENCE_S) -> None:
    """Return once no mongod runs on ``db_path``: asked to end at first, made to after ``patience_s``.

    Its own tie to its parent has usually asked it already, and it needs about half a second. SetupError when it belongs
    to another user.
    """
    pid = _noted_pid(db_path)
    if pid is None:
        return
    for order, patience in ((signal.SIGTERM, patience_s), (signal.SIGKILL, patience_s)):
        if not runs_on(pid, db_path):
            return
        _send(pid, order)
        deadline = time.monotonic() + patience
        while runs_on(pid, db_path) and time.monotonic() < deadline:
            time.sleep(POLL_S)
    if runs_on(pid, db_path):
        raise SetupError(f"a mongod (process {pid}) still runs on {db_path} and cannot be ended")


def runs_on(pid: int, db_path: Path) -> bool:
    """Tell whether process ``pid`` is a mongod on ``db_path``. A dead one not yet waited for is not."""
    command = _command_of(pid)
    return "--dbpath" in command and str(db_path) in command and "mongod" in command[0]


def _noted_pid(db_path: Path) -> int | None:
    try:
        text = (db_path / "mongod.lock").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return int(text) if text.isdecimal() else None


def _send(pid: int, order: signal.Signals) -> None:
    try:
        os.kill(pid, order)
    except ProcessLookupError:
        return
    except PermissionError:
        raise SetupError(f"another user's mongod (process {pid}) runs on this data directory") from None


def _command_of(pid: int) -> list[str]:
    """Return the process's command line, empty when there is none."""
    if HAS_PROC:
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return []
        return line.decode(errors="surrogateescape").split("\0")
    shown = subprocess.run(  # a path with a blank in it is not found here, and mongod then refuses the directory
        ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return shown.stdout.split() or [""]
