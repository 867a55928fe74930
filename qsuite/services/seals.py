"""Seals small secrets that must be read again, such as those of a second factor, before they go to the database.

    1.KEYID.NONCE||CIPHERTEXT||TAG    AES-256-GCM; whom it belongs to is authenticated with it

The keys are derived under those of the ring (``services.keyring``): the one that signs now seals, each opens what it
sealed, however often they rotated since. What is sealed under an older one is sealed anew when it is next used
(``outdated``), so that a secret of the server that is to go is needed no more.

Invariant: a sealed text opens only unchanged, for whom it was sealed, and under the key it names; whoever has only the
database reads nothing.
"""

import base64
import secrets
from typing import Protocol
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from qsuite.domain.errors import NotFound

VERSION = "1"
NONCE_BYTES = 12
PURPOSE = b"sealed secret aes-256-gcm 1"


class Keys(Protocol):
    """What of the ring of keys is needed here."""

    def current_id(self) -> str:
        """Return the id of the key under which new things are made."""

    def derived_key(self, purpose: bytes, key_id: str) -> bytes:
        """Return 32 secret bytes for a purpose under a key. NotFound where its secret is not configured."""


class Seals:
    """Seal under the newest key, open under any."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def seal(self, plain: bytes, owner: UUID) -> str:
        """Return the sealed text; the same plain one never gives the same twice."""
        key_id, nonce = self._keys.current_id(), secrets.token_bytes(NONCE_BYTES)
        sealed = nonce + self._cipher(key_id).encrypt(nonce, plain, _context(owner))
        return f"{VERSION}.{key_id}.{base64.urlsafe_b64encode(sealed).decode()}"

    def open(self, sealed: str, owner: UUID) -> bytes:
        """Return the plain bytes. ValueError for what was changed, is another's, or no key here opens."""
        version, key_id, text = (*sealed.split("."), "", "")[:3]
        if version != VERSION:
            raise ValueError("not a sealed text")
        try:
            raw = base64.b64decode(text, altchars=b"-_", validate=True)
            return self._cipher(key_id).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], _context(owner))
        except NotFound as error:
            raise ValueError(f"sealed under a key this server does not have: {error.detail}") from None
        except (InvalidTag, ValueError):
            raise ValueError("the sealed text was changed, or is another's") from None

    def outdated(self, sealed: str) -> bool:
        """Say whether it is sealed under another key than the one that seals now."""
        return not sealed.startswith(f"{VERSION}.{self._keys.current_id()}.")

    def _cipher(self, key_id: str) -> AESGCM:
        return AESGCM(self._keys.derived_key(PURPOSE, key_id))


def _context(owner: UUID) -> bytes:
    return PURPOSE + owner.bytes
