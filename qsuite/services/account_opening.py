"""Opens the account of a new trader: for the server and for the command line alike.

Only opening happens here. From then on the engine alone changes the account's money.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from uuid import UUID

from qsuite.domain.errors import AlreadyExists
from qsuite.domain.times import floor_ms
from qsuite.domain.trading.account import Account
from qsuite.repos.accounts import AccountsRepo
from qsuite.services.users import OpenAccount


def account_opener(accounts: AccountsRepo, currency: str, *, clock: Callable[[], int] = time.time_ns) -> OpenAccount:
    """Return the function that opens an account in ``currency``."""

    async def open_account(account: UUID, user: UUID, name: str, cash: Decimal) -> None:
        now = floor_ms(clock())
        with suppress(AlreadyExists):  # opened before, and perhaps traded with since
            await accounts.add(
                Account(
                    id=account,
                    user=user,
                    name=name,
                    currency=currency,
                    cash=cash,
                    deposited=cash,
                    created_at=now,
                    updated_at=now,
                )
            )

    return open_account
