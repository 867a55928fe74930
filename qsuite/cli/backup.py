"""``qsuite backup``: the whole database as of one instant, into one file, beside a server that trades on."""

import asyncio
import os
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qsuite.cli.byte_progress import byte_bar, megabytes
from qsuite.cli.connection import command_origin, open_database
from qsuite.settings import Settings, load_settings

if TYPE_CHECKING:
    from qsuite.repos.database import Database
    from qsuite.services.backup.take import Taken

NICE = 10
"""Hashing and compressing go after whatever serves orders on the same machine."""
READ_S = 60.0
"""One reading of some megabytes may take this long on a busy machine."""


@click.command()
@click.argument("path", metavar="FILE|FOLDER", type=click.Path(path_type=Path))
@click.option("--rate", type=click.FloatRange(min=0.1), metavar="MB", help="Read no more than this many MB a second.")
def backup(path: Path, rate: float | None) -> None:
    """Write the whole database to FILE, or to a new file in FOLDER, as it is at this instant.

    A running server is not stopped and goes on trading; what it does meanwhile is not in the file. The file is for its
    owner's eyes alone (it holds password hashes and sealed secrets), compressed, and says by a hash whether it is
    whole. The secret key is not in it: keep that elsewhere. Prints the state hash, which `qsuite restore` compares.

    \b
    Example:  qsuite backup /backups
    """
    if path.is_dir():
        path /= f"qsuite-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar"
    started_s = time.monotonic()
    taken = asyncio.run(_backup(load_settings(), path, None if rate is None else rate * 1e6))
    for line in summary(taken, path, time.monotonic() - started_s):
        click.echo(line)


async def _backup(settings: Settings, path: Path, rate: float | None) -> "Taken":
    from qsuite.composition.audit import heads_file
    from qsuite.services.backup.take import take
    from qsuite.services.secrets import secret_id, secret_of

    patient = patiently(settings)
    with byte_bar(path.name) as bar:
        async with open_database(patient, migrated=False) as database:
            await _record(database, path)

            def work() -> "Taken":
                os.nice(NICE)  # of this thread alone
                secret = secret_id(secret_of(settings))
                heads = heads_file(settings)
                return take(database, path, heads_file=heads, secret=secret, rate=rate, progress=bar.show)

            return await database.in_thread(work)


def patiently(settings: Settings) -> Settings:
    """Return the settings with time for long operations of the database."""
    return replace(settings, mongo=replace(settings.mongo, timeout_s=max(settings.mongo.timeout_s, READ_S)))


def summary(taken: "Taken", path: Path, seconds: float) -> list[str]:
    """Say what was written, in lines for a person."""
    collections = taken.manifest["collections"]
    documents, size = (sum(each[name] for each in collections) for name in ("documents", "bytes"))
    rate = size / 1e6 / max(seconds, 1e-3)
    return [
        f"{path}: {documents:,} documents as of {taken.manifest['snapshot']}, {megabytes(size)} in"
        f" {megabytes(taken.stored)} ({seconds:.1f} s, {rate:,.1f} MB/s)",
        f"state hash {taken.manifest['state_hash']}",
        f"sha256     {taken.sha256}",
    ]


async def _record(database: "Database", path: Path) -> None:
    """Record who takes everything out, before it is taken."""
    from qsuite.repos.audit_access import AuditAccessRepo
    from qsuite.services.audit_trail import AuditTrail, on_behalf

    if database.transactions:
        with on_behalf(command_origin()):
            await AuditTrail(AuditAccessRepo(database)).record("backup.taken", facts={"file": path.name})
