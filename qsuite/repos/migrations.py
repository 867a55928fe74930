"""The numbered migrations, oldest first: a version of the schema each, forward only.

A change of the specs alone (a new collection, an index, a field that is allowed) needs no number: older servers go on
beside it. A number is for what an older server would undo or misread. It then refuses to start on the database.

Invariants: numbers rise by one and are never used again; a step may be killed at any point and is then done again from
the start, so doing it twice is doing it once; it works in small pieces, beside a server of the version before.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pymongo.database import Database as SyncDatabase

Db = SyncDatabase[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Migration:
    """One version: what it is for, what it does to documents that are there, and how many it would."""

    number: int
    title: str
    step: Callable[[Db], None] | None = field(default=None, repr=False)
    count: Callable[[Db], int] | None = field(default=None, repr=False)

    @property
    def line(self) -> str:
        """Say it in a line."""
        return f"version {self.number}: {self.title}"


MIGRATIONS: tuple[Migration, ...] = (
    Migration(1, "the version of the schema and the names of its indexes are kept with it"),
)
