"""A person or program that logs in.

Invariant: a username names one user whatever its case; ``access_changed_at`` moves whenever what the user may do
shrinks or changes (role, activity, password), so that every process can end what it granted before.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from qsuite.domain.access import AccessChange
from qsuite.domain.errors import Invalid
from qsuite.domain.roles import Caller, Role
from qsuite.domain.scopes import KeyLimits
from qsuite.domain.trading.account import Access

# ASCII only: "аdmin" with a Cyrillic letter must not look like "admin" in an audit.
_USERNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{2,63}")
_EMAIL = re.compile(r"[^\s@\x00-\x1f]{1,64}@[^\s@\x00-\x1f]{1,189}")


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Times in nanoseconds, whole milliseconds; ``accounts`` are theirs, the default one first.

    ``shared`` are others' accounts they were let to; that they may trade on one is the account's to say.
    """

    id: UUID
    username: str
    role: Role
    password_hash: str = field(repr=False)
    email: str | None = None
    is_active: bool = True
    accounts: tuple[UUID, ...] = ()
    shared: Mapping[UUID, Access] = field(default_factory=dict)
    access_changed_at: int = 0
    created_at: int = 0
    updated_at: int = 0
    version: int = 1

    def caller(self, token: str, role: Role | None = None, limits: KeyLimits | None = None) -> Caller:
        """Return this user as a caller let in by ``token``, with their role or a lesser one."""
        trades = (account for account, access in self.shared.items() if access is Access.TRADE)
        views = tuple(account for account, access in self.shared.items() if access is Access.VIEW)
        return Caller(self.id, self.username, role or self.role, (*self.accounts, *trades), token, limits, views)

    def changes(self) -> tuple[AccessChange, AccessChange]:
        """Return what the last changes were: the one of anything, and the one that ends what was granted."""
        return (
            AccessChange(user=self.id, subject=self.id, mark=self.version, revokes=False),
            AccessChange(user=self.id, subject=self.id, mark=self.access_changed_at, revokes=True),
        )


def username_key(username: str) -> str:
    """Return what makes a username unique: itself in lower case."""
    return username.lower()


def check_username(username: str) -> str:
    """Return a sane username. Invalid unless 3 to 64 ASCII letters, digits and ``. _ @ + -``."""
    if _USERNAME.fullmatch(username) is None:
        message = "3 to 64 letters, digits and . _ @ + -, the first one a letter or digit"
        raise Invalid("some fields are wrong", errors={"username": [message]})
    return username


def check_email(email: str | None) -> str | None:
    """Return a plausible address. Whether it receives anything only a message can tell."""
    if email is not None and _EMAIL.fullmatch(email) is None:
        raise Invalid("some fields are wrong", errors={"email": ["not an e-mail address"]})
    return email
