"""``qsuite restore``: a database filled from a backup, checked before, compared and checked afterwards."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qsuite.cli.backup import patiently
from qsuite.cli.byte_progress import byte_bar, megabytes
from qsuite.cli.check import verify
from qsuite.cli.connection import open_database
from qsuite.domain.errors import SetupError, Unavailable
from qsuite.settings import Settings, load_settings

if TYPE_CHECKING:
    from qsuite.services.backup.put_back import PutBack
    from qsuite.services.backup.reading import Archive


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--replace", "replacing", is_flag=True, help="Throw away what the database holds now.")
@click.option("--verify", "only_verify", is_flag=True, help="Check FILE from its first byte to its last, and no more.")
def restore(file: Path, replacing: bool, only_verify: bool) -> None:
    """Fill an empty database from FILE, which `qsuite backup` wrote.

    Checks the whole file before it writes anything, compares every collection with the backup afterwards, brings an
    older version forward, and verifies the books as `qsuite check` does. No server may run on the database. When it was
    broken off, run it again: until it is through, no server starts on that database.

    A database user who may not drop collections needs an empty database, or QSUITE_MONGO__ADMIN_URI.

    \b
    Example:  qsuite restore /backups/qsuite-20261122T090000Z.tar
    """
    settings = load_settings()
    started_s = time.monotonic()
    if only_verify:
        archive = _open(file)
        click.echo(f"{file} is whole and unchanged, as of {archive.manifest['snapshot']}")
        click.echo(f"state hash {archive.manifest['state_hash']}")
        return
    asyncio.run(_restore(settings, file, replacing, started_s))


def _open(file: Path) -> "Archive":
    from qsuite.services.backup.put_back import require_readable
    from qsuite.services.backup.reading import open_archive

    with byte_bar(f"checking {file.name}") as bar:
        archive = open_archive(file, bar.show)
    require_readable(archive)
    return archive


async def _restore(settings: Settings, file: Path, replacing: bool, started_s: float) -> None:
    archive = await asyncio.to_thread(_open, file)
    warn_of_secret(settings, archive)
    address = settings.mongo.admin_uri or settings.mongodb_uri
    async with open_database(patiently(replace(settings, mongodb_uri=address)), migrated=False) as database:
        from qsuite.composition.audit import heads_file
        from qsuite.services.backup.put_back import put_back

        with byte_bar(file.name) as bar:
            done = await database.in_thread(
                put_back,
                database,
                archive,
                replace=replacing,
                heads_file=heads_file(settings),
                progress=bar.show,
                stage=bar.stage,
            )
        _tell(file, archive, done, time.monotonic() - started_s)
        try:
            counts, disagreements = await verify(settings, database)
        except Unavailable as error:
            raise SetupError(f"restored, but its books could not be read through: {error.detail}") from None
    read = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    if disagreements:
        raise SetupError(f"restored as it was, and its books disagree in {disagreements:,} places (read {read})")
    click.echo(f"The books agree: {read}")


def _tell(file: Path, archive: "Archive", done: "PutBack", seconds: float) -> None:
    size = sum(each["bytes"] for each in archive.manifest["collections"])
    click.echo(
        f"{file}: {done.documents:,} documents as of {archive.manifest['snapshot']}, {megabytes(size)}"
        f" ({seconds:.1f} s, {size / 1e6 / max(seconds, 1e-3):,.1f} MB/s)"
    )
    click.echo(f"state hash {done.state_hash}, as in the backup")
    if done.heads_moved_to is not None:
        click.echo(f"The signed heads of the record that was here before are in {done.heads_moved_to}")


def warn_of_secret(settings: Settings, archive: "Archive") -> None:
    """Say so where this server was not given the secret that the backup's server had."""
    from qsuite.services.secrets import secrets_of

    if secrets_of(settings).find(archive.manifest["secret"]) is None:
        click.echo(
            "WARNING: the secret key is not the one the backup was made with. Until it is (QSUITE_SECRET_KEY, or in"
            " QSUITE_SECRET_KEYS_RETIRED), second factors and the signatures under the audit record cannot be checked.",
            err=True,
        )
