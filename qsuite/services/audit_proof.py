"""Verify both audit chains, from the database or from an exported file, and export them.

    database ──> export_chains ──> FILE ──> verify_file     offline: no server, no database
        └──────> verify_chains

What bears witness beside the chain itself: the head its writers keep, and the heads that were signed and copied out
(``services.audit_heads``). Everything streams; memory does not grow with the chains. Blocking: for a thread.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from heapq import merge
from pathlib import Path
from typing import BinaryIO

from qsuite.domain.audit_proof import (
    CHAINS,
    Bad,
    ChainShape,
    ChainWalk,
    SignedHead,
    head_line,
    read_line,
    row_line,
)
from qsuite.domain.audit_trail import TrailHead
from qsuite.repos.audit_rows import AuditRows
from qsuite.services.audit_keys import AuditSigner, HeadChecker

LONGEST_LINE = 1_048_576


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was found of one chain: ``reason`` is None where it is as it was written; ``signed`` heads were seen."""

    chain: str
    entries: int
    hash: str
    signed: int
    bad_seq: int | None = None
    reason: str | None = None


def verify_chains(audit: AuditRows, heads: Path, checker: HeadChecker) -> list[Verdict]:
    """Verify the chains of a database against themselves, their kept heads, and those signed in a file, if any."""
    return [verify_chain(audit, chain, heads, checker) for chain in CHAINS]


def verify_chain(audit: AuditRows, chain: ChainShape, heads: Path, checker: HeadChecker) -> Verdict:
    """Verify one of them."""
    # Entries are added meanwhile: those there before must be there, and none may be beyond the end afterwards.
    before = audit.head(chain)
    walk = ChainWalk()
    signed = 0

    def told() -> Iterator[tuple[int, str]]:
        nonlocal signed
        for head in read_heads(heads, chain, checker):
            signed += 1
            yield head.seq, head.hash

    try:
        walk = ChainWalk(merge(told(), iter([(before.seq, before.hash)])))
        for row in audit.rows(chain):
            walk.follow(row)
        walk.end()
        if walk.seq > audit.head(chain).seq:
            raise Bad("entries follow the end that the writers of the chain know of", audit.head(chain).seq + 1)
    except Bad as bad:
        return _verdict(chain, walk, signed, bad)
    return _verdict(chain, walk, signed)


def read_heads(path: Path, chain: ChainShape, checker: HeadChecker | None) -> Iterator[SignedHead]:
    """Yield a chain's signed heads, oldest first, each checked. Bad for a line that is not one of ours.

    A last line without its end is one that is just being written, or never was because the power went.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(_lines(file), 1):
            if not line.endswith(b"\n"):
                return
            head = _as_head(line[:-1], f"{path.name}, line {number}")
            if checker is not None:
                checker.check(head)
            if head.chain == chain.name:
                yield head


def _as_head(line: bytes, where: str) -> SignedHead:
    try:
        read = read_line(line)
    except Bad as bad:
        raise Bad(f"{where}: {bad.reason}", bad.seq) from None
    if not isinstance(read, SignedHead):
        raise Bad(f"{where}: not a signed head")
    return read


# -- files --------------------------------------------------------------------------------------------------------


def export_chains(
    audit: AuditRows, signer: AuditSigner, file: BinaryIO, *, clock: Callable[[], int] = time.time_ns
) -> dict[str, int]:
    """Write both chains and, behind each, its signed head; return the entries written. Bad for one that is broken."""
    written = {}
    for chain in CHAINS:
        walk = ChainWalk()
        for row in audit.rows(chain):
            walk.follow(row)
            file.write(row_line(chain, row) + b"\n")
        file.write(head_line(signer.sign(chain.name, TrailHead(walk.seq, walk.hash), clock())) + b"\n")
        written[chain.name] = walk.seq
    return written


def verify_file(path: Path, heads: Path | None, checker: HeadChecker | None) -> list[Verdict]:
    """Verify an exported file, and what it says against a file of signed heads. ``checker`` None: no signatures."""
    with ExitStack() as opened:
        lines = _lines(opened.enter_context(path.open("rb")))
        verdicts = [_verify_part(chain, lines, heads, checker) for chain in CHAINS]
        if next(lines, None) is not None and verdicts[-1].reason is None:
            verdicts[-1] = _verdict(CHAINS[-1], ChainWalk(), 0, Bad("the file goes on after its last signed head"))
        return verdicts


def _verify_part(chain: ChainShape, lines: Iterator[bytes], heads: Path | None, checker: HeadChecker | None) -> Verdict:
    """Verify one chain of a file, up to its signed head."""
    witnesses: Iterable[SignedHead] = () if heads is None else read_heads(heads, chain, checker)
    walk = ChainWalk()
    end: SignedHead | None = None
    try:
        walk = ChainWalk((head.seq, head.hash) for head in witnesses)
        for line in lines:
            end = _take(chain, walk, line, checker)
            if end is not None:
                break
        if end is None:
            raise Bad("the file was cut short: no signed head ends the chain", walk.seq + 1)
        if (end.seq, end.hash) != (walk.seq, walk.hash):
            raise Bad("the chain does not end where its signed head says", min(end.seq, walk.seq) + 1)
        walk.end()
    except Bad as bad:
        if end is None:
            _skip_to_head(chain, lines)
        return _verdict(chain, walk, walk.agreed, bad)
    return _verdict(chain, walk, walk.agreed + 1)


def _take(chain: ChainShape, walk: ChainWalk, line: bytes, checker: HeadChecker | None) -> SignedHead | None:
    """Take one line; return the signed head that ends the chain."""
    try:
        if not line.endswith(b"\n"):
            raise Bad("the file was cut short")
        read = read_line(line[:-1])
    except Bad as bad:
        raise Bad(bad.reason, bad.seq or walk.seq + 1) from None
    if isinstance(read, SignedHead):
        if read.chain != chain.name:
            raise Bad("a signed head of another chain ends this one", walk.seq + 1)
        if checker is not None:
            checker.check(read)
        return read
    if read[0] is not chain:
        raise Bad("an entry of another chain is in this one", walk.seq + 1)
    walk.follow(read[1])
    return None


def _skip_to_head(chain: ChainShape, lines: Iterator[bytes]) -> None:
    """Go on to where the next chain begins, to judge that one too."""
    for line in lines:
        try:
            read = read_line(line.rstrip(b"\n"))
        except Bad:
            continue
        if isinstance(read, SignedHead) and read.chain == chain.name:
            return


def _lines(file: BinaryIO) -> Iterator[bytes]:
    return iter(lambda: file.readline(LONGEST_LINE), b"")


def _verdict(chain: ChainShape, walk: ChainWalk, signed: int, bad: Bad | None = None) -> Verdict:
    return Verdict(
        chain=chain.name,
        entries=walk.seq,
        hash=walk.hash,
        signed=signed,
        bad_seq=None if bad is None else bad.seq,
        reason=None if bad is None else bad.reason,
    )
