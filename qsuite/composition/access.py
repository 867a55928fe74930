"""Who is calling: users, their sessions, keys and passwords."""

from collections.abc import Callable
from dataclasses import dataclass

from qsuite.repos.accounts import AccountsRepo
from qsuite.repos.api_keys import ApiKeysRepo
from qsuite.repos.audit_access import AuditAccessRepo
from qsuite.repos.database import Database
from qsuite.repos.idempotency_keys import IdempotencyKeysRepo
from qsuite.repos.refresh_tokens import RefreshTokensRepo
from qsuite.repos.second_factors import SecondFactorsRepo
from qsuite.repos.signing_keys import SigningKeysRepo
from qsuite.repos.users import UsersRepo
from qsuite.services.account_opening import account_opener
from qsuite.services.audit_trail import AuditTrail
from qsuite.services.auth import AuthService
from qsuite.services.idempotency import IdempotencyKeys
from qsuite.services.keyring import Keyring
from qsuite.services.own_second_factor import OwnSecondFactor
from qsuite.services.passwords import Passwords
from qsuite.services.seals import Seals
from qsuite.services.second_factors import SecondFactors
from qsuite.services.secrets import secrets_of
from qsuite.services.tokens import TokenSigner
from qsuite.services.user_sessions import UserSessions
from qsuite.services.users import UserService
from qsuite.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What knows users; ``accounts`` because a new trader gets one."""

    trail: AuditTrail
    accounts: AccountsRepo
    passwords: Passwords
    keyring: Keyring
    auth: AuthService
    users: UserService
    sessions: UserSessions
    second_factor: OwnSecondFactor
    idempotency: IdempotencyKeys


def keyring_of(
    settings: Settings, database: Database, clock: Callable[[], int], trail: AuditTrail | None = None
) -> Keyring:
    """Make the ring of keys, for a server or a command; it is read from the database when it starts."""
    repo = SigningKeysRepo(database)
    trail = trail or AuditTrail(AuditAccessRepo(database), clock=clock)
    return Keyring(secrets=secrets_of(settings), repo=repo, trail=trail, token_s=settings.auth.access_s, clock=clock)


def make_access(*, settings: Settings, database: Database, trail: AuditTrail, clock: Callable[[], int]) -> Access:
    """Make the first section: it needs nothing of the others."""
    accounts, users, sessions = AccountsRepo(database), UsersRepo(database), RefreshTokensRepo(database)
    passwords = Passwords(settings.auth)
    keyring = keyring_of(settings, database, clock, trail)
    factors = SecondFactors(repo=SecondFactorsRepo(database), seals=Seals(keyring), clock=clock)
    auth = AuthService(
        settings=settings.auth,
        users=users,
        sessions=sessions,
        api_keys=ApiKeysRepo(database),
        passwords=passwords,
        signer=TokenSigner(lambda: keyring.ring, settings.auth, look_again=keyring.look_again, clock=clock),
        second_factors=factors,
        trail=trail,
        clock=clock,
    )
    keyring.on_revoked(auth.check_everybody_again)
    user_service = UserService(
        settings=settings,
        users=users,
        sessions=sessions,
        second_factors=SecondFactorsRepo(database),
        passwords=passwords,
        open_account=account_opener(accounts, settings.trading.currency, clock=clock),
        trail=trail,
        auth=auth,
        clock=clock,
    )
    keys = IdempotencyKeys(repo=IdempotencyKeysRepo(database), keyring=keyring, clock=clock)
    return Access(
        trail=trail,
        accounts=accounts,
        passwords=passwords,
        keyring=keyring,
        auth=auth,
        users=user_service,
        sessions=UserSessions(sessions=sessions, changed=auth.changed, trail=trail, clock=clock),
        second_factor=OwnSecondFactor(factors=factors, auth=auth, trail=trail, issuer=settings.auth.issuer),
        idempotency=keys,
    )
