"""``qsuite user`` as a person or script runs it, beside a server's database."""

import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest

from qsuite.repos.database import Database
from tests.support.auth import PASSWORD, login_services

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def qsuite(mongod, database: Database, tmp_path):
    """Run the command on the test's database."""

    def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("QSUITE_")}
        settings = {
            "QSUITE_PROFILE": "test",
            "QSUITE_MONGODB_URI": mongod,
            "QSUITE_DATABASE": database.name,
            "QSUITE_DATA_DIR": str(tmp_path / "data"),
        }
        return subprocess.run(
            [sys.executable, "-c", "from qsuite.cli import main; main()", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            env={**clean, **settings, "PYTHONPATH": str(CHECKOUT)},
            cwd=tmp_path,
            timeout=60,
        )

    return run


async def test_a_user_created_on_the_command_line_can_log_in_and_is_listed(qsuite, database, settings, tmp_path):
    made = qsuite(
        "user", "create", "maria", "--role", "trader", "--password-stdin", "--cash", "250.25", stdin=f"{PASSWORD}\n"
    )
    assert (made.returncode, made.stderr) == (0, "")
    process = login_services(database, settings, tmp_path)
    caller = await process.auth.authenticate_token((await process.auth.login("maria", PASSWORD, "::1")).access)
    assert caller.user == UUID(made.stdout.strip())
    assert str((await process.accounts.get(caller.accounts[0])).cash) == "250.25"

    changed = qsuite("user", "passwd", "MARIA", "--password-stdin", stdin="another horse battery staple")
    assert changed.returncode == 0
    await process.round()
    assert not (await process.sessions.find(UUID(caller.token.removeprefix("session:")))).live
    assert await process.auth.login("maria", "another horse battery staple", "::1")

    listed = qsuite("user", "list")
    assert listed.stdout.split()[:4] == [str(caller.user), "maria", "trader", "active"]
    process.close()


@pytest.mark.parametrize(
    ("arguments", "stdin", "told"),
    [
        (("create", "maria", "--role", "emperor", "--password-stdin"), PASSWORD, "emperor"),
        (("create", "maria", "--role", "trader", "--password-stdin"), "canary12345\n", "at least 12 characters"),
        (("create", "a b", "--role", "trader", "--password-stdin"), PASSWORD, "username"),
        (("create", "maria", "--role", "viewer", "--password-stdin", "--cash", "1"), PASSWORD, "only a trader"),
        (("create", "maria", "--role", "trader", "--password-stdin", "--cash", "NaN"), PASSWORD, "not a decimal"),
        (("create", "maria", "--role", "trader"), PASSWORD, "--password-stdin"),
        (("passwd", "nobody", "--password-stdin"), PASSWORD, "there is no user nobody"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line_without_the_password(qsuite, arguments, stdin, told):
    done = qsuite("user", *arguments, stdin=stdin)
    assert done.returncode != 0
    assert told in done.stderr
    assert done.stderr.strip().count("\n") <= 3  # usage errors show how to ask for help
    assert "Traceback" not in done.stderr
    assert "canary" not in done.stderr + done.stdout
    assert PASSWORD not in done.stderr + done.stdout


def test_each_command_shows_an_example(qsuite):
    for command in ("create", "passwd", "list"):
        assert "Example:" in qsuite("user", command, "--help").stdout
