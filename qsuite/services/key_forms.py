"""How a signing key is written: as a public JWK, and as the one header that tokens under it have."""

import base64
import hashlib
from typing import TypedDict

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ALGORITHM = "EdDSA"
HEADER_TYPE = "at+jwt"  # RFC 9068: this JWT is an access token and nothing else


class Jwk(TypedDict):
    """A public key (RFC 7517, RFC 8037)."""

    kty: str
    crv: str
    x: str
    kid: str
    use: str
    alg: str


def jwk(public: Ed25519PublicKey) -> Jwk:
    """Write a public key; its id is made of the key itself (RFC 7638), so two keys never share one."""
    point = base64url(public.public_bytes(Encoding.Raw, PublicFormat.Raw))
    # RFC 7638: the members that make the key, in alphabetical order, hashed.
    thumbprint = hashlib.sha256(orjson.dumps({"crv": "Ed25519", "kty": "OKP", "x": point})).digest()
    kid = base64url(thumbprint)[:16]
    return {"kty": "OKP", "crv": "Ed25519", "x": point, "kid": kid, "use": "sig", "alg": ALGORITHM}


def header_of(kid: str) -> dict[str, str]:
    """Return the header of tokens under a key."""
    return {"alg": ALGORITHM, "kid": kid, "typ": HEADER_TYPE}


def header_segment(kid: str) -> str:
    """Return that header as it stands in a token."""
    return base64url(orjson.dumps(header_of(kid), option=orjson.OPT_SORT_KEYS))


def base64url(raw: bytes) -> str:
    """Write bytes without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
