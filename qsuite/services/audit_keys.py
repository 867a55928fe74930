"""The key that signs where an audit chain ends (Ed25519), and the public halves that check it.

Derived from the server's secret by HKDF for this purpose alone, so that a head's signature is no token's and the other
way round. The key id is the RFC 7638 thumbprint: heads signed under a secret that was replaced stay readable for
whoever kept its public half (``qsuite audit keys``).
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from qsuite.domain.audit_proof import Bad, SignedHead
from qsuite.domain.audit_trail import TrailHead
from qsuite.domain.errors import SetupError

PURPOSE = b"qsuite audit head ed25519 1"
Jwk = Mapping[str, str]


class AuditSigner:
    """Sign heads with the first secret; check those of all."""

    def __init__(self, secrets: Sequence[str]) -> None:
        private = [_derive(secret) for secret in secrets]
        self._private = private[0]
        self.jwks = [_jwk(one.public_key()) for one in private]
        """The public halves, the one that signs first."""
        self.checker = HeadChecker(self.jwks)

    def sign(self, chain: str, head: TrailHead, ts_ns: int) -> SignedHead:
        """Sign where a chain ends now."""
        unsigned = SignedHead(chain, head.seq, head.hash, ts_ns, self.jwks[0]["kid"], "")
        return unsigned._replace(signature=_base64url(self._private.sign(unsigned.signed_bytes())))


class HeadChecker:
    """Check signatures by public keys alone."""

    def __init__(self, jwks: Iterable[Jwk]) -> None:
        self._keys = {jwk["kid"]: _public(jwk) for jwk in jwks}

    def check(self, head: SignedHead) -> None:
        """Refuse (Bad) a head that none of the keys signed."""
        key = self._keys.get(head.kid)
        if key is None:
            raise Bad(f"a head is signed with a key that is not known here ({head.kid[:40]})", head.seq)
        try:
            signature = _bytes_of(head.signature)
            if not hmac.compare_digest(_base64url(signature), head.signature):
                raise ValueError
            key.verify(signature, head.signed_bytes())
        except (InvalidSignature, ValueError, binascii.Error):
            raise Bad("the signature of a head is not right", head.seq) from None


def read_public_keys(path: Path) -> list[Jwk]:
    """Read public keys from a file: a JWK or a JWK Set (RFC 7517). SetupError for anything else."""
    try:
        said = json.loads(path.read_bytes())
        keys: list[Jwk] = said.get("keys", [said])
        for key in keys:
            if _jwk(_public(key))["kid"] != key["kid"]:
                raise ValueError("a key's kid is not its thumbprint")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SetupError(f"{path} holds no Ed25519 public keys as JWK: {error}") from None
    return keys


def _derive(secret: str) -> Ed25519PrivateKey:
    seed = HKDF(algorithm=SHA256(), length=32, salt=None, info=PURPOSE).derive(secret.encode())
    return Ed25519PrivateKey.from_private_bytes(seed)


def _jwk(public: Ed25519PublicKey) -> dict[str, str]:
    point = _base64url(public.public_bytes(Encoding.Raw, PublicFormat.Raw))
    members: dict[str, Any] = {"crv": "Ed25519", "kty": "OKP", "x": point}
    thumbprint = hashlib.sha256(json.dumps(members, separators=(",", ":")).encode()).digest()
    return {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": point,
        "kid": _base64url(thumbprint)[:16],
        "use": "sig",
        "alg": "EdDSA",
    }


def _public(jwk: Jwk) -> Ed25519PublicKey:
    if jwk["kty"] != "OKP" or jwk["crv"] != "Ed25519":
        raise ValueError("not an Ed25519 key")
    return Ed25519PublicKey.from_public_bytes(_bytes_of(jwk["x"]))


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes_of(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
