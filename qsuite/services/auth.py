"""Who is calling: logs in and out, keeps sessions, and turns an Authorization header into a ``Caller``.

Every request starts here; ``remembered`` is the order's way and touches memory only.

    header ── seen before ──────────────────────────────────────────> Caller
       └── access token: signature, claims ── session, user in the database ──┘ (remembered)
       └── API key: SHA-256 ── key, user in the database ─────────────────────┘ (remembered)

Invariants: what does not prove itself is Unauthenticated, never another error; a role comes from the user, never from
a token; whatever ends access is forgotten here at once and in other processes within a second (``watch``).
"""

import asyncio
import hashlib
import re
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from uuid import UUID

import structlog
from uuid_utils.compat import uuid7

from qsuite.domain.access import KEY_PREFIX, KEY_TOKEN, AccessChange, Session, TokenPair, clean_user_agent
from qsuite.domain.errors import Forbidden, PreconditionFailed, TooMany, Unauthenticated
from qsuite.domain.roles import Caller
from qsuite.domain.second_factor import SecondFactor
from qsuite.domain.times import NS_PER_S, floor_ms
from qsuite.domain.users import User
from qsuite.repos.api_keys import ApiKeysRepo
from qsuite.repos.database import Session as DbSession
from qsuite.repos.refresh_tokens import RefreshTokensRepo
from qsuite.repos.users import UsersRepo
from qsuite.services.access_watch import AccessWatch
from qsuite.services.api_keys import ApiKeys
from qsuite.services.audit_trail import AuditTrail
from qsuite.services.login_delays import LoginDelays, login_key
from qsuite.services.passwords import Passwords
from qsuite.services.remembered import Remembered
from qsuite.services.second_factors import SecondFactors
from qsuite.services.tokens import TokenSigner
from qsuite.settings import AuthSettings

log = structlog.get_logger(__name__)

MAX_HEADER = 4_096
_REFRESH = re.compile(r"[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}")
_SESSION = "session:"


