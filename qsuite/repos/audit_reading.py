"""Read the audit chains by the page, for those who look something up; ``audit_rows`` reads them to judge them."""

from functools import partial

from qsuite.domain.audit_proof import BY_NAME
from qsuite.domain.audit_record import AuditRecord
from qsuite.domain.listing import Listing, Page
from qsuite.domain.times import datetime_to_ns
from qsuite.repos.database import Database, Document
from qsuite.repos.listing import find_page, instant, plain

FIELDS = {
    "seq": plain("_id"),
    "ts": instant("ts"),
    "kind": plain("kind"),
    "actor": plain("actor"),
    "subject": plain("subject"),
}


class AuditReadingRepo:
    """Read entries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, chain: str, listing: Listing) -> Page[AuditRecord]:
        """Answer a listing of a chain, which is named as in ``domain.audit_proof``."""
        collection = self._database.collection(BY_NAME[chain].collection)
        return await find_page(collection, listing, to_domain=partial(_to_record, chain), fields=FIELDS)


def _to_record(chain: str, document: Document) -> AuditRecord:
    texts = ("kind", "actor", "actor_name", "subject", "account", "request_id", "address", "prev_hash", "hash")
    return AuditRecord(
        chain=chain,
        seq=document["_id"],
        ts_ns=datetime_to_ns(document["ts"]),
        facts=document["facts"],
        **{name: document.get(name, "") for name in texts},
    )
