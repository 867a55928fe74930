"""Makes and checks access tokens: JWT signed with Ed25519, under the keys of the ring (``services.keyring``).

Invariant: of a token nothing is believed before its signature holds. Its header is not even read: it must be, byte for
byte, the header of one of our keys, and that key has one algorithm. So ``alg``, ``kid``, ``jku`` and ``crit`` have no
say (RFC 8725 sections 3.1, 3.2, 3.10).
"""

import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

import jwt

from qsuite.domain.access import Claims
from qsuite.domain.errors import Unauthenticated
from qsuite.domain.times import NS_PER_S
from qsuite.services.key_forms import ALGORITHM, Jwk, header_of
from qsuite.services.keyring import Ring
from qsuite.settings import AuthSettings

CLAIM_TYPE = "access"
REQUIRED = ["iss", "aud", "sub", "exp", "iat", "nbf", "jti", "typ", "sid"]
MAX_LENGTH = 2_048
SKEW_S = 2  # another process's clock may be this far ahead; more raises an alarm elsewhere

_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class TokenSigner:
    """Sign with the key whose turn it is, check with those whose tokens still count, publish the public halves."""

    def __init__(
        self,
        ring: Callable[[], Ring],
        settings: AuthSettings,
        *,
        look_again: Callable[[], Awaitable[None]] | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._ring = ring
        self._settings = settings
        self._look_again = look_again
        self._clock = clock

    def issue(self, user: UUID, session: UUID) -> str:
        """Return a new access token, good for ``access_s`` from now."""
        now = self._clock()
        now_s, pair = now // NS_PER_S, self._ring().signing(now)
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
        return jwt.encode(claims, pair.private, ALGORITHM, headers=header_of(pair.key.id), sort_headers=True)

    async def check(self, token: str) -> Claims:
        """Read a token; where it names a key that is not known here, look whether another process has just made it."""
        if self._look_again is not None and _well_formed(token) and not self._ring().knows(token.partition(".")[0]):
            await self._look_again()
        return self.read(token)

    def read(self, token: str) -> Claims:
        """Return what a token says once everything about it holds. Unauthenticated otherwise, whatever was sent."""
        if not _well_formed(token):
            raise Unauthenticated("not an access token")
        pair = self._ring().verifying(token.partition(".")[0], self._clock())
        if pair is None:
            raise Unauthenticated("not an access token of this server")
        try:
            claims = jwt.decode(
                token,
                pair.public,
                algorithms=[ALGORITHM],
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                # Times are checked below, against the clock that was handed in.
                options={"require": REQUIRED, "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
            return self._checked(claims)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise Unauthenticated("the access token is not valid") from None

    def jwks(self) -> dict[str, list[Jwk]]:
        """Return the public keys as a JWK Set (RFC 7517, RFC 8037), those that sign only later among them."""
        return {"keys": self._ring().published(self._clock())}

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


def _well_formed(token: str) -> bool:
    return len(token) <= MAX_LENGTH and _SHAPE.fullmatch(token) is not None


def _uuid(value: object) -> UUID:
    if not isinstance(value, str):
        raise TypeError("not text")
    return UUID(value)


def _whole(value: object) -> int:
    if type(value) is not int:
        raise TypeError("not a whole number")
    return value
