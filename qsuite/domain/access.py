"""What lets a user in besides a password, and how that ends: sessions, API keys, and changes to both.

    login ──> session ──> access token (signed, names the session) ──> Caller
                 └─────> refresh token: handle.secret; the handle finds the session, the secret changes at each use

Invariant: a session keeps hashes only, of one handle for its whole life and of the one secret not yet used. A right
handle with another secret can therefore only be a secret used before: somebody else has a copy, and the session ends.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from qsuite.domain.roles import Role, Roles
from qsuite.domain.scopes import KeyLimits

KEY_PREFIX = "qsk_"
KEY_TOKEN = "key:"  # noqa: S105  what a caller's ``token`` begins with when it is a key's id

GRANTS: Mapping[Role, Roles] = {
    Role.VIEWER: frozenset({Role.VIEWER}),
    Role.TRADER: frozenset({Role.TRADER, Role.VIEWER}),
    Role.RISK_MANAGER: frozenset({Role.RISK_MANAGER, Role.VIEWER}),
    Role.AUDITOR: frozenset({Role.AUDITOR, Role.VIEWER}),
    Role.ADMIN: frozenset({Role.ADMIN, Role.RISK_MANAGER, Role.AUDITOR, Role.VIEWER}),
}
"""The roles a user of a role may give to an API key: their own and lesser ones. An admin's never trades."""


USER_AGENT_MAX = 200


def clean_user_agent(sent: str) -> str:
    """Return what a client calls itself, fit to be stored and shown: printable ASCII, cut short."""
    return "".join(char for char in sent if " " <= char <= "~")[:USER_AGENT_MAX]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessChange:
    """Something changed about a user's access.

    ``subject`` is the user, session or key it happened to, ``mark`` tells its changes apart (a version or a time), and
    ``revokes`` says that what was granted before must end, open sockets included.
    """

    user: UUID
    subject: UUID
    mark: int
    revokes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One login and all its refreshes. Hashes are SHA-256 in hex; times are nanoseconds, whole milliseconds."""

    id: UUID
    user: UUID
    username: str
    handle_hash: str = field(repr=False)
    secret_hash: str = field(repr=False)
    created_at: int
    refreshed_at: int
    expires_at: int
    kept_until: int
    rotations: int = 0
    ended_at: int | None = None
    end_reason: str | None = None
    address: str = ""
    user_agent: str = ""

    @property
    def live(self) -> bool:
        """Say whether its access tokens still count; an access token's own expiry is checked apart."""
        return self.ended_at is None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key for programs; ``prefix`` is the part that may be shown. Times in nanoseconds, whole milliseconds.

    ``last_used_at`` may be up to a minute behind.
    """

    id: UUID
    user: UUID
    username: str
    name: str
    role: Role
    prefix: str
    key_hash: str = field(repr=False)
    created_at: int
    expires_at: int | None = None
    revoked_at: int | None = None
    last_used_at: int | None = None
    limits: KeyLimits | None = None

    def usable(self, now: int) -> bool:
        """Say whether it still lets in."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPair:
    """What a login or refresh hands out, once."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    expires_in: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a verified access token says. Times in nanoseconds."""

    user: UUID
    session: UUID
    token_id: str
    issued_at: int
    expires_at: int
