"""``qsuite audit``: export the record of who did what, and verify an export without a server or a database."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qsuite.cli.connection import open_database
from qsuite.domain.audit_proof import Bad
from qsuite.domain.errors import SetupError
from qsuite.settings import load_settings

if TYPE_CHECKING:
    from qsuite.services.audit_proof import Verdict

EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def audit() -> None:
    """Export the audit record, verify an export, show the keys its heads are signed with.

    \b
    Example:  qsuite audit export record.ndjson
    """


@audit.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def export(file: Path) -> None:
    """Write both audit chains to FILE: one JSON object a line, and a signed head behind each chain.

    Verifies each entry as it goes and stops at the first bad one. What is exported is itself recorded.

    \b
    Example:  qsuite audit export record.ndjson
    """
    written = asyncio.run(_export(file))
    click.echo(f"Exported {', '.join(f'{count:,} entries of {chain}' for chain, count in written.items())}")


@audit.command()
@click.argument("file", type=EXISTING)
@click.option("--heads", type=EXISTING, help="A file of signed heads (audit-heads.jsonl), or a copy of it.")
@click.option("--public-key", type=EXISTING, help="The keys that signed the heads, as `qsuite audit keys` writes them.")
def verify(file: Path, heads: Path | None, public_key: Path | None) -> None:
    """Verify an exported FILE: every entry, every hash, every signature. Needs no server and no database.

    Names the first bad entry of each chain and exits with 1 if there is any. Without --public-key no signature is
    checked, so a chain that somebody hashed anew as a whole is only found by --heads.

    \b
    Example:  qsuite audit verify record.ndjson --heads audit-heads.jsonl --public-key audit-keys.json
    """
    from qsuite.services.audit_keys import HeadChecker, read_public_keys
    from qsuite.services.audit_proof import verify_file

    checker = None if public_key is None else HeadChecker(read_public_keys(public_key))
    verdicts = verify_file(file, heads, checker)
    for one in verdicts:
        click.echo(_sentence(one))
    if any(one.reason is not None for one in verdicts):
        raise SetupError("the audit record is not as it was written")
    if checker is None:
        click.echo("No signature was checked: give --public-key", err=True)


@audit.command()
def keys() -> None:
    """Print the public keys that check signed heads, as a JWK Set. Keep them away from the server.

    \b
    Example:  qsuite audit keys > audit-keys.json
    """
    from qsuite.services.audit_keys import AuditSigner
    from qsuite.services.secrets import secrets_of

    click.echo(json.dumps({"keys": AuditSigner(secrets_of(load_settings()).all).jwks}, indent=2))


async def _export(file: Path) -> dict[str, int]:
    from qsuite.cli.connection import command_origin
    from qsuite.repos.audit_access import AuditAccessRepo
    from qsuite.repos.audit_rows import AuditRows
    from qsuite.services.audit_keys import AuditSigner
    from qsuite.services.audit_proof import export_chains
    from qsuite.services.audit_trail import AuditTrail, on_behalf
    from qsuite.services.secrets import secrets_of

    settings = load_settings()
    async with open_database(settings) as database:
        with on_behalf(command_origin()):
            await AuditTrail(AuditAccessRepo(database)).record("audit.exported", facts={"file": file.name})

        def work() -> dict[str, int]:
            with file.open("wb") as opened:
                return export_chains(AuditRows(database), AuditSigner(secrets_of(settings).all), opened)

        try:
            return await database.in_thread(work)
        except Bad as bad:
            raise SetupError(f"entry {bad.seq} {bad.reason}; what was written before it is in {file}") from None


def _sentence(one: "Verdict") -> str:
    if one.reason is None:
        return f"{one.chain}: {one.entries:,} entries as they were written, {one.signed:,} signed heads agree"
    return f"{one.chain}: entry {one.bad_seq}: {one.reason}"
