"""``qsuite user``: make, list and change users. A running server sees what is changed here within a second.

A password is typed unseen or read from standard input, never taken as an argument, which every process can read.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from qsuite.cli.connection import command_origin, open_database
from qsuite.domain.errors import NotFound
from qsuite.domain.listing import Listing
from qsuite.domain.money import parse_decimal
from qsuite.domain.roles import Role
from qsuite.domain.times import format_rfc3339
from qsuite.settings import load_settings

if TYPE_CHECKING:
    from qsuite.domain.users import User
    from qsuite.services.users import UserService

MAX_INPUT = 8_192
PAGE_SIZE = 1_000

password_stdin = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")


class Cash(click.ParamType[Decimal]):
    """An exact, non-negative decimal."""

    name = "decimal"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """Read the number."""
        try:
            cash = parse_decimal(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if cash < 0:
            self.fail("at least 0", param, ctx)
        return cash


@click.group()
def user() -> None:
    """Create, list and change users; end what lets them in.

    \b
    Example:  qsuite user list
    """


@user.command()
@click.argument("name")
@click.option("--role", required=True, type=click.Choice([role.value for role in Role]), help="What they may do.")
@password_stdin
@click.option("--cash", type=Cash(), help="What a trader's account opens with.")
@click.option("--email", help="Where they can be reached.")
def create(name: str, role: str, password_stdin: bool, cash: Decimal | None, email: str | None) -> None:
    """Create a user, and a trader's account; print the user's id.

    \b
    Example:  echo "$PASSWORD" | qsuite user create maria --role trader --password-stdin --cash 1000000
    """
    password = read_password(password_stdin)
    click.echo(asyncio.run(_create(name, password, Role(role), cash, email)))


@user.command()
@click.argument("name")
@password_stdin
def passwd(name: str, password_stdin: bool) -> None:
    """Set a user's password and end all their sessions.

    \b
    Example:  qsuite user passwd maria
    """
    asyncio.run(_passwd(name, read_password(password_stdin)))
    click.echo(f"The password of {name} is set; their sessions have ended")


@user.command()
@click.argument("name")
def disable(name: str) -> None:
    """Let a user in no more, and end all their sessions; their API keys stop too.

    \b
    Example:  qsuite user disable maria
    """
    asyncio.run(_change(name, {"is_active": False}))
    click.echo(f"{name} is disabled; their sessions have ended")


@user.command()
@click.argument("name")
def enable(name: str) -> None:
    """Let a disabled user in again; they log in anew.

    \b
    Example:  qsuite user enable maria
    """
    asyncio.run(_change(name, {"is_active": True}))
    click.echo(f"{name} may log in")


@user.command()
@click.argument("name")
@click.argument("role", type=click.Choice([role.value for role in Role]))
def role(name: str, role: str) -> None:
    """Give a user another role, which counts from their next request; their sockets close.

    \b
    Example:  qsuite user role maria risk_manager
    """
    asyncio.run(_change(name, {"role": Role(role)}))
    click.echo(f"{name} is {role}")


@user.command()
@click.argument("name")
def logout(name: str) -> None:
    """End all sessions of a user; their password and API keys stay.

    \b
    Example:  qsuite user logout maria
    """
    asyncio.run(_logout(name))
    click.echo(f"The sessions of {name} have ended")


@user.command("totp-reset")
@click.argument("name")
def totp_reset(name: str) -> None:
    """Take a user's second factor away, for who lost phone and recovery codes; their password stays.

    \b
    Example:  qsuite user totp-reset maria
    """
    asyncio.run(_totp_reset(name))
    click.echo(f"{name} logs in by password alone until they turn a second factor on again")


@user.command("list")
def list_users() -> None:
    """List all users: id, name, role, whether active, when made.

    \b
    Example:  qsuite user list
    """
    users = asyncio.run(_list())
    width = max((len(found.username) for found in users), default=0)
    for found in users:
        active = "active" if found.is_active else "disabled"
        made = format_rfc3339(found.created_at)
        click.echo(f"{found.id}  {found.username:<{width}}  {found.role.value:<12}  {active:<8}  {made}")


def read_password(from_stdin: bool) -> str:
    """Read a password: all of standard input without its last line end, or typed twice, unseen."""
    if from_stdin:
        return sys.stdin.read(MAX_INPUT).removesuffix("\n").removesuffix("\r")
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to type a password at: use --password-stdin")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return password


async def _create(name: str, password: str, role: Role, cash: Decimal | None, email: str | None) -> UUID:
    async with _users() as users:
        return (await users.create(name, password, role, cash, email=email)).id


async def _passwd(name: str, password: str) -> None:
    await _change(name, {"password": password})


async def _change(name: str, changes: Mapping[str, Any]) -> None:
    async with _users() as users:
        await users.update((await _named(users, name)).id, changes)


async def _logout(name: str) -> None:
    async with _users() as users:
        await users.end_sessions((await _named(users, name)).id)


async def _totp_reset(name: str) -> None:
    async with _users() as users:
        await users.reset_second_factor((await _named(users, name)).id)


async def _named(users: "UserService", name: str) -> "User":
    found = await users.find_by_username(name)
    if found is None:
        raise NotFound(f"there is no user {name}")
    return found


async def _list() -> list["User"]:
    found: list[User] = []
    async with _users() as users:
        more, page = True, 1
        while more:
            answer = await users.page(Listing(order=(("username", False),), page=page, page_size=PAGE_SIZE))
            found += answer.items
            more, page = answer.has_next, page + 1
    return found


@asynccontextmanager
async def _users() -> AsyncIterator["UserService"]:
    from qsuite.repos.accounts import AccountsRepo
    from qsuite.repos.audit_access import AuditAccessRepo
    from qsuite.repos.refresh_tokens import RefreshTokensRepo
    from qsuite.repos.second_factors import SecondFactorsRepo
    from qsuite.repos.users import UsersRepo
    from qsuite.services.account_opening import account_opener
    from qsuite.services.audit_trail import AuditTrail, on_behalf
    from qsuite.services.logging import configure_logging
    from qsuite.services.passwords import Passwords
    from qsuite.services.users import UserService

    settings = load_settings()
    # The command's own answer says what was done; the log is for what went wrong.
    configure_logging(replace(settings, log=replace(settings.log, level="warning")))
    passwords = Passwords(settings.auth)
    try:
        async with open_database(settings) as database:
            with on_behalf(command_origin()):
                yield UserService(
                    settings=settings,
                    users=UsersRepo(database),
                    sessions=RefreshTokensRepo(database),
                    second_factors=SecondFactorsRepo(database),
                    passwords=passwords,
                    open_account=account_opener(AccountsRepo(database), settings.trading.currency),
                    trail=AuditTrail(AuditAccessRepo(database)),
                )
    finally:
        passwords.close()
