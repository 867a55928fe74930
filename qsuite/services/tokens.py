"""Makes and checks access tokens: JWT signed with Ed25519, under a key derived from the one secret.

Invariant: of a token nothing is believed before its signature holds. Its header is not even read: it must be, byte for
byte, the header of one of our keys, and that key has one algorithm. So ``alg``, ``kid``, ``jku`` and ``crit`` have no
say (RFC 8725 sections 3.1, 3.2, 3.10).
"""

import base64
import hashlib
import re
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from qsuite.domain.access import Claims
from qsuite.domain.errors import SetupError, Unauthenticated
from qsuite.domain.times import NS_PER_S
from qsuite.services.private_files import read_or_make
from qsuite.settings import SECRET_MIN_LENGTH, AuthSettings, Settings

ALGORITHM = "EdDSA"
HEADER_TYPE = "at+jwt"  # RFC 9068: this JWT is an access token and nothing else
CLAIM_TYPE = "access"
REQUIRED = ["iss", "aud", "sub", "exp", "iat", "nbf", "jti", "typ", "sid"]
MAX_LENGTH = 2_048
SKEW_S = 2  # another process's clock may be this far ahead; more raises an alarm elsewhere
SECRET_NAME = "secret.key"  # noqa: S105  a file name

_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


def secret_of(settings: Settings) -> str:
    """Return the configured secret; without one make it once and keep it in the data directory.

    Production never gets here without a secret: the settings refuse that. SetupError for a file that was damaged.
    """
    if settings.secret_key is not None:
        return settings.secret_key
    path = settings.data_dir / SECRET_NAME
    secret = read_or_make(path, lambda: secrets.token_urlsafe(48))
    if len(secret) < SECRET_MIN_LENGTH:
        raise SetupError(f"{path} is damaged; remove it to get a new one (everybody must then log in again)")
    return secret


class TokenSigner:
    """Sign and check with one key; publish its public half."""

    def __init__(self, secret: str, settings: AuthSettings, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._settings = settings
        self._clock = clock
        self._private = _derive(secret)
        self._jwk = _jwk(self._private.public_key())
        self._header = {"alg": ALGORITHM, "kid": self._jwk["kid"], "typ": HEADER_TYPE}
        # A map, so that a retired key can stay beside the new one while its tokens run out.
        self._keys: Mapping[str, Ed25519PublicKey] = {_segment(self._header): self._private.public_key()}

    def issue(self, user: UUID, session: UUID) -> str:
        """Return a new access token, good for ``access_s`` from now."""
        now_s = self._clock() // NS_PER_S
        claims = {
            "iss": self._settings.issuer,
            "aud": self._settings.audience,
            "sub": str(user),
            "sid": str(session),
            "iat": now_s,
            "nbf": now_s,
            "exp": now_s + self._settings.access_s,
            "jti": secrets.token_hex(16),
            "typ": CLAIM_TYPE,
        }
        return jwt.encode(claims, self._private, ALGORITHM, headers=self._header, sort_headers=True)

    def read(self, token: str) -> Claims:
        """Return what a token says once everything about it holds. Unauthenticated otherwise, whatever was sent."""
        if len(token) > MAX_LENGTH or _SHAPE.fullmatch(token) is None:
            raise Unauthenticated("not an access token")
        key = self._keys.get(token.partition(".")[0])
        if key is None:
            raise Unauthenticated("not an access token of this server")
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                # Times are checked below, against the clock that was handed in.
                options={"require": REQUIRED, "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
            return self._checked(claims)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise Unauthenticated("the access token is not valid") from None

    def jwks(self) -> dict[str, Any]:
        """Return the public keys as a JWK Set (RFC 7517, RFC 8037)."""
        return {"keys": [self._jwk]}

    def _checked(self, claims: Mapping[str, Any]) -> Claims:
        if claims["typ"] != CLAIM_TYPE:
            raise ValueError("typ")
        issued, begins, ends = (_whole(claims[name]) for name in ("iat", "nbf", "exp"))
        now_s = self._clock() // NS_PER_S
        if now_s >= ends:
            raise Unauthenticated("the access token has expired")
        if begins > now_s + SKEW_S or issued > now_s + SKEW_S:
            raise ValueError("not yet")
        return Claims(
            user=_uuid(claims["sub"]),
            session=_uuid(claims["sid"]),
            token_id=claims["jti"],
            issued_at=issued * NS_PER_S,
            expires_at=ends * NS_PER_S,
        )


def _derive(secret: str) -> Ed25519PrivateKey:
    seed = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"qsuite access token ed25519 1").derive(secret.encode())
    return Ed25519PrivateKey.from_private_bytes(seed)


def _jwk(public: Ed25519PublicKey) -> dict[str, str]:
    point = _base64url(public.public_bytes(Encoding.Raw, PublicFormat.Raw))
    # RFC 7638: the members that make the key, in alphabetical order, hashed.
    thumbprint = hashlib.sha256(orjson.dumps({"crv": "Ed25519", "kty": "OKP", "x": point})).digest()
    kid = _base64url(thumbprint)[:16]
    return {"kty": "OKP", "crv": "Ed25519", "x": point, "kid": kid, "use": "sig", "alg": ALGORITHM}


def _segment(header: Mapping[str, str]) -> str:
    return _base64url(orjson.dumps(header, option=orjson.OPT_SORT_KEYS))


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _uuid(value: object) -> UUID:
    if not isinstance(value, str):
        raise TypeError("not text")
    return UUID(value)


def _whole(value: object) -> int:
    if type(value) is not int:
        raise TypeError("not a whole number")
    return value
