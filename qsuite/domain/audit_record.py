"""An entry of either audit chain as it is shown to whoever reads the record."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One entry; what its chain does not hold is empty."""

    chain: str
    seq: int
    ts_ns: int
    kind: str
    actor: str
    actor_name: str
    subject: str
    account: str
    facts: dict[str, Any]
    request_id: str
    address: str
    prev_hash: str
    hash: str
