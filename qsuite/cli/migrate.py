"""``qsuite migrate``: bring the database up to date, and the database role QSuite works under."""

import asyncio

import click

from qsuite.cli.connection import open_database
from qsuite.domain.errors import SetupError
from qsuite.settings import Settings, load_settings


@click.command()
@click.option("--dry-run", is_flag=True, help="Show what would change, line by line, and change nothing.")
@click.option("--force", is_flag=True, help="Look at every collection again, even where nothing says it has changed.")
@click.option("--grant", is_flag=True, help="Set up the database role and user, with QSUITE_MONGO__ADMIN_URI.")
@click.option("--user", default="qsuite", show_default=True, help="The database user who gets the role, with --grant.")
@click.option("--serve-only", is_flag=True, help="With --grant: a role that cannot migrate.")
def migrate(dry_run: bool, force: bool, grant: bool, user: str, serve_only: bool) -> None:
    """Bring the database up to date: collections, validators, indexes and numbered steps.

    `qsuite serve` does this by itself; run it beforehand to keep a start quick, and to see with --dry-run what an
    update is going to change. Forward only, under a lock: of two that start at once one migrates and the other waits.
    A database that a newer QSuite has migrated is left alone. Servers may go on trading meanwhile.

    With --grant it makes or renews the role that QSuite's own database user should have and no more: it may read and
    add to the audit record, and never change or remove an entry. With --serve-only it may change no collection either:
    for servers with QSUITE_MIGRATE__AT_START=false, where this command runs as another user before they start. The role
    qsuiteOps, for operators, reads, but no keys. The administrator's address and a new user's password come from the
    environment, QSUITE_MONGO__ADMIN_URI and QSUITE_MONGO__GRANT_PASSWORD.

    \b
    Example:  qsuite migrate --dry-run
    """
    settings = load_settings()
    if grant:
        role, made = asyncio.run(_grant(settings, user, serve_only))
        click.echo(f"The user {user} {'was made and ' if made else ''}has the role {role}, and no other")
        click.echo("The role qsuiteOps, for who runs ops/mongosh, may read and no more")
        return
    changes = asyncio.run(_dry_run(settings) if dry_run else _migrate(settings, force=force))
    for line in changes:
        click.echo(line)
    if not changes:
        click.echo("Nothing would change" if dry_run else "Nothing had changed")


async def _migrate(settings: Settings, *, force: bool) -> list[str]:
    from qsuite.repos.collections import collections_of
    from qsuite.repos.schema import migrate as apply

    async with open_database(settings, migrated=False) as database:
        return await apply(database, collections_of(database), force=force)


async def _dry_run(settings: Settings) -> list[str]:
    from qsuite.repos.collections import collections_of
    from qsuite.repos.schema import dry_run as look

    async with open_database(settings, migrated=False) as database:
        if not database.transactions:
            raise SetupError("all is held in memory, where there is nothing to migrate")
        return await look(database, collections_of(database))


async def _grant(settings: Settings, user: str, serve_only: bool) -> tuple[str, bool]:
    """Return the role that the user has now, and whether the user was made."""
    from qsuite.repos.deployment import connect_to
    from qsuite.repos.grants import ROLE, SERVE_ROLE, grant

    mongo = settings.mongo
    if mongo.admin_uri is None:
        raise SetupError("--grant needs an administrator's address in QSUITE_MONGO__ADMIN_URI")
    admin = connect_to(mongo.admin_uri, settings.database, pool_size=4, timeout_s=mongo.timeout_s)
    try:
        role = SERVE_ROLE if serve_only else ROLE
        return role, await grant(admin, settings.database, user, mongo.grant_password, role=role)
    finally:
        admin.close()
