"""What a database lacks of what the specs say, change by change: shown by a dry run, then made one after the other.

Invariant: nothing is changed that is as it should be. A validator is changed under a lock on its collection, which
waits behind every open transaction with everybody else waiting behind it: so it is asked for briefly, again and again.
Indexes are built beside the writes to their collection.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pymongo import IndexModel
from pymongo.database import Database as SyncDatabase
from pymongo.errors import CollectionInvalid, ExecutionTimeout, OperationFailure

from qsuite.domain.errors import SetupError

if TYPE_CHECKING:
    from qsuite.repos.schema import CollectionSpec

Document = dict[str, Any]
Db = SyncDatabase[Document]

INDEX_NOT_FOUND = 27
LOCK_MS = 500
"""How long everybody may have to wait for a validator to be changed; then they go first."""
LOCK_TRIES = 240
PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class Change:
    """One change: of which collection, in words, and how it is made."""

    collection: str
    text: str
    make: Callable[[Db], None] = field(repr=False, compare=False)

    def __str__(self) -> str:
        """Say it in a line."""
        return f"{self.collection}: {self.text}"

    def apply(self, db: Db) -> None:
        """Make it. SetupError, in one line, where the database or its documents forbid it."""
        try:
            self.make(db)
        except OperationFailure as error:
            raise SetupError(
                f"the collection {self.collection} cannot be brought up to date: {first_line(error)}"
            ) from error


def plan(db: Db, specs: "tuple[CollectionSpec, ...]", made_before: Collection[str]) -> list[Change]:
    """Return what is to be changed, in the order it must be.

    ``made_before`` are the indexes (``collection.index``) that an earlier version made: those that no spec has any more
    go, while indexes that somebody else made stay.
    """
    listed: dict[str, Document] = {each["name"]: dict(each) for each in db.list_collections()}
    wanted = index_names(specs)
    changes: list[Change] = []
    for spec in specs:
        known = listed.get(spec.name)
        if known is None:
            changes.append(_creation(spec))
        changes += _validation(spec, {} if known is None else known["options"])
        live = {} if known is None else {each["name"]: dict(each) for each in db[spec.name].list_indexes()}
        stale = {name for name in live if f"{spec.name}.{name}" in made_before and f"{spec.name}.{name}" not in wanted}
        changes += _index_changes(spec, live, stale)
    return changes


def index_names(specs: "tuple[CollectionSpec, ...]") -> list[str]:
    """Name every index of the specs as ``collection.index``."""
    return sorted(f"{spec.name}.{index.document['name']}" for spec in specs for index in spec.indexes)


def _creation(spec: "CollectionSpec") -> Change:
    kind = "time series" if "timeseries" in spec.options else "capped collection" if spec.options else "collection"

    def make(db: Db) -> None:
        with suppress(CollectionInvalid):  # it has come to be meanwhile, by a first document
            db.create_collection(spec.name, **spec.options)

    return Change(spec.name, f"make the {kind}", make)


def _validation(spec: "CollectionSpec", options: Mapping[str, Any]) -> Iterator[Change]:
    if spec.schema is None:
        return
    validator = {"$jsonSchema": spec.schema}
    if options.get("validator") == validator and options.get("validationLevel", "strict") == "strict":
        return

    def make(db: Db) -> None:
        for left in reversed(range(LOCK_TRIES)):
            try:
                db.command(
                    {"collMod": spec.name, "validator": validator, "validationLevel": "strict", "maxTimeMS": LOCK_MS}
                )
                return
            except ExecutionTimeout:
                if not left:
                    raise
                time.sleep(PAUSE_S)

    yield Change(spec.name, "change the validator" if "validator" in options else "set the validator", make)


def _index_changes(spec: "CollectionSpec", live: dict[str, Document], stale: set[str]) -> Iterator[Change]:
    gone = set(stale)
    build = []
    for index in spec.indexes:
        wanted = index.document
        name = wanted["name"]
        if name in live and definition(live[name]) == definition(wanted):
            continue
        build.append(index)
        # Of two indexes of the same keys over the same documents the database wants only one.
        gone |= {other for other, found in live.items() if other == name or _place(found) == _place(wanted)}
    for name in sorted(gone):
        yield Change(spec.name, f"drop the index {name} {_shown(live[name])}", _dropping(spec.name, name))
    if build:
        shown = "; ".join(f"{index.document['name']} {_shown(index.document)}" for index in build)
        yield Change(
            spec.name, f"build {'the index' if len(build) == 1 else 'the indexes'} {shown}", _building(spec.name, build)
        )


def _building(collection: str, indexes: list[IndexModel]) -> Callable[[Db], None]:
    """Build all of them in one pass over the documents."""

    def make(db: Db) -> None:
        db[collection].create_indexes(indexes)

    return make


def _dropping(collection: str, name: str) -> Callable[[Db], None]:
    def make(db: Db) -> None:
        try:
            db[collection].drop_index(name)
        except OperationFailure as error:
            if error.code != INDEX_NOT_FOUND:
                raise

    return make


def definition(index: Mapping[str, Any]) -> Document:
    """Return what an index is, as listed by the database or as asked for, without what does not matter."""
    said = {name: value for name, value in index.items() if name not in ("v", "ns", "background", "name", "key")}
    return {
        "key": list(dict(index["key"]).items()),
        **{name: value for name, value in said.items() if value is not False},
    }


def _place(index: Mapping[str, Any]) -> tuple[Any, ...]:
    said = definition(index)
    return said["key"], said.get("partialFilterExpression"), said.get("collation")


def _shown(index: Mapping[str, Any]) -> str:
    fields = ", ".join(f"{name}{' descending' if way == -1 else ''}" for name, way in dict(index["key"]).items())
    marks = [mark for mark in ("unique", "sparse") if index.get(mark)]
    marks += ["partial"] if "partialFilterExpression" in index else []
    marks += ["removes documents in time"] if "expireAfterSeconds" in index else []
    return f"({fields}){''.join(f', {mark}' for mark in marks)}"


def first_line(error: OperationFailure) -> str:
    """Return what a refusal says, without the whole answer of the server behind it."""
    return str(error).partition(", full error")[0].splitlines()[0]
