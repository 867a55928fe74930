"""The role that `qsuite migrate --grant` sets up, on a mongod that asks for passwords: it works, and cannot rewrite."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from qsuite.domain.errors import SetupError
from qsuite.domain.roles import Role
from qsuite.repos import grants
from qsuite.repos.database import Document, connect
from qsuite.settings import MigrateSettings, Settings
from tests.support.guarded_mongod import ROOT, guarded_mongod, uri
from tests.support.running_app import PASSWORD, running_api

OWN = "own-password"
NOT_AUTHORISED = 13


@pytest.fixture(scope="module")
def guarded() -> Iterator[int]:
    """The port of a mongod with --auth (of a set, so with a key file) and a root user."""
    with guarded_mongod() as port:
        yield port


def run_migrate(tmp_path: Path, *arguments: str, **settings: str) -> str:
    environment = {**os.environ, "QSUITE_PROFILE": "test", "QSUITE_DATA_DIR": str(tmp_path), **settings}
    command = [sys.executable, "-m", "qsuite", "migrate", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def granted(port: int, tmp_path: Path, *options: str) -> str:
    admin = {"QSUITE_MONGO__ADMIN_URI": uri(port, "root", ROOT), "QSUITE_MONGO__GRANT_PASSWORD": OWN}
    return run_migrate(tmp_path, "--grant", *options, **admin)


async def test_the_application_runs_under_a_role_that_can_change_no_collection_and_not_rewrite_the_record(
    guarded: int, settings: Settings, tmp_path: Path
) -> None:
    assert "has the role qsuite, " in granted(guarded, tmp_path)
    assert "has the role qsuiteServe, " in granted(guarded, tmp_path, "--user", "server", "--serve-only")
    left = replace(settings, migrate=MigrateSettings(at_start=False))
    database = connect(uri(guarded, "server", OWN), "qsuite", pool_size=16)
    try:
        with pytest.raises(SetupError, match="run `qsuite migrate`"):
            async with running_api(left, database, tmp_path):
                pass
        assert "version 1: " in run_migrate(tmp_path, QSUITE_MONGODB_URI=uri(guarded, "qsuite", OWN))
        async with running_api(left, database, tmp_path) as api:
            client = await api.new_client(Role.TRADER)
            changed = await api.admin.patch(f"/api/v1/users/{client.user['id']}/", {"email": "t@example.com"})
            assert changed.status == 200
            assert (await api.admin.post("/api/v1/tickers/", {"symbol": "GRNT", "name": "Granted"})).status == 201
            password = {"old_password": PASSWORD, "new_password": "another horse battery staple"}
            assert (await client.post("/api/auth/password/", password)).status == 204
            assert (await api.auditor.get("/api/v1/audit/verify/")).json["ok"] is True
        for user, refused in (("qsuite", 6), ("server", 8)):
            found = await database.in_thread(_refused, uri(guarded, user, OWN))
            tried = [NOT_AUTHORISED] * refused + [None] * (8 - refused)
            assert found == dict.fromkeys(("audit_log", "audit_access"), tried)
    finally:
        await asyncio.to_thread(database.close)


def test_who_serves_may_do_nothing_that_who_migrates_may_not() -> None:
    def allowed(privileges: list[Document]) -> set[tuple[str, str]]:
        return {(each["resource"]["collection"], action) for each in privileges for action in each["actions"]}

    migrates, serves = allowed(grants.privileges("qsuite")), allowed(grants.serving_privileges("qsuite"))
    assert serves - migrates == {("ticks", "collMod")}  # which the other may everywhere
    forbidden = {"createCollection", "createIndex", "dropIndex", "convertToCapped", "dropCollection"}
    assert not forbidden & {action for _, action in serves}


def _refused(address: str) -> dict[str, list[int | None]]:
    """Try to rewrite each chain in six ways, then to change its collection in two; return the codes of refusals."""
    with MongoClient[dict[str, Any]](address) as client:
        db = client["qsuite"]
        tries = {
            name: (
                lambda name=name: db[name].update_one({}, {"$set": {"kind": "x"}}),
                lambda name=name: db[name].replace_one({}, {"kind": "x"}),
                lambda name=name: db[name].delete_one({}),
                lambda name=name: db[name].drop(),
                lambda name=name: db[name].rename("gone"),
                lambda name=name: db.command("findAndModify", name, query={}, remove=True),
                lambda name=name: db.command("collMod", name, validationLevel="strict"),
                lambda name=name: db[name].create_index("_id"),
            )
            for name in ("audit_log", "audit_access")
        }
        return {name: [_code(one) for one in ways] for name, ways in tries.items()}


def _code(attempt: Any) -> int | None:
    try:
        attempt()
    except OperationFailure as error:
        return error.code
    return None
