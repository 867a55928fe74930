"""What imports files, beside a server or without one."""

from collections.abc import Callable
from uuid import UUID

from qsuite.repos.audit_access import AuditAccessRepo
from qsuite.repos.data_sources import DataSourcesRepo
from qsuite.repos.database import Database
from qsuite.repos.imports import ImportsRepo
from qsuite.repos.market_data import MarketDataRepo
from qsuite.repos.tickers import TickersRepo
from qsuite.repos.ticks import TicksRepo
from qsuite.services.audit_trail import AuditTrail
from qsuite.services.importer import Importer
from qsuite.services.reference import ReferenceService


async def make_importer(database: Database, currency: str, new_id: Callable[[], UUID]) -> Importer:
    """Make an importer that knows the tickers there are, and makes those there are not in ``currency``."""
    reference = ReferenceService(
        tickers=TickersRepo(database),
        data_sources=DataSourcesRepo(database),
        new_id=new_id,
        currency=currency,
        trail=AuditTrail(AuditAccessRepo(database)),
    )
    await reference.start()
    return Importer(
        ticks=TicksRepo(database),
        market_data=MarketDataRepo(database),
        imports=ImportsRepo(database),
        reference=reference,
        new_id=new_id,
    )
