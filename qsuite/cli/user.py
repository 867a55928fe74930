"""``qsuite user``: create, passwd, list. A running server sees what is changed here within a second.

A password is typed unseen or read from standard input, never taken as an argument, which every process can read.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING
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
    """Create and list users, set passwords.

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
    async with _users() as users:
        found = await users.find_by_username(name)
        if found is None:
            raise NotFound(f"there is no user {name}")
        await users.update(found.id, {"password": password})


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
                    passwords=passwords,
                    open_account=account_opener(AccountsRepo(database), settings.trading.currency),
                    trail=AuditTrail(AuditAccessRepo(database)),
                )
    finally:
        passwords.close()
