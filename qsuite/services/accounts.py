"""Accounts: opening further ones, listing them, changing what one may do, letting one begin anew.

Opening inserts the account and then notes it as its user's; whoever is killed in between leaves an account that nobody
can trade on. From its opening on only the engine changes an account: what is changed here goes through the engine, and
counts from the next order on.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from qsuite.domain.errors import Invalid, NotFound
from qsuite.domain.listing import Condition, Listing, Page
from qsuite.domain.roles import Caller, Role
from qsuite.domain.times import DAY_NS, floor_ms
from qsuite.domain.trading.account import Access, Account, Permission, Position
from qsuite.domain.trading.commands import ChangeAccount, ResetAccount
from qsuite.repos.accounts import AccountsRepo
from qsuite.repos.positions import PositionsRepo
from qsuite.services.engine import TradingEngine
from qsuite.services.outcomes import error_of
from qsuite.services.users import UserService
from qsuite.services.views import show_account


class AccountService:
    """The use cases of accounts.

    ``price_of`` is what a unit of a position would bring or cost, None if unknown; ``strategies_on`` tells which
    strategies trade on an account.
    """

    def __init__(
        self,
        *,
        accounts: AccountsRepo,
        positions: PositionsRepo,
        users: UserService,
        engine: TradingEngine,
        price_of: Callable[[Position], Decimal | None],
        strategies_on: Callable[[UUID], tuple[UUID, ...]],
        new_id: Callable[[], UUID],
        currency: str,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._accounts = accounts
        self._positions = positions
        self._users = users
        self._engine = engine
        self._price_of = price_of
        self._strategies_on = strategies_on
        self._new_id = new_id
        self._currency = currency
        self._clock = clock

    async def page(self, caller: Caller, listing: Listing) -> Page[dict[str, Any]]:
        """Return a page of the accounts the caller may see, valued at the market."""
        if not caller.reads_all:
            listing = listing.where(Condition("id", "in", caller.visible))
        page = await self._accounts.page(listing)
        return Page(await self._shown(page.items), page.count, page.next_cursor, page.has_next)

    async def get(self, caller: Caller, account: UUID) -> dict[str, Any]:
        """Return an account as it is shown. NotFound, also for somebody else's."""
        return (await self._shown([await self._get(caller, account)]))[0]

    async def open(self, user_id: UUID, name: str | None, cash: Decimal, currency: str | None = None) -> dict[str, Any]:
        """Open a further account for a trader, by default in ``trading.currency``. Invalid for whoever is none."""
        try:
            user = await self._users.get(user_id)
        except NotFound:
            raise Invalid("some fields are wrong", errors={"user": ["there is no such user"]}) from None
        if user.role is not Role.TRADER:
            raise Invalid("some fields are wrong", errors={"user": ["only a trader has accounts"]})
        now = floor_ms(self._clock())
        account = Account(
            id=self._new_id(),
            user=user.id,
            name=name or f"{user.username} {len(user.accounts) + 1}",
            currency=currency or self._currency,
            cash=cash,
            deposited=cash,
            created_at=now,
            updated_at=now,
        )
        await self._accounts.add(account)
        await self._users.attach_account(user.id, account.id)
        return (await self._shown([account]))[0]

    async def change(
        self,
        caller: Caller,
        account: UUID,
        *,
        is_active: bool | None = None,
        permissions: frozenset[Permission] | None = None,
        members: Mapping[UUID, Access] | None = None,
    ) -> dict[str, Any]:
        """Change what an account may do, and who may use it; when this returns it counts for the next order.

        NotFound; Invalid for members who are no traders, or the owner. Whom it is taken from first no longer see it,
        whom it is given to see it last: whoever is killed in between leaves nobody with more than both say, and asking
        again makes it whole.
        """
        known = await self._get(caller, account)
        if members is not None:
            await self._check_members(known, members)
            for user, access in known.members.items():
                if members.get(user) is not access:
                    await self._users.share_account(user, account, None)
        command = ChangeAccount(
            account=account, user=caller.user, is_active=is_active, permissions=permissions, members=members
        )
        outcome = await self._engine.submit(command)
        if outcome.error is not None:
            raise error_of(outcome)
        for user, access in (members or {}).items():
            await self._users.share_account(user, account, access)
        return await self.get(caller, account)

    async def reset(self, caller: Caller, account: UUID, cash: Decimal | None) -> dict[str, Any]:
        """Let an account begin anew with ``cash``, by default what was deposited. NotFound, Conflict.

        Orders are cancelled and positions written off in one step of the engine, which is whole or did not happen.
        """
        strategies = self._strategies_on(account)
        command = ResetAccount(account=account, user=caller.user, cash=cash, strategies=strategies)
        outcome = await self._engine.submit(command)
        if outcome.error is not None:
            raise error_of(outcome)
        return await self.get(caller, account)

    async def version(self, caller: Caller, account: UUID) -> int:
        """Return the version of an account as it is stored. NotFound."""
        return (await self._get(caller, account)).version

    async def _check_members(self, account: Account, members: Iterable[UUID]) -> None:
        """Refuse who cannot be a member: only traders come to an account at all."""
        for user_id in members:
            try:
                user = await self._users.get(user_id)
            except NotFound:
                raise _wrong_member(f"there is no user {user_id}") from None
            if user.role is not Role.TRADER or user.id == account.user:
                raise _wrong_member(f"{user.username} is no trader, or the account is theirs")

    async def _get(self, caller: Caller, account: UUID) -> Account:
        if not caller.sees(account):
            raise NotFound("no such account")
        return await self._accounts.get(account)

    async def _shown(self, accounts: Iterable[Account]) -> list[dict[str, Any]]:
        found, today = list(accounts), self._clock() // DAY_NS
        held: dict[UUID, list[tuple[Position, Decimal | None]]] = {account.id: [] for account in found}
        for position in await self._positions.of(held):
            if position.quantity:
                held[position.account].append((position, self._price_of(position)))
        return [
            show_account(account, held[account.id], today) | {"user": str(account.user), "version": account.version}
            for account in found
        ]


def _wrong_member(message: str) -> Invalid:
    return Invalid("some fields are wrong", errors={"members": [message]})
