"""Whoever is logged in sees where, and ends what they do not know; an admin does it for a user.

Invariant: of sessions only facts are shown, nothing that a token is made of; somebody else's session is not found.
"""

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar
from uuid import UUID

from qsuite.domain.access import AccessChange, Session
from qsuite.domain.errors import NotFound
from qsuite.domain.listing import Condition, Listing, Page
from qsuite.domain.roles import Caller
from qsuite.domain.times import floor_ms
from qsuite.repos.database import Session as Transaction
from qsuite.repos.refresh_tokens import RefreshTokensRepo
from qsuite.services.audit_trail import AuditTrail
from qsuite.services.auth import session_of

T = TypeVar("T")


class UserSessions:
    """List sessions and end them; sockets of their user close with them."""

    def __init__(
        self,
        *,
        sessions: RefreshTokensRepo,
        changed: Callable[[Iterable[AccessChange]], None],
        trail: AuditTrail,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """Take ``AuthService.changed``, which forgets whom a session let in."""
        self._sessions = sessions
        self._changed = changed
        self._trail = trail
        self._clock = clock

    async def page(self, caller: Caller, listing: Listing) -> Page[Session]:
        """Answer a listing of the caller's own live sessions. Forbidden to an API key."""
        session_of(caller)
        return await self.page_of(caller.user, listing)

    async def page_of(self, user: UUID, listing: Listing) -> Page[Session]:
        """Answer a listing of a user's live sessions: those a token may still be shown for."""
        live = (
            Condition("user", "eq", user),
            Condition("ended_at", "eq", None),
            Condition("kept_until", "gt", floor_ms(self._clock())),
        )
        return await self._sessions.page(listing.where(*live))

    async def end(self, caller: Caller, session: UUID) -> None:
        """End one of the caller's own sessions, this one too. NotFound; Forbidden to an API key."""
        session_of(caller)

        async def ended(transaction: Transaction) -> AccessChange:
            change = await self._sessions.end(
                session, now=self._now(), reason="ended", user=caller.user, transaction=transaction
            )
            if change is None:
                raise NotFound("no such session")
            return change

        self._changed([await self._record(caller, "session.ended", session, ended)])

    async def end_others(self, caller: Caller) -> None:
        """End all of the caller's sessions but the one that asks. Forbidden to an API key."""
        keep = session_of(caller)

        def ended(transaction: Transaction) -> Awaitable[list[AccessChange]]:
            return self._sessions.end_of_user(
                caller.user, now=self._now(), reason="ended", keep=keep, transaction=transaction
            )

        self._changed(await self._record(caller, "sessions.ended", caller.user, ended))

    async def _record(
        self, caller: Caller, kind: str, subject: UUID, change: Callable[[Transaction], Awaitable[T]]
    ) -> T:
        return await self._trail.record(
            kind,
            actor=caller.user,
            actor_name=caller.username,
            subject=subject,
            facts={"reason": "ended", "by": session_of(caller)},
            change=change,
        )

    def _now(self) -> int:
        return floor_ms(self._clock())
