"""``qsuite user`` as a person or script runs it, beside a server's database."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import CliRunner

from qsuite.cli import cli
from qsuite.domain.errors import Unauthenticated
from qsuite.domain.roles import Role
from qsuite.repos.database import Database
from qsuite.services.auth import session_of
from tests.support.auth import PASSWORD, login_services, prepare
from tests.support.codes import totp_at

CHECKOUT = Path(__file__).resolve().parents[2]
PROGRAM = """
import json, sys
from qsuite.cli import main
for sys.argv[1:] in json.loads(sys.argv[1]):
    try:
        main()
    except SystemExit as ended:
        if ended.code:
            raise
"""


@pytest.fixture
def qsuite(mongod, database: Database, tmp_path):
    """Run the command on the test's database."""

    def run(*arguments: str, stdin: str = "", then: Sequence[Sequence[str]] = ()) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("QSUITE_")}
        settings = {
            "QSUITE_PROFILE": "test",
            "QSUITE_MONGODB_URI": mongod,
            "QSUITE_DATABASE": database.name,
            "QSUITE_DATA_DIR": str(tmp_path / "data"),
        }
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, json.dumps([arguments, *then])],
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


async def test_what_is_changed_on_the_command_line_acts_on_a_running_server(qsuite, database, settings, tmp_path):
    await prepare(database)
    process = login_services(database, settings, tmp_path)
    maria = await process.users.create("maria", PASSWORD, Role.VIEWER)
    closed = []
    process.auth.on_revoked(closed.append)

    async def logged_in(**more):
        return await process.auth.authenticate_token(
            (await process.auth.login("maria", PASSWORD, "::1", **more)).access
        )

    async def told(*commands):
        """Run commands one after the other in one process; return whom the server's next look shut out."""
        done = await asyncio.to_thread(qsuite, *("user", *commands[0]), then=[["user", *each] for each in commands[1:]])
        assert (done.returncode, done.stderr) == (0, "")
        closed.clear()
        await process.round()
        return closed

    caller = await logged_in()
    assert await told(("role", "MARIA", "auditor"), ("logout", "maria")) == [maria.id]
    assert not (await process.sessions.find(session_of(caller))).live
    caller = await logged_in()
    assert caller.role is Role.AUDITOR

    secret = (await process.second_factor.begin(caller, PASSWORD, "::1")).secret
    await process.second_factor.confirm(caller, totp_at(secret, process.clock() / 1e9))
    with pytest.raises(Unauthenticated, match="second factor"):
        await logged_in()
    assert await told(("disable", "maria")) == [maria.id]
    with pytest.raises(Unauthenticated, match="wrong username"):
        await logged_in()
    await told(("enable", "maria"), ("totp-reset", "maria"))
    assert await logged_in()
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
        (("totp-reset", "nobody"), "", "there is no user nobody"),
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


def test_each_command_shows_an_example():
    for command in ("create", "passwd", "disable", "enable", "role", "logout", "totp-reset", "list"):
        assert "Example:" in CliRunner().invoke(cli, ["user", command, "--help"]).output
