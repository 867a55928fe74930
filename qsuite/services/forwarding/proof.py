"""Who sent a request on, and for which client: a header that only processes with the same secret can make.

    X-Qsuite-Forwarded: 1;<key id>;<ms>;<scheme>;<order id>;<client's address>;<HMAC-SHA256 of these and the request>

Invariant: what a client writes into this header has no effect. The code covers method, address and ``Authorization``,
so that a header seen on one request lets nobody claim another client's address with a request of their own; and it ends
after ``VALID_MS``.
"""

import base64
import hmac
from collections.abc import Callable
from typing import NamedTuple, Protocol
from uuid import UUID

from qsuite.domain.errors import NotFound

HEADER = "X-Qsuite-Forwarded"
PURPOSE = b"request sent on by another process 1"
VERSION = "1"
VALID_MS = 30_000
NS_PER_MS = 1_000_000
KEYS_KEPT = 16


class Keys(Protocol):
    """What is needed of the ring of keys."""

    def current_id(self) -> str:
        """Return the id of the key that signs now."""

    def derived_key(self, purpose: bytes, key_id: str) -> bytes:
        """Return a secret for a purpose. NotFound for a key that is not known here."""


class Subject(NamedTuple):
    """The request that a proof belongs to."""

    method: str
    target: str
    authorization: str


class Forwarded(NamedTuple):
    """What the process that sent a request on says of it."""

    address: str
    scheme: str
    order_id: UUID
    """The id that an order made by this request gets."""


class Proof:
    """Make the header, and read it. ``clock`` in nanoseconds since 1970."""

    def __init__(self, keys: Keys, *, clock: Callable[[], int]) -> None:
        self._keys = keys
        self._clock = clock
        self._derived: dict[str, bytes] = {}

    def make(self, forwarded: Forwarded, subject: Subject) -> str:
        """Return the header's value. Unavailable in the moment without a key that signs."""
        key_id = self._keys.current_id()
        parts = (
            *(VERSION, key_id, str(self._clock() // NS_PER_MS)),
            *(forwarded.scheme, forwarded.order_id.hex, forwarded.address),
        )
        said = ";".join(parts)
        return f"{said};{self._code(key_id, said, subject)}"

    def read(self, header: str, subject: Subject) -> Forwarded | None:
        """Return what a header says; None for one that none of our processes made for this request, lately."""
        said, _, code = header.rpartition(";")
        parts = said.split(";")
        if len(parts) != 6 or parts[0] != VERSION or not header.isascii():
            return None
        _, key_id, stamp, scheme, order_id, address = parts
        try:
            wanted = self._code(key_id, said, subject)
        except NotFound:
            return None
        if not hmac.compare_digest(code, wanted):
            return None
        if abs(self._clock() // NS_PER_MS - int(stamp)) > VALID_MS:
            return None
        return Forwarded(address, scheme, UUID(order_id))

    def _code(self, key_id: str, said: str, subject: Subject) -> str:
        key = self._derived.get(key_id)
        if key is None:
            key = self._keys.derived_key(PURPOSE, key_id)
            if len(self._derived) >= KEYS_KEPT:
                self._derived.clear()
            self._derived[key_id] = key
        text = "\n".join((said, *subject)).encode()
        return base64.urlsafe_b64encode(hmac.digest(key, text, "sha256")).decode()
