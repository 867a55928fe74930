"""Users: making them, changing them, ending what they were granted when that must be.

Invariants: a trader has an account; there is always an active admin once there was one; a change that takes rights away
is stored before it is announced, and is announced before its request is answered.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import structlog
from uuid_utils.compat import uuid7

from qsuite.domain.access import AccessChange
from qsuite.domain.errors import Conflict, Invalid, NotFound, PreconditionFailed
from qsuite.domain.listing import Listing, Page
from qsuite.domain.roles import Caller, Role
from qsuite.domain.times import floor_ms
from qsuite.domain.trading.account import Access
from qsuite.domain.users import User, check_email, check_username
from qsuite.repos.database import Session as DbSession
from qsuite.repos.refresh_tokens import RefreshTokensRepo
from qsuite.repos.second_factors import SecondFactorsRepo
from qsuite.repos.users import UsersRepo
from qsuite.services.audit_trail import AuditTrail
from qsuite.services.auth import AuthService, session_of
from qsuite.services.demo_users import ensure_demo
from qsuite.services.passwords import Passwords
from qsuite.settings import Settings

log = structlog.get_logger(__name__)

OpenAccount = Callable[[UUID, UUID, str, Decimal], Awaitable[None]]
"""Open the account of that id for a user's id, a name and cash; one that is open already is left as it is."""

RIGHTS = frozenset({"role", "is_active", "password"})
"""What ends everything granted before when it changes."""
SHOWN = ("role", "is_active", "account", "shared")
"""What of a user the record shows the new value of: nothing secret, and nothing about a person."""


