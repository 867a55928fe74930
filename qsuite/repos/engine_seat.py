"""Where the engine is: the lease as other processes read it, by majority, so that no stale primary is believed."""

from typing import NamedTuple

from qsuite.repos.database import Database, translated
from qsuite.repos.engine_store import ENGINE, SPEC


class Seat(NamedTuple):
    """Who has the engine; ``address`` is "" where that one does not say, ``lapsed`` by the database's clock."""

    epoch: int
    address: str
    lapsed: bool
    owner: str = ""
    """Names the process, and no other one before or after it."""

    def is_same(self, other: "Seat") -> bool:
        """Say whether both are one process's. It takes the engine anew after a fault, and answers who waits for it."""
        return (self.owner, self.address) == (other.owner, other.address)


class EngineSeatRepo:
    """Read the lease."""

    def __init__(self, database: Database) -> None:
        self._states = database.collection(SPEC.name)

    async def find(self) -> Seat | None:
        """Return who has the engine, or had it last; None before anybody had it. Unavailable."""
        wanted = {"epoch": 1, "address": 1, "owner": 1, "lapsed": {"$lt": ["$lease_until", "$$NOW"]}}
        with translated("the lease"):
            found = await self._states.find_one(ENGINE, wanted)
        if found is None:
            return None
        return Seat(found["epoch"], found.get("address", ""), found["lapsed"], repr(sorted(found["owner"].items())))
