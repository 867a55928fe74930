"""Say in one plain line why mongod did not start, from its exit code and the end of its log.

mongod writes a JSON object a line; a loader that cannot run it writes plain text into the same file.
"""

import json
from pathlib import Path

from qsuite.domain.errors import SetupError

READ_BYTES_MAX = 200_000
CANNOT_RUN = (126, 127)  # what a loader or an exec that failed exits with
NEWER_DATA = 62
SEVERE = ("F", "E")


def explain(binary: Path, log_path: Path, start: int, exit_code: int | None, detail: str) -> SetupError:
    """Return the error for a start that failed; what was logged before offset ``start`` belongs to earlier ones.

    Its code is ``setup.mongod_unusable`` when this binary can never run on this machine.
    """
    lines = _lines(log_path, start)
    if exit_code in CANNOT_RUN:
        reason = lines[-1] if lines else "it cannot be executed"
        return SetupError(f"mongod cannot run here: {reason}", code="setup.mongod_unusable")
    if any("No space left on device" in line for line in lines):
        return SetupError(f"the disk is full: the embedded database cannot start in {log_path.parent}")
    if exit_code == NEWER_DATA:
        return SetupError(
            f"the data in {log_path.parent} was written by another MongoDB version than {binary} can read"
        )
    if exit_code is None:
        return SetupError(f"the embedded database does not get ready: {detail}; see {log_path}")
    return SetupError(f"mongod ended with code {exit_code}: {_last_words(lines)}; see {log_path}")


def _lines(log_path: Path, start: int) -> list[str]:
    try:
        with log_path.open("rb") as log:
            size = log.seek(0, 2)
            log.seek(max(start, size - READ_BYTES_MAX))
            text = log.read().decode(errors="replace")
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]


def _last_words(lines: list[str]) -> str:
    """Return the last severe message, or the last line of any kind."""
    for line in reversed(lines):
        try:
            entry = json.loads(line)
        except ValueError:
            return line
        if isinstance(entry, dict) and entry.get("s") in SEVERE:
            attributes = entry.get("attr") or {}
            reason = attributes.get("error") or attributes.get("message") or attributes.get("msg") or ""
            return f"{entry.get('msg', '')} {reason}".strip()
    return "it says nothing"
