"""Who may do what: five roles, and sets of them that routes declare.

Duties are kept apart: who sets limits cannot trade, and who trades cannot set prices.

    viewer        reads market data
    trader        reads market data, trades on their own accounts
    risk_manager  sets limits, throws and lifts kill switches, reads everybody's trading
    auditor       reads everything, changes nothing
    admin         manages users, reference data and prices, reads everybody's trading
"""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from qsuite.domain.scopes import KeyLimits


class Role(StrEnum):
    """A user has exactly one."""

    VIEWER = "viewer"
    TRADER = "trader"
    RISK_MANAGER = "risk_manager"
    AUDITOR = "auditor"
    ADMIN = "admin"


Roles = frozenset[Role]

ANYONE: Roles = frozenset()
"""Declared by a route that needs no login: an explicit choice, since no declaration stops the start."""

EVERY_ROLE: Roles = frozenset(Role)
TRADERS: Roles = frozenset({Role.TRADER})
TRADING_READERS: Roles = frozenset({Role.TRADER, Role.RISK_MANAGER, Role.AUDITOR, Role.ADMIN})
RISK_MANAGERS: Roles = frozenset({Role.RISK_MANAGER, Role.ADMIN})
ADMINS: Roles = frozenset({Role.ADMIN})
AUDITORS: Roles = frozenset({Role.AUDITOR, Role.ADMIN})

READ_ALL: Roles = frozenset({Role.RISK_MANAGER, Role.AUDITOR, Role.ADMIN})
"""Roles that see the trading of every account; a trader sees their own."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified caller; ``accounts`` are those they may trade on, the default one first, ``views`` only look at."""

    user: UUID
    username: str
    role: Role
    accounts: tuple[UUID, ...] = ()
    token: str = ""
    limits: KeyLimits | None = None
    """What an API key is kept to; None for all of the role, from anywhere."""
    views: tuple[UUID, ...] = ()

    @property
    def reads_all(self) -> bool:
        """Say whether every account's trading may be read."""
        return self.role in READ_ALL

    @property
    def visible(self) -> tuple[UUID, ...]:
        """Return the accounts they may look at as theirs or by their owner's leave."""
        return (*self.accounts, *self.views)

    def may_read(self, owner: UUID) -> bool:
        """Say whether what a user had made (a job, a backtest, a sweep) may be read."""
        return owner == self.user or self.reads_all

    @property
    def reads_of(self) -> UUID | None:
        """Return whose of these a list shows; None for everybody's."""
        return None if self.reads_all else self.user

    def sees(self, account: UUID) -> bool:
        """Say whether the trading of an account may be read."""
        return account in self.accounts or account in self.views or self.reads_all
