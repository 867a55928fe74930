"""Validators and indexes of every collection, and how they get into the database.

    engine_state
    { "_id": "schema", "version": 1, "fingerprints": ["51aa…", …], "indexes": ["orders.by_account", …] }

Each repo module states its own ``CollectionSpec``; ``COLLECTIONS`` gathers them. What is not additive is a numbered
migration (``migrations``). Changing a collection waits behind any transaction that a killed process left open, so it is
looked into only when the version is lower or the fingerprint of the specs is none that was migrated to before, under a
lock, by one process at a time. So two versions of QSuite beside each other, as while one replaces the other, do not
undo what each has made.

Invariant: versions only rise. A database that a newer QSuite has migrated, or that a restore has left half full, is not
touched.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import pymongo
from pymongo import IndexModel

from qsuite import __version__
from qsuite.domain.errors import SetupError
from qsuite.repos.database import Database, Document, translated
from qsuite.repos.migration_lock import LEASE_S, MigrationLock
from qsuite.repos.migrations import MIGRATIONS, Migration
from qsuite.repos.schema_plan import Db, index_names, plan

SCHEMA = {"_id": "schema"}
RESTORING = {"_id": "restoring"}
"""There while a restore is under way, or was broken off."""
RESTORED = {"_id": "restored"}
"""What was restored last, and when."""

FINGERPRINTS_KEPT = 20

Migrations: TypeAlias = tuple[Migration, ...]


@dataclass(frozen=True, slots=True)
class CollectionSpec:
    """One collection: its ``$jsonSchema`` (none on time series), its named indexes, its time-series options."""

    name: str
    schema: Document | None = None
    indexes: tuple[IndexModel, ...] = ()
    options: Document = field(default_factory=dict)


def money(*, nullable: bool = False) -> Document:
    """Describe a decimal in a validator."""
    return {"bsonType": ["decimal", "null"] if nullable else "decimal"}


def schema(required: str | list[str], properties: dict[str, Any]) -> Document:
    """Describe a document; fields not named are allowed, so that a newer version's documents pass an older one.

    ``required`` are names, a list or one text with spaces between.
    """
    names = required.split() if isinstance(required, str) else required
    return {"bsonType": "object", "required": names, "properties": properties}


def fingerprint(specs: tuple[CollectionSpec, ...]) -> str:
    """Return a digest that changes when any spec does."""
    shape = [(spec.name, spec.schema, [index.document for index in spec.indexes], spec.options) for spec in specs]
    return hashlib.sha256(json.dumps(shape, default=str).encode()).hexdigest()


async def migrate(
    database: Database, specs: tuple[CollectionSpec, ...], *, force: bool = False, migrations: Migrations = MIGRATIONS
) -> list[str]:
    """Bring collections up to date; return what was changed, a line each, none when nothing had to be.

    ``force`` looks at every collection even where nothing says it has changed. SetupError where the database is newer
    than this QSuite, half restored, or its documents forbid a change.
    """
    if not database.transactions:
        return await _fill_memory(database, specs, force=force)
    return await database.in_thread(run, database, specs, force=force, migrations=migrations)


async def require_migrated(database: Database, specs: tuple[CollectionSpec, ...]) -> None:
    """Refuse (SetupError) a database that ``migrate`` would change, for who may not or is not to change it."""
    if not database.transactions:
        await migrate(database, specs)
        return
    with translated("the schema"):
        known = await database.in_thread(_known, database.sync, MIGRATIONS)
    if not known.is_up_to_date(specs, MIGRATIONS):
        raise SetupError(
            "the database is not up to date, and this process does not bring it up (migrate.at_start): run"
            " `qsuite migrate`",
            code="setup.not_migrated",
        )


async def dry_run(
    database: Database, specs: tuple[CollectionSpec, ...], migrations: Migrations = MIGRATIONS
) -> list[str]:
    """Return what ``migrate`` would change if it looked at every collection, and change nothing."""

    def work() -> list[str]:
        return list(_texts(database.sync, specs, _known(database.sync, migrations), migrations))

    with translated("the schema"):
        return await database.in_thread(work)


def run(
    database: Database,
    specs: tuple[CollectionSpec, ...],
    *,
    force: bool = False,
    migrations: Migrations = MIGRATIONS,
    lease_s: float = LEASE_S,
) -> list[str]:
    """Do what ``migrate`` does; for threads."""
    with translated("the schema"):
        known = _known(database.sync, migrations)
        if not force and known.is_up_to_date(specs, migrations):
            return []
        with MigrationLock(database.sync, "migrate", lease_s=lease_s):
            known = _known(database.sync, migrations)  # another process may have done it meanwhile
            if not force and known.is_up_to_date(specs, migrations):
                return []
            return _apply(database.sync, specs, known, migrations)


def bring_up(db: Db, specs: tuple[CollectionSpec, ...], version: int) -> list[str]:
    """Bring collections up from a version whose documents are there and nothing else; whoever calls holds the lock."""
    return _apply(db, specs, _Known(version), MIGRATIONS)


def latest(migrations: Migrations = MIGRATIONS) -> int:
    """Return the version that the last migration leads to."""
    return migrations[-1].number


class _Known(NamedTuple):
    version: int = 0
    fingerprints: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()

    def is_up_to_date(self, specs: tuple[CollectionSpec, ...], migrations: Migrations) -> bool:
        return self.version == latest(migrations) and fingerprint(specs) in self.fingerprints


def _known(db: Db, migrations: Migrations) -> _Known:
    """Read what the database says of its schema. SetupError where nobody may touch it."""
    found = {each["_id"]: each for each in db.engine_state.find({"_id": {"$in": [SCHEMA["_id"], RESTORING["_id"]]}})}
    if RESTORING["_id"] in found:
        raise SetupError(
            "a backup is being restored into this database, or that was broken off: run `qsuite restore` again",
            code="setup.half_restored",
        )
    said = found.get(SCHEMA["_id"], {})
    known = _Known(said.get("version", 0), tuple(said.get("fingerprints", ())), tuple(said.get("indexes", ())))
    require_known(known.version, migrations)
    return known


def require_known(version: int, migrations: Migrations = MIGRATIONS) -> None:
    """Refuse (SetupError) what a newer QSuite has made."""
    if version > latest(migrations):
        raise SetupError(
            f"the database has schema version {version}, made by a newer QSuite; this one, {__version__}, knows"
            f" versions up to {latest(migrations)}: update it",
            code="setup.newer_schema",
        )


def _apply(db: Db, specs: tuple[CollectionSpec, ...], known: _Known, migrations: Migrations) -> list[str]:
    changes = plan(db, specs, known.indexes)
    texts = [str(change) for change in changes]
    for change in changes:
        with pymongo.timeout(0):  # building an index over millions of documents takes what it takes
            change.apply(db)
    for one in _steps(known, migrations):
        if one.step is not None:
            one.step(db)
        texts.append(one.line)
        db.engine_state.update_one(SCHEMA, {"$set": {"version": one.number}}, upsert=True)
    told = {"version": latest(migrations), "indexes": index_names(specs)}
    kept = [each for each in known.fingerprints if each != fingerprint(specs)][-FINGERPRINTS_KEPT + 1 :]
    told |= {"fingerprints": [*kept, fingerprint(specs)]}
    db.engine_state.update_one(SCHEMA, {"$set": told}, upsert=True)
    return texts


def _texts(db: Db, specs: tuple[CollectionSpec, ...], known: _Known, migrations: Migrations) -> Iterator[str]:
    yield from map(str, plan(db, specs, known.indexes))
    for one in _steps(known, migrations):
        yield one.line if one.count is None else f"{one.line} ({one.count(db):,} documents)"


def _steps(known: _Known, migrations: Migrations) -> Iterator[Migration]:
    return (one for one in migrations if one.number > known.version)


async def _fill_memory(database: Database, specs: tuple[CollectionSpec, ...], *, force: bool) -> list[str]:
    """Give the in-memory database its indexes, all it knows; nothing in it is older than this process."""
    state = database.collection("engine_state")
    wanted = fingerprint(specs)
    known = await state.find_one(SCHEMA)
    if not force and known is not None and known.get("fingerprints") == [wanted]:
        return []
    for spec in specs:
        if spec.indexes:
            with translated(spec.name):
                await database.collection(spec.name).create_indexes(list(spec.indexes))
    await state.update_one(SCHEMA, {"$set": {"fingerprints": [wanted], "version": latest()}}, upsert=True)
    return [f"{spec.name}: made" for spec in specs]