class AuthService:
    """Log in, refresh, log out, authenticate."""

    def __init__(
        self,
        *,
        settings: AuthSettings,
        users: UsersRepo,
        sessions: RefreshTokensRepo,
        api_keys: ApiKeysRepo,
        passwords: Passwords,
        signer: TokenSigner,
        second_factors: SecondFactors,
        trail: AuditTrail,
        delays: LoginDelays | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._settings = settings
        self._users = users
        self._sessions = sessions
        self._passwords = passwords
        self._second_factors = second_factors
        self._trail = trail
        self._delays = delays or LoginDelays()
        self._clock = clock
        self._memory = Remembered(clock)
        self._revoked: list[Callable[[UUID | None], None]] = []
        self.signer = signer
        self.keys = ApiKeys(keys=api_keys, users=users, trail=trail, clock=clock)
        self.watch = AccessWatch((users, sessions, api_keys), self._announce, now=clock())

    # -- who is calling -----------------------------------------------------------------------------------------

    def remembered(self, header: str) -> Caller | None:
        """Return the caller of an Authorization header verified before, from memory."""
        caller = self._memory.get(header)
        if caller is not None and caller.token.startswith(KEY_TOKEN):
            self.keys.uses.note(caller.token)
        return caller

    async def authenticate(self, header: str) -> Caller:
        """Return the caller of an Authorization header, ``Bearer`` and an access token or API key.

        Unauthenticated unless it proves itself; Forbidden for a key whose user may no longer do what it may.
        """
        known = self.remembered(header)
        if known is not None:
            return known
        scheme, _, token = header[: MAX_HEADER + 1].partition(" ")
        if len(header) > MAX_HEADER or scheme.lower() != "bearer":
            raise Unauthenticated("a bearer token is required")
        epoch = self._memory.epoch
        caller, until = await (self.keys.check(token) if token.startswith(KEY_PREFIX) else self._check(token))
        self._memory.put(header, caller, until, epoch)
        if caller.token.startswith(KEY_TOKEN):
            self.keys.uses.note(caller.token)
        return caller

    async def authenticate_token(self, token: str) -> Caller:
        """Return the caller of a bare access token or API key. Unauthenticated, or Forbidden."""
        return await self.authenticate(f"Bearer {token}")

    async def _check(self, token: str) -> tuple[Caller, int]:
        claims = await self.signer.check(token)
        user, session = await asyncio.gather(self._users.find(claims.user), self._sessions.find(claims.session))
        if session is None or not session.live or session.user != claims.user:
            raise Unauthenticated("the session has ended")
        if user is None or not user.is_active:
            raise Unauthenticated("the user may not log in")
        return user.caller(f"{_SESSION}{session.id}"), claims.expires_at

    # -- sessions -----------------------------------------------------------------------------------------------

    async def login(
        self, username: str, password: str, address: str, *, code: str | None = None, user_agent: str = ""
    ) -> TokenPair:
        """Open a session. Unauthenticated (the same for whatever is wrong), or TooMany after five failures.

        Only whoever knows the password learns that a code is needed (``totp_required``) or wrong (``totp_wrong``).
        """
        user = await self.verify_password(username, password, address)
        if user is None:
            raise Unauthenticated("wrong username or password")
        await self._require_code(user, code, address)
        self._delays.succeeded(login_key(username, address))
        pair, session = await self._open(user, address, user_agent)
        # A change made while we looked at the password did not see this session: look again.
        now_user = await self._users.find(user.id)
        if now_user is None or not now_user.is_active or now_user.access_changed_at != user.access_changed_at:
            await self._end(session, "changed")
            raise Unauthenticated("wrong username or password")
        if self._passwords.outdated(user.password_hash):
            await self._rehash(now_user, password)
        return pair

    async def verify_password(self, username: str, password: str, address: str) -> User | None:
        """Return the active user whose password this is, or None; TooMany while further tries must wait.

        Failures are forgotten at a login alone: who knows the password must not get more tries at the code by it.
        """
        key = login_key(username, address)
        try:
            self._delays.check(key)
        except TooMany:
            self._trail.note("login.delayed", address=address)
            raise
        user = await self._users.find_by_username(username)
        known = user if user is not None and user.is_active else None
        password_hash = None if known is None else known.password_hash
        # Checked once more when the turn comes, so that many tries sent at once are not all let through.
        if not await self._passwords.verify(password_hash, password, before=lambda: self._delays.check(key)):
            self._delays.failed(key)
            self._trail.note("login.failed", subject="" if user is None else user.id, address=address)
            log.info("login.failed", address=address)  # without the name: a password typed there would be logged
            return None
        return known

    async def use_code(self, user: User, factor: SecondFactor, code: str, address: str) -> bool:
        """Say whether a code of the second factor is right, and use it up; TooMany as for passwords.

        Counted for the user as well, from wherever: only who knows the password gets here, to guess one in 333,333.
        """
        keys = (login_key(user.username, address), (str(user.id), "code"))
        for key in keys:
            self._delays.check(key)
            self._delays.failed(key)  # before anything is waited for, so that many tries at once are all counted
        if not await self._second_factors.use(factor, code):
            self._trail.note("login.code_failed", subject=user.id, address=address)
            log.info("login.code-failed", user=str(user.id), address=address)
            return False
        for key in keys:
            self._delays.succeeded(key)
        return True

    async def _require_code(self, user: User, code: str | None, address: str) -> None:
        factor = await self._second_factors.find(user.id)
        if factor is None or not factor.active:
            return
        if code is None:
            raise Unauthenticated("a code of the second factor is required", code="totp_required")
        if not await self.use_code(user, factor, code, address):
            raise Unauthenticated("the code is wrong, or was used before", code="totp_wrong")

    async def refresh(self, token: str) -> TokenPair:
        """Exchange a refresh token for a new pair. Unauthenticated; one used before ends its whole session."""
        if _REFRESH.fullmatch(token) is None:
            raise Unauthenticated("not a refresh token")
        handle, _, secret = token.partition(".")
        fresh = secrets.token_urlsafe(32)
        now = floor_ms(self._clock())
        expires_at = now + self._settings.refresh_s * NS_PER_S
        session = await self._sessions.rotate(
            _hash(handle), _hash(secret), _hash(fresh), now=now, expires_at=expires_at, kept_until=self._kept(now)
        )
        if session is None:
            self._trail.note("refresh.refused")
            await self._refuse_refresh(_hash(handle), now)
            raise Unauthenticated("the refresh token does not work any more")
        user = await self._users.find(session.user)
        if user is None or not user.is_active:
            await self._end(session, "disabled")
            raise Unauthenticated("the user may not log in")
        return self._pair(session, f"{handle}.{fresh}")

    async def logout(self, caller: Caller, refresh: str | None = None) -> None:
        """End the caller's session, and that of ``refresh`` if it is theirs. Forbidden to an API key."""
        ids = {session_of(caller)}
        other = None
        if refresh is not None and _REFRESH.fullmatch(refresh) is not None:
            other = await self._sessions.find_by_handle(_hash(refresh.partition(".")[0]))
        if other is not None and other.user == caller.user:
            ids.add(other.id)
        now = floor_ms(self._clock())

        async def end(session: DbSession) -> list[AccessChange]:
            ended = [await self._sessions.end(one, now=now, reason="logout", transaction=session) for one in ids]
            return [change for change in ended if change is not None]

        self.changed(
            await self._trail.record(
                "session.ended",
                actor=caller.user,
                actor_name=caller.username,
                subject=session_of(caller),
                facts={"reason": "logout", "sessions": len(ids)},
                change=end,
            )
        )

    async def delete_key(self, caller: Caller, key: UUID) -> None:
        """Delete one of the caller's own API keys. NotFound; Forbidden to an API key."""
        self.changed([await self.keys.revoke(caller, key)])

    async def _open(self, user: User, address: str, user_agent: str) -> tuple[TokenPair, Session]:
        now = floor_ms(self._clock())
        handle, secret = secrets.token_urlsafe(16), secrets.token_urlsafe(32)
        session = Session(
            id=uuid7(),
            user=user.id,
            username=user.username,
            handle_hash=_hash(handle),
            secret_hash=_hash(secret),
            created_at=now,
            refreshed_at=now,
            expires_at=now + self._settings.refresh_s * NS_PER_S,
            kept_until=self._kept(now),
            address=address,
            user_agent=clean_user_agent(user_agent),
        )
        await self._trail.record(
            "login.succeeded",
            actor=user.id,
            actor_name=user.username,
            subject=session.id,
            address=address,
            change=lambda transaction: self._sessions.add(session, transaction),
        )
        return self._pair(session, f"{handle}.{secret}"), session

    def _pair(self, session: Session, refresh: str) -> TokenPair:
        access = self.signer.issue(session.user, session.id)
        return TokenPair(access=access, refresh=refresh, expires_in=self._settings.access_s)

    def _kept(self, now: int) -> int:
        # As long as any token of the session may be shown: a session not found counts as ended.
        return now + max(self._settings.refresh_s, self._settings.access_s) * NS_PER_S

    async def _refuse_refresh(self, handle_hash: str, now: int) -> None:
        session = await self._sessions.find_by_handle(handle_hash)
        if session is not None and session.live and session.expires_at > now:
            log.warning("session.reuse", user=str(session.user), session=str(session.id))
            await self._end(session, "reuse")

    async def _end(self, session: Session, reason: str) -> None:
        change = await self._trail.record(
            "session.reused" if reason == "reuse" else "session.ended",
            subject=session.id,
            facts={"user": session.user, "reason": reason},
            change=lambda transaction: self._sessions.end(
                session.id, now=floor_ms(self._clock()), reason=reason, transaction=transaction
            ),
        )
        if change is not None:
            self.changed([change])

    async def _rehash(self, user: User, password: str) -> None:
        password_hash = await self._passwords.hash(password)
        now = floor_ms(self._clock())
        try:
            await self._users.save(replace(user, password_hash=password_hash, updated_at=now, version=user.version + 1))
        except PreconditionFailed:  # somebody changed the user meanwhile: the next login rehashes
            log.info("login.rehash-skipped", user=str(user.id))

    # -- what ends access ---------------------------------------------------------------------------------------

    def on_revoked(self, callback: Callable[[UUID | None], None]) -> None:
        """Call back with the user whenever something they were granted ends: their sockets must close. None: all."""
        self._revoked.append(callback)

    def changed(self, changes: Iterable[AccessChange]) -> None:
        """Act on changes made in this process, after they were stored."""
        self.watch.note(changes, self._clock())

    def check_everybody_again(self) -> None:
        """Believe nobody who was checked before: a key that tokens were signed with is revoked."""
        self._memory.forget_all()
        for callback in self._revoked:
            callback(None)

    def _announce(self, changes: list[AccessChange]) -> None:
        for user in {change.user for change in changes}:
            self._memory.forget(user)
        for user in {change.user for change in changes if change.revokes}:
            for callback in self._revoked:
                callback(user)


def session_of(caller: Caller) -> UUID:
    """Return the session a caller is in. Forbidden for one who came with an API key, which has none."""
    if not caller.token.startswith(_SESSION):
        raise Forbidden("log in with a password to do this")
    return UUID(caller.token.removeprefix(_SESSION))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
