"""The services behind a login on a database, as the composition root builds them, and one process beside another."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from qsuite.domain.roles import Role
from qsuite.repos import accounts, api_keys, audit_access, refresh_tokens, second_factors, users
from qsuite.repos.accounts import AccountsRepo
from qsuite.repos.api_keys import ApiKeysRepo
from qsuite.repos.audit_access import AuditAccessRepo
from qsuite.repos.database import Database
from qsuite.repos.refresh_tokens import RefreshTokensRepo
from qsuite.repos.schema import migrate
from qsuite.repos.second_factors import SecondFactorsRepo
from qsuite.repos.signing_keys import SigningKeysRepo
from qsuite.repos.users import UsersRepo
from qsuite.services.account_opening import account_opener
from qsuite.services.audit_trail import AuditTrail
from qsuite.services.auth import AuthService
from qsuite.services.keyring import Keyring, Ring, first_key
from qsuite.services.login_delays import LoginDelays
from qsuite.services.own_second_factor import OwnSecondFactor
from qsuite.services.passwords import Passwords
from qsuite.services.seals import Seals
from qsuite.services.second_factors import SecondFactors
from qsuite.services.secrets import Secrets
from qsuite.services.tokens import TokenSigner
from qsuite.services.users import UserService
from qsuite.settings import AuthSettings, Settings

SECRET = "a-secret-of-more-than-32-characters-0123456789"
PASSWORD = "correct horse battery staple"
MARIA = {"username": "maria", "password": PASSWORD}
ADMIN = {"username": "root.admin", "password": PASSWORD}
SPECS = (accounts.SPEC, api_keys.SPEC, audit_access.SPEC, refresh_tokens.SPEC, second_factors.SPEC, users.SPEC)


class Clock:
    """Real time, until it is moved forward."""

    def __init__(self) -> None:
        self.ahead_ns = 0

    def __call__(self) -> int:
        return time.time_ns() + self.ahead_ns

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.ahead_ns += int(seconds * 1_000_000_000)


@dataclass
class Login:
    """One process's services."""

    settings: Settings
    auth: AuthService
    users: UserService
    passwords: Passwords
    users_repo: UsersRepo
    sessions: RefreshTokensRepo
    accounts: AccountsRepo
    clock: Clock
    trail: AuditTrail
    second_factor: OwnSecondFactor
    second_factors: SecondFactors

    async def round(self) -> None:
        """Let the watch look once."""
        await self.auth.watch.run_once(self.clock())

    def close(self) -> None:
        """End the threads."""
        self.passwords.close()


async def prepare(database: Database) -> None:
    """Make the collections' validators and indexes."""
    await migrate(database, SPECS)


async def login_of_two(database: Database, settings: Settings, tmp_path: Path) -> Login:
    """Make all that knows users, and two of them: ``MARIA``, a trader, and ``ADMIN``."""
    await prepare(database)
    made = login_services(database, settings, tmp_path)
    await made.users.create(MARIA["username"], PASSWORD, Role.TRADER)
    await made.users.create(ADMIN["username"], PASSWORD, Role.ADMIN)
    return made


def first_ring(secret: str) -> Ring:
    """Return the keys of a process whose database holds none but the secret's first."""
    return Ring(Secrets(secret), [first_key(secret)], AuthSettings().access_s * 1_000_000_000)


def login_services(
    database: Database, settings: Settings, data_dir: Path, *, clock: Callable[[], int] | None = None
) -> Login:
    """Build what a process needs to log people in."""
    settings = replace(settings, data_dir=data_dir)
    clock = clock or Clock()
    users_repo, sessions = UsersRepo(database), RefreshTokensRepo(database)
    accounts_repo, trail = AccountsRepo(database), AuditTrail(AuditAccessRepo(database), clock=clock)
    passwords, ring = Passwords(settings.auth, workers=2), first_ring(SECRET)
    keyring = Keyring(trail=trail, secrets=Secrets(SECRET), repo=SigningKeysRepo(database), token_s=60, clock=clock)
    factors = SecondFactors(repo=SecondFactorsRepo(database), seals=Seals(keyring), clock=clock)
    auth = AuthService(
        settings=settings.auth,
        users=users_repo,
        sessions=sessions,
        api_keys=ApiKeysRepo(database),
        passwords=passwords,
        signer=TokenSigner(lambda: ring, settings.auth, clock=clock),
        second_factors=factors,
        trail=trail,
        delays=LoginDelays(clock=clock),
        clock=clock,
    )
    service = UserService(
        settings=settings,
        users=users_repo,
        sessions=sessions,
        second_factors=SecondFactorsRepo(database),
        passwords=passwords,
        open_account=account_opener(accounts_repo, settings.trading.currency, clock=clock),
        trail=trail,
        auth=auth,
        clock=clock,
    )
    own_factor = OwnSecondFactor(factors=factors, auth=auth, trail=trail, issuer=settings.auth.issuer)
    made = (settings, auth, service, passwords, users_repo, sessions, accounts_repo, clock, trail)
    return Login(*made, own_factor, factors)
