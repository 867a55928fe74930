"""Read the limits and the kill switches that are stored; only the engine's commit changes them."""

from qsuite.domain.trading.commands import TradingHalt
from qsuite.domain.trading.risk.limits import ScopeLimits
from qsuite.repos import halts, risk_limits
from qsuite.repos.database import Database, Document, translated


class RiskControlsRepo:
    """What risk managers have set."""

    def __init__(self, database: Database) -> None:
        self._stored = database.collection(risk_limits.SPEC.name)

    async def limits(self) -> list[ScopeLimits]:
        """Return the limits of every scope that ever had some."""
        return [risk_limits.limits_from(found) for found in await self._all() if not halts.is_halt(found)]

    async def halts(self) -> list[TradingHalt]:
        """Return what is halted now."""
        return [halts.halt_from(found) for found in await self._all() if halts.is_halt(found)]

    async def _all(self) -> list[Document]:
        with translated("limits"):
            documents: list[Document] = await self._stored.find({}).sort("_id", 1).to_list(None)
        return documents
