"""Whether an audit chain is as it was written: both chains by one rule, from the database or from an exported file.

    {"chain":"access","seq":812,"ts":"…Z","kind":"user.changed",…,"prev_hash":"3a7b…","hash":"90f1…"}   an entry
    {"chain":"access","seq":812,"hash":"90f1…","ts":"…Z","kid":"…","signature":"…"}                     a signed head

Invariants: what is read must be, byte for byte, what would be written for what it says, so that nothing is outside the
hash; an entry is judged by the one before it; a signed head says what the entry of its number hashes to, so that a
chain cut short, or hashed anew from a change on, contradicts it.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from qsuite.domain.times import format_rfc3339, parse_rfc3339
from qsuite.domain.trading.audit import GENESIS, canonical_json


class ChainShape(NamedTuple):
    """One chain: its name, its collection, and what an entry holds between ``ts`` and ``prev_hash``, in this order."""

    name: str
    collection: str
    told: tuple[str, ...]


TRADING = ChainShape("trading", "audit_log", ("kind", "actor", "subject", "account", "facts"))
ACCESS = ChainShape(
    "access", "audit_access", ("kind", "actor", "actor_name", "subject", "facts", "request_id", "address")
)
CHAINS = (TRADING, ACCESS)
BY_NAME = {chain.name: chain for chain in CHAINS}


class Row(NamedTuple):
    """An entry of either chain; ``told`` as its shape lists it."""

    seq: int
    ts_ns: int
    told: tuple[Any, ...]
    prev_hash: str
    hash: str


class SignedHead(NamedTuple):
    """Where a chain ended at a time, signed by ``kid``."""

    chain: str
    seq: int
    hash: str
    ts_ns: int
    kid: str
    signature: str

    def signed_bytes(self) -> bytes:
        """Return what the signature is over."""
        return canonical_json(["qsuite audit head 1", *self[:-1]])


class Bad(Exception):
    """The first thing that is wrong with a chain, and where: the number of the entry, 0 for none."""

    def __init__(self, reason: str, seq: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.seq = seq


class ChainWalk:
    """Follow one chain from its first entry on."""

    def __init__(self, witnesses: Iterator[tuple[int, str]] = iter(())) -> None:  # noqa: B008  an empty one stays empty
        """Take ``witnesses``, what entries must hash to by their numbers, ascending."""
        self.seq = 0
        self.hash = GENESIS
        self.agreed = 0
        """Witnesses that agreed."""
        self._witnesses = witnesses
        self._next: tuple[int, str] | None = None
        self._advance()

    def follow(self, row: Row) -> None:
        """Take the next entry. Bad says why it is not what it was."""
        if row.seq != self.seq + 1:
            raise Bad(f"entry {self.seq + 1} is missing" if row.seq > self.seq else "an entry is out of order", row.seq)
        if row.prev_hash != self.hash:
            raise Bad("does not continue from the entry before it", row.seq)
        if row.hash != digest_of(row):
            raise Bad("was changed: its hash does not fit what it says", row.seq)
        self.seq, self.hash = row.seq, row.hash
        while self._next is not None and self._next[0] <= self.seq:
            if self._next[0] < self.seq:
                raise Bad("the heads told are not in order", self._next[0])
            if self._next[1] != self.hash:
                raise Bad("was rewritten: another hash was signed for it", row.seq)
            self.agreed += 1
            self._advance()

    def end(self) -> None:
        """Say that there are no more entries. Bad when a head tells of more."""
        if self._next is not None:
            raise Bad(f"the chain ends with entry {self.seq}, but entry {self._next[0]} was there", self.seq + 1)

    def _advance(self) -> None:
        """Take the next witness; the head of an empty chain says nothing of any entry."""
        self._next = next((told for told in self._witnesses if told != (0, GENESIS)), None)


def digest_of(row: Row) -> str:
    """Compute an entry's hash."""
    return hashlib.sha256(row.prev_hash.encode() + canonical_json([row.seq, row.ts_ns, *row.told])).hexdigest()


def check_told(chain: ChainShape, told: tuple[Any, ...]) -> None:
    """Refuse (Bad) what no entry holds: everything is text but the facts."""
    for name, value in zip(chain.told, told, strict=True):
        if type(value) is not (dict if name == "facts" else str):
            raise Bad(f"its {name} is of another type than was written")


# -- as lines of a file -------------------------------------------------------------------------------------------


def row_line(chain: ChainShape, row: Row) -> bytes:
    """Write an entry as a line, without its end."""
    said = dict(zip(chain.told, row.told, strict=True))
    head = {"chain": chain.name, "seq": row.seq, "ts": format_rfc3339(row.ts_ns)}
    return _line({**head, **said, "prev_hash": row.prev_hash, "hash": row.hash})


def head_line(head: SignedHead) -> bytes:
    """Write a signed head as a line, without its end."""
    return _line({**head._asdict(), "ts": format_rfc3339(head.ts_ns)}, without="ts_ns")


def read_line(line: bytes) -> tuple[ChainShape, Row] | SignedHead:
    """Read a line of either kind. Bad unless it is exactly as it was written."""
    try:
        said = json.loads(line)
        read = _head_of(said) if "signature" in said else _row_of(said)
        written = head_line(read) if isinstance(read, SignedHead) else row_line(*read)
    except (ValueError, KeyError, TypeError, RecursionError, AttributeError):
        raise Bad("the line cannot be read") from None
    if written != line:
        raise Bad("the line is not as it was written", read.seq if isinstance(read, SignedHead) else read[1].seq)
    return read


def _row_of(said: dict[str, Any]) -> tuple[ChainShape, Row]:
    chain = BY_NAME[said["chain"]]
    told = tuple(said[name] for name in chain.told)
    check_told(chain, told)
    return chain, Row(_whole(said["seq"]), parse_rfc3339(said["ts"]), told, said["prev_hash"], said["hash"])


def _head_of(said: dict[str, Any]) -> SignedHead:
    seq, ts_ns = _whole(said["seq"]), parse_rfc3339(said["ts"])
    return SignedHead(said["chain"], seq, said["hash"], ts_ns, said["kid"], said["signature"])


def _whole(value: object) -> int:
    if type(value) is not int:
        raise ValueError("not a whole number")
    return value


def _line(said: dict[str, Any], without: str = "") -> bytes:
    said.pop(without, None)
    return json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode()
