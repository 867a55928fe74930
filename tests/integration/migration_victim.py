"""A migration killed half way through its second step: ``python -m tests.integration.migration_victim URI NAME``.

It has made the collection, taken the lock for a second, and given a size to three of ten things when it dies.
"""

import os
import signal
import sys
from typing import Any

from pymongo import IndexModel
from pymongo.database import Database as SyncDatabase

from qsuite.repos.database import connect
from qsuite.repos.migrations import Migration
from qsuite.repos.schema import CollectionSpec, run

SPEC = CollectionSpec("things", indexes=(IndexModel([("size", 1)], name="by_size"),))
LEASE_S = 1.0
WITHOUT = {"size": {"$exists": False}}


def give_sizes(db: SyncDatabase[dict[str, Any]], killed_after: int | None = None) -> None:
    """Give each thing without a size its own number for one."""
    for done, thing in enumerate(list(db.things.find(WITHOUT).sort("_id", 1))):
        if done == killed_after:
            os.kill(os.getpid(), signal.SIGKILL)
        db.things.update_one({"_id": thing["_id"]}, {"$set": {"size": thing["_id"]}})


def migrations(killed_after: int | None = None) -> tuple[Migration, ...]:
    """Return a baseline, and a step that gives sizes."""
    return (
        Migration(1, "the first"),
        Migration(
            2,
            "things have sizes",
            step=lambda db: give_sizes(db, killed_after),
            count=lambda db: db.things.count_documents(WITHOUT),
        ),
    )


if __name__ == "__main__":
    run(connect(sys.argv[1], sys.argv[2], pool_size=4), (SPEC,), migrations=migrations(3), lease_s=LEASE_S)
