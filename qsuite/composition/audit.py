"""The record of who did what: added to by all sections, so it is made first and stopped last."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from qsuite.domain.audit_trail import draft
from qsuite.repos.audit_access import AuditAccessRepo
from qsuite.repos.audit_reading import AuditReadingRepo
from qsuite.repos.database import Database
from qsuite.services.audit import AuditService
from qsuite.services.audit_heads import HEADS_NAME, AuditHeads
from qsuite.services.audit_keys import AuditSigner
from qsuite.services.audit_trail import AuditTrail
from qsuite.services.metrics import Metrics
from qsuite.services.secrets import secrets_of
from qsuite.services.security_log import SecurityLog
from qsuite.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What records, what signs, what reads it."""

    security: SecurityLog
    trail: AuditTrail
    heads: AuditHeads
    service: AuditService

    async def stop(self) -> None:
        """Store what waits, sign where the chains end then, write the last events."""
        await self.trail.stop()
        await self.heads.run_once(time.time_ns())
        await self.security.stop()


def heads_file(settings: Settings) -> Path:
    """Return where signed heads are kept."""
    return settings.audit.heads_file or settings.data_dir / HEADS_NAME


def make_audit(*, settings: Settings, database: Database, metrics: Metrics, clock: Callable[[], int]) -> Audit:
    """Make it all; nothing runs yet."""
    log = settings.log
    security = SecurityLog(
        log.security_file or settings.data_dir / "security.jsonl", size=log.security_bytes, kept=log.security_files
    )
    trail = AuditTrail(AuditAccessRepo(database), clock=clock, listener=security)

    def alarm(chain: str, seq: int) -> None:
        facts = {"chain": chain, "seq": seq}
        nobody = {"actor": None, "actor_name": "", "subject": chain, "request_id": "", "address": ""}
        security.tell(draft(clock(), "audit.broken", facts=facts, **nobody))  # type: ignore[arg-type]

    heads = AuditHeads(
        database,
        AuditSigner(secrets_of(settings).all),
        heads_file(settings),
        interval_s=settings.audit.heads_s,
        alarm=alarm,
    )
    metrics.counter("qsuite_audit_dropped", "Refusals that found no room in the audit record", lambda: trail.dropped)
    metrics.counter("qsuite_audit_heads", "Heads of the audit chains signed and copied out", lambda: heads.signed)
    metrics.gauge("qsuite_audit_broken", "Audit chains that contradict what was signed", lambda: len(heads.broken))
    metrics.gauge("qsuite_audit_heads_lost", "1 while signed heads cannot be written", lambda: float(heads.lost))
    metrics.counter("qsuite_security_events_lost", "Security events the disk was too slow for", lambda: security.lost)
    return Audit(
        security=security,
        trail=trail,
        heads=heads,
        service=AuditService(database=database, reading=AuditReadingRepo(database), heads=heads),
    )
