"""Security events in a file of their own, one JSON object a line: for whoever watches, not for whoever debugs.

What is in the audit record and concerns access goes here too, and what the engine records of limits and switches. The
file is begun anew at a size, and so many of before are kept. Invariants: no secret is in it, since none is in the
record; the event loop waits for no disk: lines are written by a thread, in rounds, and once more at the end.
"""

import asyncio
import logging
from collections import deque
from logging.handlers import RotatingFileHandler
from pathlib import Path

import orjson
import structlog

from qsuite.domain.audit_trail import Draft
from qsuite.domain.errors import SetupError
from qsuite.domain.times import format_rfc3339
from qsuite.services.data_dir import make_data_dir

log = structlog.get_logger(__name__)

KINDS = (
    *("login.", "refresh.", "session.", "sessions.", "user.", "totp.", "api_key.", "signing_key."),
    *("request.", "stream.", "audit.", "risk."),
)
WAITING_MAX = 10_000
"""Lines that wait for the disk at most; of more the oldest are lost, and counted."""


class SecurityLog:
    """Write them. A supervised loop."""

    name = "security log"
    interval_s = 0.2

    def __init__(self, path: Path, *, size: int, kept: int) -> None:
        self._path = path
        self._size = size
        self._kept = kept
        self._handler: RotatingFileHandler | None = None
        self._waiting: deque[Draft] = deque(maxlen=WAITING_MAX)
        self._writing = asyncio.Lock()
        self.lost = 0

    def tell(self, said: Draft) -> None:
        """Take an event, if it is one of security."""
        if said.kind.startswith(KINDS):
            self.lost += len(self._waiting) == WAITING_MAX
            self._waiting.append(said)

    async def run_once(self, now: int) -> None:
        """Write what waits."""
        async with self._writing:
            if self._waiting:
                lines = [_line(self._waiting.popleft()) for _ in range(len(self._waiting))]
                await asyncio.shield(asyncio.to_thread(self._keep, lines))

    async def stop(self) -> None:
        """Write the rest and close the file."""
        await self.run_once(0)
        if self._handler is not None:
            await asyncio.to_thread(self._handler.close)

    def _keep(self, lines: list[str]) -> None:
        try:
            self._write(lines)
        except (OSError, SetupError) as error:  # they are in the database all the same
            if not self.lost:
                log.error("security_log.not_written", path=str(self._path), reason=str(error))
            self.lost += len(lines)

    def _write(self, lines: list[str]) -> None:
        if self._handler is None:
            make_data_dir(self._path.parent)
            self._path.touch(mode=0o600)
            self._handler = RotatingFileHandler(
                self._path, maxBytes=self._size, backupCount=self._kept, encoding="utf-8"
            )
        for line in lines:
            self._handler.emit(logging.LogRecord("security", logging.INFO, "", 0, line, None, None))


def _line(said: Draft) -> str:
    shown = {"ts": format_rfc3339(said.ts_ns), **{name: getattr(said, name) for name in Draft._fields[1:]}}
    return orjson.dumps({name: value for name, value in shown.items() if value not in ("", {})}).decode()
