"""Seals small secrets that must be read again, such as those of a second factor, before they go to the database.

    1.KEYID.NONCE||CIPHERTEXT||TAG    AES-256-GCM; whom it belongs to is authenticated with it

The keys are derived from the server's secrets, the first of which seals while all of them open: so a secret can be
changed, what was sealed under an older one is sealed anew when it is next used (``outdated``), and the older one is
dropped when nothing names it any more.

Invariant: a sealed text opens only unchanged, for whom it was sealed, and under one of the keys; whoever has only the
database reads nothing.
"""

import base64
import binascii
import hashlib
import secrets
from collections.abc import Sequence
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

VERSION = "1"
NONCE_BYTES = 12
PURPOSE = b"qsuite sealed secret aes-256-gcm 1"


class Seals:
    """Seal under the first of the server's secrets, open under any."""

    def __init__(self, server_secrets: Sequence[str]) -> None:
        keys = [_derive(secret) for secret in server_secrets]
        self._keys = {_key_id(key): AESGCM(key) for key in keys}
        self._newest = _key_id(keys[0])

    def seal(self, plain: bytes, owner: UUID) -> str:
        """Return the sealed text; the same plain one never gives the same twice."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = nonce + self._keys[self._newest].encrypt(nonce, plain, _context(owner))
        return f"{VERSION}.{self._newest}.{base64.urlsafe_b64encode(sealed).decode()}"

    def open(self, sealed: str, owner: UUID) -> bytes:
        """Return the plain bytes. ValueError for what was changed, is another's, or no key here opens."""
        version, _, rest = sealed.partition(".")
        key_id, _, text = rest.partition(".")
        key = self._keys.get(key_id)
        if version != VERSION or key is None:
            raise ValueError("sealed under a secret this server does not have")
        try:
            raw = base64.b64decode(text, altchars=b"-_", validate=True)
            return key.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], _context(owner))
        except (InvalidTag, binascii.Error):
            raise ValueError("the sealed text was changed, or is another's") from None

    def outdated(self, sealed: str) -> bool:
        """Say whether it is sealed under another secret than the one that seals now."""
        return not sealed.startswith(f"{VERSION}.{self._newest}.")


def _derive(secret: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=PURPOSE).derive(secret.encode())


def _key_id(key: bytes) -> str:
    return hashlib.sha256(PURPOSE + key).hexdigest()[:8]


def _context(owner: UUID) -> bytes:
    return PURPOSE + owner.bytes
