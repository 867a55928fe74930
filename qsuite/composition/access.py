"""Who is calling: users, their sessions, keys and passwords."""

from collections.abc import Callable
from dataclasses import dataclass

from qsuite.repos.accounts import AccountsRepo
from qsuite.repos.api_keys import ApiKeysRepo
from qsuite.repos.database import Database
from qsuite.repos.refresh_tokens import RefreshTokensRepo
from qsuite.repos.users import UsersRepo
from qsuite.services.account_opening import account_opener
from qsuite.services.auth import AuthService
from qsuite.services.passwords import Passwords
from qsuite.services.tokens import TokenSigner, secret_of
from qsuite.services.users import UserService
from qsuite.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What knows users; ``accounts`` because a new trader gets one."""

    accounts: AccountsRepo
    passwords: Passwords
    auth: AuthService
    users: UserService


def make_access(*, settings: Settings, database: Database, clock: Callable[[], int]) -> Access:
    """Make the first section: it needs nothing of the others."""
    accounts, users, sessions = AccountsRepo(database), UsersRepo(database), RefreshTokensRepo(database)
    passwords = Passwords(settings.auth)
    auth = AuthService(
        settings=settings.auth,
        users=users,
        sessions=sessions,
        api_keys=ApiKeysRepo(database),
        passwords=passwords,
        signer=TokenSigner(secret_of(settings), settings.auth, clock=clock),
        clock=clock,
    )
    user_service = UserService(
        settings=settings,
        users=users,
        sessions=sessions,
        passwords=passwords,
        open_account=account_opener(accounts, settings.trading.currency, clock=clock),
        auth=auth,
        clock=clock,
    )
    return Access(accounts=accounts, passwords=passwords, auth=auth, users=user_service)
