"""API keys: how programs come in without a password.

Invariant: a key never does more than its user may do now, nor more than whoever made it could, nor more than its own
scopes; no key makes or lists keys, so that a leaked one cannot outlive its deletion.
"""

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from uuid import UUID

from uuid_utils.compat import uuid7

from qsuite.domain.access import GRANTS, KEY_PREFIX, KEY_TOKEN, AccessChange, ApiKey
from qsuite.domain.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from qsuite.domain.listing import Listing, Page
from qsuite.domain.roles import Caller, Role
from qsuite.domain.scopes import KeyLimits, Network, Scope
from qsuite.domain.times import NS_PER_S, floor_ms
from qsuite.repos.api_keys import ApiKeysRepo
from qsuite.repos.database import Session as DbSession
from qsuite.repos.users import UsersRepo
from qsuite.services.audit_trail import AuditTrail
from qsuite.services.key_uses import KeyUses

MAX_KEYS = 100
SHOWN = len(KEY_PREFIX) + 8
RECHECKED_AFTER_NS = 3_600 * NS_PER_S

_SHAPE = re.compile(rf"{KEY_PREFIX}[A-Za-z0-9_-]{{43}}")


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made, with the secret that is shown this once."""

    key: ApiKey
    secret: str = field(repr=False)


class ApiKeys:
    """Make, list, revoke and check keys."""

    def __init__(
        self, *, keys: ApiKeysRepo, users: UsersRepo, trail: AuditTrail, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._keys = keys
        self._users = users
        self._trail = trail
        self._clock = clock
        self.uses = KeyUses(keys, clock)

    async def create(
        self,
        caller: Caller,
        name: str,
        *,
        role: Role | None = None,
        expires_at: int | None = None,
        scopes: Iterable[Scope] | None = None,
        networks: Iterable[Network] = (),
    ) -> NewKey:
        """Make a key with the caller's role or a lesser one, for these scopes (without any: all) and networks.

        Forbidden for a role beyond the caller's, Invalid for an expiry in the past, Conflict at ``MAX_KEYS``.
        """
        _require_login(caller)
        now = floor_ms(self._clock())
        role = role or caller.role
        if role not in GRANTS[caller.role]:
            raise Forbidden(f"the role {caller.role.value} cannot give {role.value} to a key")
        if expires_at is not None and floor_ms(expires_at) <= now:
            raise Invalid("some fields are wrong", errors={"expires_at": ["in the past"]})
        if await self._keys.count(caller.user) >= MAX_KEYS:
            raise Conflict(f"at most {MAX_KEYS} keys: delete one first")
        secret = KEY_PREFIX + secrets.token_urlsafe(32)
        key = ApiKey(
            id=uuid7(),
            user=caller.user,
            username=caller.username,
            name=name,
            role=role,
            prefix=secret[:SHOWN],
            key_hash=_hash(secret),
            created_at=now,
            expires_at=None if expires_at is None else floor_ms(expires_at),
            limits=_limits(scopes, networks),
        )
        await self._trail.record(
            "api_key.created",
            actor=caller.user,
            actor_name=caller.username,
            subject=key.id,
            facts={"name": name, "role": role, "expires_at": key.expires_at},
            change=lambda session: self._keys.add(key, session),
        )
        return NewKey(key, secret)

    async def page(self, caller: Caller, listing: Listing) -> Page[ApiKey]:
        """Answer a listing of the caller's own keys."""
        _require_login(caller)
        return await self._keys.page(caller.user, listing)

    async def revoke(self, caller: Caller, key: UUID) -> AccessChange:
        """Revoke one of the caller's own keys. NotFound."""
        _require_login(caller)

        async def change(session: DbSession) -> AccessChange:
            revoked = await self._keys.revoke(key, caller.user, now=floor_ms(self._clock()), session=session)
            if revoked is None:
                raise NotFound("no such key")
            return revoked

        return await self._trail.record(
            "api_key.revoked", actor=caller.user, actor_name=caller.username, subject=key, change=change
        )

    async def check(self, secret: str) -> tuple[Caller, int]:
        """Return who a key lets in and until when that may be remembered. Unauthenticated, or Forbidden."""
        if _SHAPE.fullmatch(secret) is None:
            raise Unauthenticated("not an API key")
        key = await self._keys.find_by_hash(_hash(secret))
        now = self._clock()
        user = None if key is None or not key.usable(now) else await self._users.find(key.user)
        if key is None or user is None or not user.is_active:
            raise Unauthenticated("the API key does not let anybody in")
        if key.role not in GRANTS[user.role]:
            raise Forbidden("the API key may do more than its user may now: make a new one")
        until = now + RECHECKED_AFTER_NS
        caller = user.caller(f"{KEY_TOKEN}{key.id}", key.role, key.limits)
        return caller, until if key.expires_at is None else min(until, key.expires_at)


def _limits(scopes: Iterable[Scope] | None, networks: Iterable[Network]) -> KeyLimits | None:
    networks = tuple(dict.fromkeys(networks))
    if scopes is None and not networks:
        return None
    return KeyLimits(None if scopes is None else frozenset(scopes), networks)


def _require_login(caller: Caller) -> None:
    if caller.token.startswith(KEY_TOKEN):
        raise Forbidden("log in with a password to manage API keys")


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
