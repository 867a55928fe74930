"""The role that `qsuite migrate --grant` sets up, on a mongod that asks for passwords: it works, and cannot rewrite."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from qsuite.domain.roles import Role
from qsuite.repos.database import connect
from qsuite.settings import Settings
from tests.support.guarded_mongod import ROOT, guarded_mongod, uri
from tests.support.running_app import PASSWORD, running_api

OWN = "own-password"
NOT_AUTHORISED = 13


@pytest.fixture(scope="module")
def guarded() -> Iterator[int]:
    """The port of a mongod with --auth (of a set, so with a key file) and a root user."""
    with guarded_mongod() as port:
        yield port


def granted(port: int, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "QSUITE_PROFILE": "test",
        "QSUITE_DATA_DIR": str(tmp_path),
        "QSUITE_MONGO__ADMIN_URI": uri(port, "root", ROOT),
        "QSUITE_MONGO__GRANT_PASSWORD": OWN,
    }
    done = subprocess.run(
        [sys.executable, "-m", "qsuite", "migrate", "--grant"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "has the role qsuite" in done.stdout


async def test_the_application_runs_under_the_role_and_cannot_change_the_record(
    guarded: int, settings: Settings, tmp_path: Path
) -> None:
    granted(guarded, tmp_path)
    database = connect(uri(guarded, "qsuite", OWN), "qsuite", pool_size=16)
    try:
        async with running_api(settings, database, tmp_path) as api:
            client = await api.new_client(Role.TRADER)
            changed = await api.admin.patch(f"/api/v1/users/{client.user['id']}/", {"email": "t@example.com"})
            assert changed.status == 200
            assert (await api.admin.post("/api/v1/tickers/", {"symbol": "GRNT", "name": "Granted"})).status == 201
            password = {"old_password": PASSWORD, "new_password": "another horse battery staple"}
            assert (await client.post("/api/auth/password/", password)).status == 204
            assert (await api.auditor.get("/api/v1/audit/verify/")).json["ok"] is True
        refused = await database.in_thread(_refused, uri(guarded, "qsuite", OWN))
    finally:
        await asyncio.to_thread(database.close)
    assert refused == {name: [NOT_AUTHORISED] * 6 for name in ("audit_log", "audit_access")}


def _refused(address: str) -> dict[str, list[int | None]]:
    """Try to rewrite each chain in six ways; return the codes of the refusals."""
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
