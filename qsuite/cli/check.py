"""``qsuite check``: do the books agree?"""

import asyncio
from typing import TYPE_CHECKING

import click

from qsuite.cli.connection import open_database
from qsuite.domain.audit_proof import ACCESS
from qsuite.domain.errors import SetupError
from qsuite.services.books import Disagreement
from qsuite.settings import Settings, load_settings

if TYPE_CHECKING:
    from qsuite.repos.database import Database


@click.command()
def check() -> None:
    """Verify the books: orders, executions, positions, cash and the audit chain agree.

    Adds everything up again from the executions, to the last digit, and recomputes every hash of both audit chains,
    held against the heads that were signed, where they are here. Reads one snapshot and changes nothing, so it may be
    run beside a server. Prints each disagreement, and exits with 1 if there is any.

    \b
    Example:  qsuite check
    """
    counts, disagreements = asyncio.run(_check(load_settings()))
    read = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    if disagreements:
        raise SetupError(f"the books disagree in {disagreements:,} places (read {read})")
    click.echo(f"The books agree: {read}")


async def _check(settings: Settings) -> tuple[dict[str, int], int]:
    async with open_database(settings, migrated=False) as database:
        return await verify(settings, database)


async def verify(settings: Settings, database: "Database") -> tuple[dict[str, int], int]:
    """Print each disagreement; return how much was read, by kind, and how many disagreements there are."""
    from qsuite.repos.audit_rows import AuditRows
    from qsuite.repos.books import open_books
    from qsuite.services.audit_heads import HEADS_NAME
    from qsuite.services.audit_keys import AuditSigner
    from qsuite.services.audit_proof import verify_chains
    from qsuite.services.books import check_books
    from qsuite.services.secrets import secrets_of

    disagreements = 0

    def tell(one: Disagreement) -> None:
        nonlocal disagreements
        disagreements += 1
        click.echo(f"{one.subject}: {one.text}")

    def work() -> dict[str, int]:
        with open_books(database) as books:
            return check_books(books, tell)

    def prove() -> None:
        heads = settings.audit.heads_file or settings.data_dir / HEADS_NAME
        checker = AuditSigner(secrets_of(settings).all).checker
        for one in verify_chains(AuditRows(database), heads, checker):
            if one.reason is not None:
                tell(Disagreement(f"audit chain {one.chain}, entry {one.bad_seq}", one.reason))
            if one.chain == ACCESS.name:
                counts["access entries"] = one.entries

    counts = await database.in_thread(work)
    await database.in_thread(prove)
    return counts, disagreements
