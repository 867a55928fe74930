"""What auditors ask: the entries of both chains, and whether the chains are as they were written."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

from qsuite.domain.audit_record import AuditRecord
from qsuite.domain.listing import Listing, Page
from qsuite.repos.audit_reading import AuditReadingRepo
from qsuite.repos.audit_rows import AuditRows
from qsuite.repos.database import Database
from qsuite.services.audit_heads import AuditHeads
from qsuite.services.audit_keys import Jwk
from qsuite.services.audit_proof import Verdict, verify_chains

BATCH = 500


class AuditService:
    """Read and verify."""

    def __init__(self, *, database: Database, reading: AuditReadingRepo, heads: AuditHeads) -> None:
        self._database = database
        self._reading = reading
        self._heads = heads
        self._verifying: asyncio.Task[list[Verdict]] | None = None

    async def page(self, chain: str, listing: Listing) -> Page[AuditRecord]:
        """Answer a listing of one chain."""
        return await self._reading.page(chain, listing)

    async def batches(self, chain: str, listing: Listing) -> AsyncGenerator[list[AuditRecord], None]:
        """Yield all entries of a listing, in its order."""
        cursor: str | None = ""
        while cursor is not None:
            page = await self.page(chain, replace(listing, cursor=cursor, page_size=BATCH))
            if page.items:
                yield page.items
            cursor = page.next_cursor

    async def verify(self) -> list[Verdict]:
        """Recompute both chains from their beginning, in a thread; who asks meanwhile gets the same answer."""
        if self._verifying is None:
            work = self._database.in_reader(
                verify_chains, AuditRows(self._database), self._heads.path, self._heads.signer.checker
            )
            self._verifying = asyncio.create_task(work)
            self._verifying.add_done_callback(self._verified)
        return await asyncio.shield(self._verifying)

    def public_keys(self) -> list[Jwk]:
        """Return the public halves of the keys that sign heads."""
        return list(self._heads.signer.jwks)

    def _verified(self, _task: "asyncio.Task[list[Verdict]]") -> None:
        self._verifying = None
