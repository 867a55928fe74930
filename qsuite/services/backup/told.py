"""The record tells that the database was restored, from what, and when: whatever was after the backup is gone."""

from contextlib import suppress

from qsuite.domain.errors import Conflict
from qsuite.repos.database import Database
from qsuite.repos.restored import RestoredRepo
from qsuite.services.audit_trail import AuditTrail


async def tell_restored(database: Database, trail: AuditTrail) -> None:
    """Record the last restore, once, by whichever process starts first after it."""
    repo = RestoredRepo(database)
    restored = await repo.find_untold()
    if restored is None:
        return
    with suppress(Conflict):  # another process was first
        await trail.record("backup.restored", facts=restored._asdict(), change=repo.mark_told)
