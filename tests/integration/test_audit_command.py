"""``qsuite audit``: exported beside nothing but a database, verified beside nothing at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from qsuite.cli import cli
from qsuite.repos import audit_access
from qsuite.repos.audit_access import AuditAccessRepo
from qsuite.repos.database import Database
from qsuite.repos.schema import migrate
from qsuite.services.audit_keys import AuditSigner
from qsuite.services.audit_trail import AuditTrail
from tests.support.auth import SECRET


async def test_a_record_is_exported_and_verified_elsewhere_with_the_public_key_alone(
    mongod: str, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrate(database, (audit_access.SPEC,))
    for number in range(5):
        await AuditTrail(AuditAccessRepo(database)).record("user.changed", subject=number)
    file, keys = tmp_path / "record.ndjson", tmp_path / "keys.json"
    exported = await database.in_thread(run, mongod, database.name, tmp_path, "audit", "export", str(file))
    assert "6 entries of access" in exported  # the export is recorded too
    keys.write_text(await database.in_thread(run, mongod, database.name, tmp_path, "audit", "keys"))

    told = verified(file, "--public-key", str(keys))
    assert (told.exit_code, "access: 6 entries as they were written" in told.output) == (0, True)

    whole = file.read_bytes()
    file.write_bytes(whole.replace(b'"subject":"2"', b'"subject":"9"'))
    told = verified(file, "--public-key", str(keys))
    assert told.exit_code == 1
    assert "access: entry 3: was changed" in told.output

    file.write_bytes(whole)
    others = tmp_path / "others.json"
    others.write_text(str(AuditSigner(["another-secret-of-more-than-32-characters"]).jwks[0]).replace("'", '"'))
    assert verified(file, "--public-key", str(others)).exit_code == 1
    assert verified(file, "--heads", str(file)).exit_code == 1  # not a file of heads


def verified(file: Path, *options: str):
    return CliRunner().invoke(cli, ["audit", "verify", str(file), *options])


def run(mongod: str, name: str, data_dir: Path, *arguments: str) -> str:
    environment = {
        **os.environ,
        "QSUITE_PROFILE": "test",
        "QSUITE_MONGODB_URI": mongod,
        "QSUITE_DATABASE": name,
        "QSUITE_DATA_DIR": str(data_dir),
        "QSUITE_SECRET_KEY": SECRET,
    }
    done = subprocess.run([sys.executable, "-m", "qsuite", *arguments], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
