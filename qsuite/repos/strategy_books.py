"""What a strategy's trading left, read from the engine's own documents: positions, working orders, fills.

Positions per strategy are kept by the engine's commit, one document each:

    { _id: "0199…:IBM", strategy: UUID("0199…"), symbol: "IBM", quantity: Decimal128("100"),
      cost: Decimal128("18152.00"), realized_pnl: Decimal128("0"), commission: Decimal128("0.500") }

Everything here reads in a thread of its own and changes nothing.
"""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from typing import NamedTuple
from uuid import UUID

from qsuite.domain.money import ZERO
from qsuite.domain.round_trips import Fill, Holding, tally
from qsuite.domain.trading.order import Side, Status
from qsuite.repos import executions, orders
from qsuite.repos.database import Database, Document, translated
from qsuite.repos.decimals import decode_decimal

POSITIONS = "strategy_positions"
OPEN = tuple(orders.OPEN_STATUSES)
ORDERS_AT_ONCE = 1_000


class Working(NamedTuple):
    """What a symbol's open orders may still trade."""

    buys: Decimal
    sells: Decimal


class StrategyBooks:
    """Read what belongs to one strategy."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def positions(self, strategy: UUID) -> dict[str, Holding]:
        """Return the positions the engine keeps, by symbol."""
        return await self._database.in_reader(self._positions, strategy)

    async def holdings(self, strategy: UUID) -> dict[str, Holding]:
        """Return what it holds, by symbol: as the engine keeps it, else added up from the fills."""
        return await self.positions(strategy) or tally(await self.fills(strategy)).holdings

    async def working(self, strategy: UUID) -> dict[str, Working]:
        """Return what open orders may still trade, by symbol."""
        return await self._database.in_reader(self._working, strategy)

    async def order_counts(self, strategy: UUID) -> Counter[Status]:
        """Count the orders by where they stand."""
        return await self._database.in_reader(self._order_counts, strategy)

    async def fills(self, strategy: UUID) -> list[Fill]:
        """Return every fill, oldest first."""
        return await self._database.in_reader(lambda: list(self._fills(strategy)))

    async def has_open_orders(self, strategy: UUID) -> bool:
        """Say whether an order of it may still trade."""
        return bool(await self.working(strategy))

    # -- in a thread ------------------------------------------------------------------------------------------------

    def _positions(self, strategy: UUID) -> dict[str, Holding]:
        with translated("strategy positions"):
            documents = list(self._database.sync[POSITIONS].find({"strategy": strategy}))
        return {document["symbol"]: _holding(document) for document in documents}

    def _working(self, strategy: UUID) -> dict[str, Working]:
        found: dict[str, Working] = {}
        with translated("orders"):
            for document in self._orders(strategy, {"status": {"$in": OPEN}}):
                buys, sells = found.get(document["symbol"], Working(ZERO, ZERO))
                left = decode_decimal(document["quantity"]) - decode_decimal(document["filled_quantity"])
                is_buy = document["side"] == Side.BUY.value
                found[document["symbol"]] = Working(buys + left, sells) if is_buy else Working(buys, sells + left)
        return found

    def _order_counts(self, strategy: UUID) -> Counter[Status]:
        with translated("orders"):
            return Counter(Status(document["status"]) for document in self._orders(strategy, {}))

    def _fills(self, strategy: UUID) -> Iterator[Fill]:
        """Yield fills in the order of their ids, which the engine makes in the order of its decisions."""
        found: list[Document] = []
        with translated("executions"):
            traded = self._orders(strategy, {"version": {"$gt": 1}})  # what never changed was never filled
            while ids := [document["_id"] for document in islice(traded, ORDERS_AT_ONCE)]:
                found += self._database.sync[executions.SPEC.name].find({"order": {"$in": ids}})
        for document in sorted(found, key=lambda each: (each["execution_time"], each["_id"])):
            yield Fill(
                document["symbol"],
                Side(document["side"]),
                decode_decimal(document["quantity"]),
                decode_decimal(document["price"]),
                decode_decimal(document["commission"]),
            )

    def _orders(self, strategy: UUID, condition: Document) -> Iterator[Document]:
        fields = {"symbol": 1, "side": 1, "status": 1, "quantity": 1, "filled_quantity": 1}
        yield from self._database.sync[orders.SPEC.name].find({"strategy": strategy} | condition, fields)


def _holding(document: Document) -> Holding:
    return Holding(
        quantity=decode_decimal(document["quantity"]),
        cost=decode_decimal(document["cost"]),
        realized_pnl=decode_decimal(document["realized_pnl"]),
        commission=decode_decimal(document["commission"]),
    )
