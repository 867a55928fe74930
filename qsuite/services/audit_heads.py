"""Copies where the audit chains end, signed, out of the database: whoever rewrites the chains cannot rewrite this too.

Once a minute, and at shutdown, a line is added to a file (``audit.heads_file``) and synced to disk for each chain that
grew. Before that the last line is held against the chain: an entry that is gone or says something else now was tampered
with, which is logged as an error and shown as a gauge at once; ``audit/verify/`` and ``qsuite audit verify`` look at
all of it. Keep the file, or a copy, where whoever administers the database cannot write.

Invariant: lines are only ever added. A last line without its end, left by a power cut, is cut off before the next.
"""

import os
from collections.abc import Callable
from pathlib import Path

import structlog

from qsuite.domain.audit_proof import CHAINS, Bad, ChainShape, SignedHead, head_line, read_line
from qsuite.domain.audit_trail import TrailHead
from qsuite.domain.errors import SetupError
from qsuite.repos.audit_rows import AuditRows
from qsuite.repos.database import Database
from qsuite.services.audit_keys import AuditSigner
from qsuite.services.data_dir import make_data_dir

log = structlog.get_logger(__name__)

HEADS_NAME = "audit-heads.jsonl"
TAIL_BYTES = 65_536
"""Read from the file's end for the last head of each chain; a head has 300."""


class AuditHeads:
    """Sign and copy the heads. A supervised loop."""

    name = "audit heads"

    def __init__(
        self,
        database: Database,
        signer: AuditSigner,
        path: Path,
        *,
        interval_s: float,
        alarm: Callable[[str, int], None],
    ) -> None:
        """Take ``alarm``, which is told of a chain and the number of an entry that is not what was signed."""
        self._database = database
        self._rows = AuditRows(database)
        self._signer = signer
        self._alarm = alarm
        self._last: dict[str, SignedHead] | None = None
        self.path = path
        self.interval_s = interval_s
        self.signed = 0
        """Heads copied out since the start."""
        self.broken: set[str] = set()
        """Chains that contradict what was signed."""
        self.lost = False
        """Whether the last heads could not be written."""

    @property
    def signer(self) -> AuditSigner:
        """Return what signs and checks."""
        return self._signer

    async def run_once(self, now: int) -> None:
        """Hold the last head against the chain, then copy out the new one."""
        try:
            await self._database.in_reader(self._round, now)
        except (OSError, SetupError) as error:  # no disk to write to; the chains themselves are in the database
            if not self.lost:
                log.error("audit.heads_not_kept", path=str(self.path), reason=str(error))
            self.lost = True
        else:
            self.lost = False

    async def stop(self, now: int) -> None:
        """Copy out the last heads."""
        await self.run_once(now)

    def _round(self, now: int) -> None:
        if self._last is None:
            self._last = self._open()
        grown = [head for chain in CHAINS if (head := self._look(chain, now)) is not None]
        if grown:
            self._add(grown)

    def _look(self, chain: ChainShape, now: int) -> SignedHead | None:
        assert self._last is not None
        last, head = self._last.get(chain.name), self._rows.head(chain)
        if last is not None and last.seq and self._rows.hash_of(chain, last.seq) != last.hash:
            if chain.name not in self.broken:
                log.error("audit.broken", chain=chain.name, seq=last.seq)
                self._alarm(chain.name, last.seq)
            self.broken.add(chain.name)
            return None  # a new head would give the change a signature
        self.broken.discard(chain.name)
        if head.seq == 0 or (last is not None and (head.seq, head.hash) == (last.seq, last.hash)):
            return None
        return self._signer.sign(chain.name, TrailHead(head.seq, head.hash), now - now % 1_000_000)

    def _add(self, heads: list[SignedHead]) -> None:
        assert self._last is not None
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, b"".join(head_line(head) + b"\n" for head in heads))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._last |= {head.chain: head for head in heads}
        self.signed += len(heads)

    def _open(self) -> dict[str, SignedHead]:
        """Cut off half a line, and return the last head of each chain."""
        make_data_dir(self.path.parent)
        if not self.path.exists():
            return {}
        with self.path.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            tail = file.read()
            whole = tail[: tail.rfind(b"\n") + 1]
            if len(whole) < len(tail):
                file.truncate(size - len(tail) + len(whole))
        last: dict[str, SignedHead] = {}
        for line in whole.splitlines():
            try:
                read = read_line(line)
            except Bad:  # the first line of the tail may be half of one; others are found by the verifier
                continue
            if isinstance(read, SignedHead):
                last[read.chain] = read
        return last
