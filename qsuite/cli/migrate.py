"""``qsuite migrate``: validators and indexes."""

import asyncio

import click

from qsuite.cli.connection import open_database
from qsuite.settings import Settings, load_settings


@click.command()
@click.option("--force", is_flag=True, help="Apply everything again, even where nothing has changed.")
def migrate(force: bool) -> None:
    """Bring the validators and indexes of every collection up to date.

    `qsuite serve` does this by itself; run it beforehand to keep a start quick, or after restoring a backup. It
    changes no document, and does nothing when nothing has changed.

    \b
    Example:  qsuite migrate
    """
    touched = asyncio.run(_migrate(load_settings(), force=force))
    click.echo(f"Brought {len(touched)} collections up to date" if touched else "Nothing had changed")


async def _migrate(settings: Settings, *, force: bool) -> list[str]:
    from qsuite.repos.collections import collections_of
    from qsuite.repos.schema import migrate as apply

    async with open_database(settings, migrated=False) as database:
        return await apply(database, collections_of(database), force=force)
