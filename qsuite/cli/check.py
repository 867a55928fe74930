"""``qsuite check``: do the books agree?"""

import asyncio

import click

from qsuite.cli.connection import open_database
from qsuite.domain.errors import SetupError
from qsuite.services.books import Disagreement
from qsuite.settings import Settings, load_settings


@click.command()
def check() -> None:
    """Verify the books: orders, executions, positions, cash and the audit chain agree.

    Adds everything up again from the executions, to the last digit, and recomputes every hash of the audit chain. Reads
    one snapshot and changes nothing, so it may be run beside a server. Prints each disagreement, and exits with 1 if
    there is any.

    \b
    Example:  qsuite check
    """
    counts, disagreements = asyncio.run(_check(load_settings()))
    read = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    if disagreements:
        raise SetupError(f"the books disagree in {disagreements:,} places (read {read})")
    click.echo(f"The books agree: {read}")


async def _check(settings: Settings) -> tuple[dict[str, int], int]:
    from qsuite.repos.books import open_books
    from qsuite.services.books import check_books

    disagreements = 0

    def tell(one: Disagreement) -> None:
        nonlocal disagreements
        disagreements += 1
        click.echo(f"{one.subject}: {one.text}")

    async with open_database(settings, migrated=False) as database:

        def work() -> dict[str, int]:
            with open_books(database) as books:
                return check_books(books, tell)

        return await database.in_thread(work), disagreements
