"""``qsuite state-hash``: are two databases the same in all that matters?"""

import asyncio

import click

from qsuite.cli.backup import patiently
from qsuite.cli.connection import open_database
from qsuite.settings import Settings, load_settings


@click.command("state-hash")
@click.option("--collections", is_flag=True, help="Print each collection's count and hash as well.")
def state_hash(collections: bool) -> None:
    """Print one hash over accounts, positions, orders, executions, users, limits, both audit chains and the rest.

    Two databases with the same hash hold the same, wherever their documents lie. Reads one snapshot and changes
    nothing. What goes by itself in time (sessions, kept answers) and ticks are no part of it.

    \b
    Example:  qsuite state-hash
    """
    found, lines = asyncio.run(_state_hash(load_settings()))
    if collections:
        for line in lines:
            click.echo(line)
    click.echo(found)


async def _state_hash(settings: Settings) -> tuple[str, list[str]]:
    from qsuite.repos.snapshots import open_snapshot
    from qsuite.repos.state_hash import read_state
    from qsuite.repos.state_hash import state_hash as hash_of

    async with open_database(patiently(settings), migrated=False) as database:

        def work() -> tuple[str, list[str]]:
            with open_snapshot(database) as snapshot:
                digests = read_state(snapshot)
            return hash_of(digests), [
                f"{found.sha256}  {name} ({found.documents:,})" for name, found in digests.items()
            ]

        return await database.in_thread(work)
