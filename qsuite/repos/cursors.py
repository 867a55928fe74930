"""Opaque cursors: where a list page ended, as text that comes back unchanged or is refused.

A cursor holds the last item's values in sort order, each with its BSON type so that nothing is rounded, and a digest
over them and over what was listed. The digest catches accidents, not attackers: whoever forges a cursor only moves
within what the listing's own conditions let them see.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from bson.decimal128 import Decimal128

from qsuite.domain.errors import Invalid

MAX_LENGTH = 4_096
DIGEST_BYTES = 9
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

_READ: dict[str, Callable[[str], Any]] = {
    "s": str,
    "i": int,
    "f": float.fromhex,
    "b": lambda text: text == "1",
    "d": Decimal128,
    "t": lambda text: _EPOCH + int(text) * _MILLISECOND,
    "u": UUID,
    "n": lambda _: None,
}


def cursor_after(values: list[Any], scope: str) -> str:
    """Write a cursor for the last item's values; ``scope`` says what was listed, so that no other list takes it."""
    payload = json.dumps([_write(value) for value in values], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_digest(payload, scope) + payload).decode().rstrip("=")


def read_cursor(text: str, scope: str, length: int) -> list[Any]:
    """Read a cursor back. Invalid for one that was cut, changed, made up, or given out by another list."""
    try:
        if len(text) > MAX_LENGTH or not text.isascii():
            raise ValueError(text)
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        checksum, payload = raw[:DIGEST_BYTES], raw[DIGEST_BYTES:]
        # Decoding forgives stray bits at the end: the same bytes must give the same text again.
        if checksum != _digest(payload, scope) or base64.urlsafe_b64encode(raw).decode().rstrip("=") != text:
            raise ValueError(text)
        values = [_READ[kind](value) for kind, value in json.loads(payload)]
    except (ValueError, binascii.Error):
        values = []
    if len(values) != length:
        raise Invalid("the cursor does not belong to this list", errors={"cursor": ["not a cursor of this list"]})
    return values


def _digest(payload: bytes, scope: str) -> bytes:
    return hashlib.blake2b(payload + b"\0" + scope.encode(), digest_size=DIGEST_BYTES).digest()


def _write(value: Any) -> tuple[str, str]:
    if value is None:
        return "n", ""
    if isinstance(value, bool):
        return "b", "1" if value else "0"
    if isinstance(value, str):
        return "s", value
    if isinstance(value, int):
        return "i", str(value)
    if isinstance(value, float):
        return "f", value.hex()
    if isinstance(value, datetime):
        return "t", str((value - _EPOCH) // _MILLISECOND)
    if isinstance(value, (Decimal128, UUID)):
        return "d" if isinstance(value, Decimal128) else "u", str(value)
    raise TypeError(f"cannot page by a {type(value).__name__}")