class UserService:
    """Create, change and list users."""

    def __init__(
        self,
        *,
        settings: Settings,
        users: UsersRepo,
        sessions: RefreshTokensRepo,
        second_factors: SecondFactorsRepo,
        passwords: Passwords,
        open_account: OpenAccount,
        trail: AuditTrail,
        auth: AuthService | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """Take ``auth`` where people are logged in; a command leaves it out, and servers see the change by polling."""
        self._settings = settings
        self._users = users
        self._sessions = sessions
        self._second_factors = second_factors
        self._passwords = passwords
        self._open_account = open_account
        self._trail = trail
        self._auth = auth
        self._clock = clock

    async def get(self, user: UUID) -> User:
        """Return a user. NotFound."""
        return await self._users.get(user)

    async def find_by_username(self, username: str) -> User | None:
        """Return the user of that name in any case, or None."""
        return await self._users.find_by_username(username)

    async def page(self, listing: Listing) -> Page[User]:
        """Answer a listing of users."""
        return await self._users.page(listing)

    async def create(
        self, username: str, password: str, role: Role, cash: Decimal | None = None, *, email: str | None = None
    ) -> User:
        """Make a user, and a trader's account with ``cash`` (without it ``trading.initial_cash``).

        Invalid for a name, address or password that is refused, or for cash of somebody who does not trade;
        AlreadyExists for a name that is taken.
        """
        check_username(username)
        check_email(email)
        if cash is not None and (role is not Role.TRADER or cash < 0):
            message = "at least 0" if role is Role.TRADER else "only a trader has an account"
            raise Invalid("some fields are wrong", errors={"cash": [message]})
        await self._passwords.refuse_weak(password, _about(username, email))
        password_hash = await self._passwords.hash(password)
        now = floor_ms(self._clock())
        user = User(
            id=uuid7(),
            username=username,
            role=role,
            password_hash=password_hash,
            email=email,
            accounts=(uuid7(),) if role is Role.TRADER else (),
            created_at=now,
            updated_at=now,
        )
        await self._trail.record(
            "user.created",
            subject=user.id,
            facts={"username": username, "role": role},
            change=lambda session: self._users.add(user, session),
        )
        try:
            await self.open_account(user, cash)
        except BaseException:  # nobody may take a trader without an account for whole
            await self._trail.record(
                "user.removed",
                subject=user.id,
                facts={"reason": "no account"},
                change=lambda session: self._users.remove(user.id, session),
            )
            raise
        log.info("user.created", user=str(user.id), role=role.value)
        return user

    async def update(self, user_id: UUID, changes: Mapping[str, Any], *, version: int | None = None) -> User:
        """Change any of email, role, is_active and password; ``version`` is the one the caller read.

        A new role counts from the next request on; a new password or being disabled ends all sessions.
        NotFound; Invalid for what is refused; PreconditionFailed when somebody else was first; Conflict for taking
        the last active admin away.
        """
        user = await self._users.get(user_id)
        if version is not None and version != user.version:
            raise PreconditionFailed("the user was changed by somebody else meanwhile")
        wanted = {name: value for name, value in changes.items() if name == "password" or value != getattr(user, name)}
        check_email(wanted.get("email"))
        changed = replace(user, **{name: value for name, value in wanted.items() if name != "password"})
        if changed.role is Role.TRADER and not user.accounts:
            changed = replace(changed, accounts=(uuid7(),))
        await self._keep_an_admin(user, changed)
        if "password" in wanted:
            changed = await self._with_password(changed, wanted["password"], "password")
        if changed != user:  # a new password's hash always differs, by its salt
            user = await self._save(changed, wanted, ends=bool(wanted.keys() & RIGHTS))
            if "password" in wanted or not user.is_active:
                await self._end_sessions(user, "password" if user.is_active else "disabled")
            log.info("user.changed", user=str(user.id), fields=sorted(wanted))
        await self.open_account(user)
        return user

    async def change_password(self, caller: Caller, old: str, new: str, address: str) -> None:
        """Change one's own password; the session that asks stays, all others end. Invalid, TooMany as at a login."""
        assert self._auth is not None, "a command changes passwords with update()"
        keep = session_of(caller)
        user = await self._auth.verify_password(caller.username, old, address)
        if user is None:
            raise Invalid("some fields are wrong", errors={"old_password": ["is not the password"]})
        user = await self._save(await self._with_password(user, new, "new_password"), {"password": new}, ends=True)
        await self._end_sessions(user, "password", keep=keep)
        log.info("user.changed", user=str(user.id), fields=["password"])

    async def end_sessions(self, user_id: UUID) -> None:
        """End all sessions of a user, as an admin does; their password and API keys stay. NotFound."""
        user, now, reason = await self._users.get(user_id), floor_ms(self._clock()), "ended by an admin"
        ended = await self._trail.record(
            "sessions.ended",
            subject=user.id,
            facts={"reason": reason},
            change=lambda session: self._sessions.end_of_user(user.id, now=now, reason=reason, transaction=session),
        )
        self._announce(ended)
        log.info("user.sessions-ended", user=str(user.id))

    async def reset_second_factor(self, user_id: UUID) -> None:
        """Take a user's second factor away, as an admin does for who lost phone and codes. NotFound without one."""
        user = await self._users.get(user_id)

        async def removed(session: DbSession) -> None:
            if not await self._second_factors.remove(user.id, session):
                raise NotFound("the user has no second factor")

        await self._trail.record("totp.reset", subject=user.id, change=removed)
        log.info("totp.reset", user=str(user.id))

    async def open_account(self, user: User, cash: Decimal | None = None) -> None:
        """Open the first account of a trader, also where whoever was to do it was killed before they came to it."""
        if user.role is Role.TRADER:
            cash = self._settings.trading.initial_cash if cash is None else cash
            await self._open_account(user.accounts[0], user.id, user.username, cash)

    async def attach_account(self, user_id: UUID, account: UUID) -> User:
        """Note a further account as the user's; noting it twice is the same as once."""
        user = await self._users.get(user_id)
        if account in user.accounts:
            return user
        return await self._save(replace(user, accounts=(*user.accounts, account)), {"account": account}, ends=False)

    async def share_account(self, user_id: UUID, account: UUID, access: Access | None) -> None:
        """Note that an account was shared with a user, or with None that it is no longer: then their sockets close."""
        user = await self._users.get(user_id)
        if user.shared.get(account) is access:
            return
        others = {each: known for each, known in user.shared.items() if each != account}
        shared = others if access is None else others | {account: access}
        shrinks = user.shared.get(account) is not None and access is not Access.TRADE
        told = {"shared": {str(account): None if access is None else access.value}}
        await self._save(replace(user, shared=shared), told, ends=shrinks)

    async def ensure_demo(self) -> tuple[str, str]:
        """Make the demo trader and an admin unless they are there; return the trader's name and password.

        Both passwords are in ``credentials.json`` in the data directory. The password is empty when it is not known
        any more: changed since, or the file is gone.
        """
        return await ensure_demo(self, self._passwords, self._settings.data_dir)

    async def _with_password(self, user: User, password: str, field: str) -> User:
        await self._passwords.refuse_weak(password, _about(user.username, user.email), field=field)
        return replace(user, password_hash=await self._passwords.hash(password))

    async def _save(self, user: User, changed: Mapping[str, Any], *, ends: bool) -> User:
        now = floor_ms(self._clock())
        ended_at = now if ends else user.access_changed_at
        user = replace(user, version=user.version + 1, updated_at=now, access_changed_at=ended_at)
        await self._trail.record(
            "user.changed",
            subject=user.id,
            facts={"fields": sorted(changed), **{name: changed[name] for name in SHOWN if name in changed}},
            change=lambda session: self._users.save(user, session),
        )
        self._announce(change for change in user.changes() if ends or not change.revokes)
        return user

    async def _end_sessions(self, user: User, reason: str, *, keep: UUID | None = None) -> None:
        now = floor_ms(self._clock())
        self._announce(await self._sessions.end_of_user(user.id, now=now, reason=reason, keep=keep))

    def _announce(self, changes: Iterable[AccessChange]) -> None:
        if self._auth is not None:
            self._auth.changed(changes)

    async def _keep_an_admin(self, user: User, changed: User) -> None:
        leaves = user.role is Role.ADMIN and user.is_active and not (changed.role is Role.ADMIN and changed.is_active)
        if leaves and await self._users.count_active(Role.ADMIN) < 2:
            raise Conflict("this is the last active admin")


def _about(username: str, email: str | None) -> tuple[str, ...]:
    return (username,) if email is None else (username, email, email.partition("@")[0])
