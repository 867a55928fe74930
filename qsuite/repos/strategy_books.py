"""What a strategy holds and what its open orders may still trade, read from what the engine commits.

Everything here reads in a thread of its own and changes nothing.
"""

from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from qsuite.domain.money import ZERO
from qsuite.domain.trading.account import Position
from qsuite.domain.trading.order import Side
from qsuite.repos import orders, strategy_positions
from qsuite.repos.database import Database, translated
from qsuite.repos.decimals import decode_decimal

OPEN = {"$in": list(orders.OPEN_STATUSES)}
QUANTITIES = {"symbol": 1, "side": 1, "quantity": 1, "filled_quantity": 1}


class Working(NamedTuple):
    """What a symbol's open orders may still trade."""

    buys: Decimal
    sells: Decimal


class StrategyBooks:
    """Read what belongs to one strategy."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def positions(self, strategy: UUID) -> dict[str, Position]:
        """Return what its own orders built up, by symbol; flat ones stay."""
        return await self._database.in_reader(self._positions, strategy)

    async def working(self, strategy: UUID) -> dict[str, Working]:
        """Return what open orders may still trade, by symbol."""
        return await self._database.in_reader(self._working, strategy)

    # -- in a thread ------------------------------------------------------------------------------------------------

    def _positions(self, strategy: UUID) -> dict[str, Position]:
        with translated("strategy positions"):
            found = self._database.sync[strategy_positions.SPEC.name].find({"strategy": strategy}).sort("symbol", 1)
            return {document["symbol"]: strategy_positions.position_from(document) for document in found}

    def _working(self, strategy: UUID) -> dict[str, Working]:
        found: dict[str, Working] = {}
        with translated("orders"):
            stored = self._database.sync[orders.SPEC.name].find({"strategy": strategy, "status": OPEN}, QUANTITIES)
            for document in stored:
                buys, sells = found.get(document["symbol"], Working(ZERO, ZERO))
                left = decode_decimal(document["quantity"]) - decode_decimal(document["filled_quantity"])
                is_buy = document["side"] == Side.BUY.value
                found[document["symbol"]] = Working(buys + left, sells) if is_buy else Working(buys, sells + left)
        return found
