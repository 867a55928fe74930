"""``qsuite doctor``: what would keep QSuite from running here, each with what to do about it."""

import asyncio
import os
import platform
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from qsuite import __version__
from qsuite.domain.errors import SetupError
from qsuite.settings import Settings, load_settings

PYTHON_MIN = (3, 11)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. ``verdict`` is ``ok``, ``warning`` (runs, but) or ``problem`` (would not run)."""

    verdict: str
    subject: str
    text: str


COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}


@click.command()
def doctor() -> None:
    """Look for what would keep QSuite from running: Python, settings, database, port, disk, secrets.

    Changes nothing, and may be run beside a server. Exits with 1 when something would.

    \b
    Example:  qsuite doctor
    """
    try:
        settings = load_settings()
    except SetupError as error:
        findings = [_python(), Finding("problem", "settings", error.detail)]
    else:
        findings = examine(settings)
    for finding in findings:
        mark = click.style(f"{finding.verdict:8}", fg=COLOURS[finding.verdict])
        click.echo(f"{mark} {finding.subject:15} {finding.text}")
    problems = sum(finding.verdict == "problem" for finding in findings)
    if problems:
        raise SetupError(f"{problems} of {len(findings)} would keep QSuite from running")


def examine(settings: Settings) -> list[Finding]:
    """Look at everything, in the order a start would need it."""
    looks: list[Callable[[Settings], Finding]] = [_profile, _data_dir, _disk, _secret, _server, _database, _port]
    return [_python(), *(look(settings) for look in looks)]


def _python() -> Finding:
    fine = sys.version_info >= PYTHON_MIN
    text = f"QSuite {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    return Finding("ok" if fine else "problem", "versions", text)


def _profile(settings: Settings) -> Finding:
    return Finding("ok", "settings", f"profile {settings.profile}")


def _data_dir(settings: Settings) -> Finding:
    path = settings.data_dir.absolute()
    nearest = _nearest(path)
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        return Finding("problem", "data directory", f"{path} cannot be written to; set QSUITE_DATA_DIR")
    return Finding("ok", "data directory", f"{path}{'' if path.exists() else ' (made on first start)'}")


def _nearest(path: Path) -> Path:
    """Return the path itself or the closest parent that exists."""
    return next(part for part in (path, *path.parents) if part.exists())


def _disk(settings: Settings) -> Finding:
    usage = shutil.disk_usage(_nearest(settings.data_dir.absolute()))
    share = usage.free / usage.total
    text = f"{usage.free / 2**30:.1f} GiB free ({share:.0%})"
    if share < settings.engine.disk_halt:
        return Finding("problem", "disk", f"{text}; no new orders are taken, since a full disk ends the database")
    return Finding("warning" if share < settings.engine.disk_alarm else "ok", "disk", text)


def _secret(settings: Settings) -> Finding:
    if settings.secret_key is not None:
        return Finding("ok", "secret", "given by QSUITE_SECRET_KEY")
    return Finding("ok", "secret", "kept in the data directory (made on first start)")


def _server(settings: Settings) -> Finding:
    from qsuite.services.data_dir import lock_holder, read_runtime

    holder = lock_holder(settings.data_dir)
    if holder is None:
        return Finding("ok", "server", "none runs on the data directory")
    runtime = read_runtime(settings.data_dir)
    where = runtime.address if runtime is not None and runtime.address else "still starting, or a command"
    if runtime is not None and settings.mongodb_uri is None:  # the embedded database's address holds no password
        where += f", database {runtime.mongodb_uri}"
    return Finding("ok", "server", f"process {holder}, {where}")


def _database(settings: Settings) -> Finding:
    from qsuite.services.embedded_mongod import find_mongod

    if settings.mongodb_uri is not None:
        return asyncio.run(_remote_database(settings, settings.mongodb_uri))
    try:
        binary = find_mongod(settings.mongod)
    except SetupError as error:
        return Finding("problem", "database", error.detail)
    if binary is None:
        return Finding("warning", "database", "no mongod found: all would be held in memory and lost at the end")
    return Finding("ok", "database", f"embedded, {binary}")


async def _remote_database(settings: Settings, uri: str) -> Finding:
    from qsuite.cli.connection import prepare_database
    from qsuite.repos.deployment import require_replica_set

    try:
        async with prepare_database(settings, uri, migrated=False) as database:
            version = await require_replica_set(database)
    except SetupError as error:
        return Finding("problem", "database", error.detail)
    return Finding("ok", "database", f"MongoDB {version} at QSUITE_MONGODB_URI")


def _port(settings: Settings) -> Finding:
    from qsuite.services.data_dir import read_runtime

    address = f"{settings.host}:{settings.port}"
    runtime = read_runtime(settings.data_dir)
    if runtime is not None and runtime.address.endswith(f":{settings.port}"):
        return Finding("ok", "port", f"{address}, taken by the server above")
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            return Finding("problem", "port", f"{address}: {reason}; set QSUITE_HOST or QSUITE_PORT")
    return Finding("ok", "port", f"{address} is free")
