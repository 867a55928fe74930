"""The engine's storage where no mongod can be had: the same documents in memory, so that QSuite can be tried.

Nothing is kept, nothing is shared with another process, and a batch is not a transaction: nothing but this process's
end can interrupt it, and that ends the memory as well. Whoever runs on it was warned loudly.
"""

from collections.abc import Callable, Iterator
from uuid import UUID

from qsuite.domain.trading.audit import GENESIS
from qsuite.repos.bson_pieces import decoded
from qsuite.repos.database import Document
from qsuite.repos.engine_batch import Batch
from qsuite.repos.engine_store import ENGINE, EngineStore, Head


class MemoryEngineStore(EngineStore):
    """Load and commit on the in-memory database, which knows no sessions, pipelines or bulk writes."""

    def acquire(self, owner: Document, is_dead: Callable[[Document], bool]) -> Head | None:
        """Take the engine: there is nobody else."""
        states = self._db.engine_state
        known = states.find_one(ENGINE) or {"epoch": 0, "batch": 0, "audit_seq": 0, "audit_hash": GENESIS}
        self._epoch = known["epoch"] + 1
        states.update_one(ENGINE, {"$set": {**known, **ENGINE, "epoch": self._epoch, "owner": owner}}, upsert=True)
        return Head(self._epoch, known["batch"], known["audit_seq"], known["audit_hash"])

    def renew(self) -> None:
        """Do nothing: nobody else could take it."""

    def release(self) -> None:
        """Do nothing: nobody else waits for it."""

    def commit(self, batch: Batch) -> None:
        """Write a batch."""
        db = self._db
        if batch.new_orders:
            db.orders.insert_many(map(decoded, batch.new_orders))
        if batch.executions:
            db.executions.insert_many(map(decoded, batch.executions))
        db.audit_log.insert_many(batch.entries)
        for order, raw in batch.orders:
            db.orders.replace_one({"_id": order}, decoded(raw))
        for document, _ in batch.positions:
            db.positions.replace_one({"_id": document["_id"]}, document, upsert=True)
        for account, changed in batch.accounts:
            db.accounts.update_one({"_id": account}, {"$set": changed})
        for document, _ in batch.strategy_positions:
            db.strategy_positions.replace_one({"_id": document["_id"]}, document, upsert=True)
        if batch.risk_events:
            db.risk_events.insert_many(batch.risk_events)
        for key, control in batch.controls:
            db.risk_limits.delete_one({"_id": key})
            if control is not None:
                db.risk_limits.insert_one(control)
        figures = {"batch": batch.number, "audit_seq": batch.audit_seq, "audit_hash": batch.audit_hash}
        db.engine_state.update_one(ENGINE, {"$set": figures})

    def client_ids(self, slice_size: int) -> Iterator[list[tuple[UUID, str]]]:
        """Give nothing: what was stored before this process is gone with the one before."""
        return iter(())
