"""Where a user is logged in, and putting an end to it."""

from typing import Any

from marshmallow import Schema, fields

from qsuite.domain.access import Session
from qsuite.domain.roles import ADMINS, EVERY_ROLE
from qsuite.domain.times import format_rfc3339
from qsuite.handlers.auth import uuid_of
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.fields import InstantField
from qsuite.handlers.listing import ListingSpec
from qsuite.handlers.operations import operation

TAG = "auth"
LISTING = ListingSpec(orderings=("created_at", "refreshed_at"), default_order=("-created_at",))


class SessionSchema(Schema):
    """A login and all its refreshes; ``is_current`` for the one that asks."""

    id = fields.UUID(required=True)
    created_at = InstantField(required=True)
    refreshed_at = InstantField(required=True)
    expires_at = InstantField(required=True, metadata={"description": "unless it is refreshed before"})
    address = fields.String(required=True, metadata={"description": "where the login came from"})
    user_agent = fields.String(required=True, metadata={"description": "as the client named itself at the login"})
    is_current = fields.Boolean(required=True)


class SessionsHandler(ApiHandler):
    """``/api/auth/sessions/``."""

    @operation("List one's live sessions", roles=EVERY_ROLE, listing=LISTING, returns={200: SessionSchema()}, tag=TAG)
    async def get(self) -> None:
        page = await self.services.sessions.page(self.caller, self.listing())
        self.answer_page(page, [shown_session(each, self.caller.token) for each in page.items])

    @operation("End all of one's sessions but this one", roles=EVERY_ROLE, returns={204: None}, tag=TAG)
    async def delete(self) -> None:
        await self.services.sessions.end_others(self.caller)
        self.answer_nothing()


class SessionHandler(ApiHandler):
    """``/api/auth/sessions/{id}/``."""

    @operation("End one of one's sessions; acts within a second", roles=EVERY_ROLE, returns={204: None}, tag=TAG)
    async def delete(self, session_id: str) -> None:
        await self.services.sessions.end(self.caller, uuid_of(session_id, "no such session"))
        self.answer_nothing()


class UserSessionsHandler(ApiHandler):
    """``/api/v1/users/{id}/sessions/``."""

    @operation(
        "List a user's live sessions", roles=ADMINS, listing=LISTING, returns={200: SessionSchema()}, tag="users"
    )
    async def get(self, user_id: str) -> None:
        user = await self.services.users.get(uuid_of(user_id, "no such user"))
        page = await self.services.sessions.page_of(user.id, self.listing())
        self.answer_page(page, [shown_session(each, self.caller.token) for each in page.items])

    @operation("End all sessions of a user; acts within a second", roles=ADMINS, returns={204: None}, tag="users")
    async def delete(self, user_id: str) -> None:
        await self.services.users.end_sessions(uuid_of(user_id, "no such user"))
        self.answer_nothing()


def shown_session(session: Session, current: str) -> dict[str, Any]:
    """Show a session, without anything a token is made of."""
    return {
        "id": session.id,
        "created_at": format_rfc3339(session.created_at),
        "refreshed_at": format_rfc3339(session.refreshed_at),
        "expires_at": format_rfc3339(session.expires_at),
        "address": session.address,
        "user_agent": session.user_agent,
        "is_current": current == f"session:{session.id}",
    }


routes = [
    (r"/api/auth/sessions/?", SessionsHandler),
    (r"/api/auth/sessions/([^/]+)/?", SessionHandler),
    (r"/api/v1/users/([^/]+)/sessions/?", UserSessionsHandler),
]
