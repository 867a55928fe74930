"""Codes of a second factor, computed from RFC 4226 and RFC 6238 alone: nothing is shared with the server's side."""

import base64
import hashlib
import hmac
import struct


def totp_at(secret: str, seconds: float, *, digits: int = 6) -> str:
    """Return the code that a phone with this base32 secret shows at a time."""
    counter = struct.pack(">Q", int(seconds) // 30)
    digest = hmac.new(base64.b32decode(secret), counter, hashlib.sha1).digest()
    offset = digest[-1] & 0x0F
    number = struct.unpack(">I", digest[offset : offset + 4])[0] & 0x7FFF_FFFF
    return f"{number % 10**digits:0{digits}d}"
