"""Figures of trading, added up where the orders and executions are: one row comes back, however many there were.

Each question is bounded by ``mongo.timeout_s``, on the server too, so that nobody's history holds up the database.

Round trips are followed by window functions: the running position per account and symbol, and the money that came in
so far. Where the position closes, that money less what had come in at the close before is what the round trip made. It
needs every fill from the first one on: 20 µs each.

What an account did before it was last reset counts nowhere.
"""

from collections.abc import Sequence

from bson.decimal128 import Decimal128
from pymongo.errors import ExecutionTimeout

from qsuite.domain.errors import Invalid
from qsuite.domain.money import ZERO
from qsuite.domain.performance import (
    FillFigures,
    OrderFigures,
    Period,
    TripFigures,
    fill_figures,
    order_figures,
    round_trips,
    trip_figures,
)
from qsuite.domain.times import NS_PER_MS, ns_to_datetime
from qsuite.domain.trading.order import Execution, Order, Status
from qsuite.repos import accounts, executions, orders
from qsuite.repos.database import Database, Document, translated
from qsuite.repos.decimals import decode_decimal

RESET: Document = {"reset_mark": {"$exists": True}}
NOTHING = Decimal128("0")
TWO = Decimal128("2")

SENT = {"$not": [{"$in": ["$status", [Status.HELD.value, Status.REJECTED.value]]}]}
IS_FILLED = {"$eq": ["$status", Status.FILLED.value]}
SIGNED = {"$cond": [{"$eq": ["$side", "BUY"]}, "$quantity", {"$multiply": ["$quantity", Decimal128("-1")]}]}
MIDDLE = {"$divide": [{"$add": ["$basis.bid", "$basis.ask"]}, TWO]}
HAS_QUOTE = {"$and": [{"$isNumber": "$basis.bid"}, {"$isNumber": "$basis.ask"}]}


class PerformanceRepo:
    """Add up orders, fills and round trips of a period."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._accounts = database.collection(accounts.SPEC.name)

    async def orders(self, period: Period) -> OrderFigures:
        """Add up the orders placed in the period."""
        match = _whose(period) | _strategy(period) | _between("created_at", period)
        match |= _none_of(
            [{"account": one["_id"], "created_at": {"$lt": one["reset_at"]}} for one in await self._resets()]
        )
        if not self._database.transactions:  # the in-memory database knows no decimal arithmetic
            return order_figures(await self._orders(match))
        pipeline = [
            {"$match": match},
            {
                "$group": {
                    "_id": "$status",
                    "count": {"$sum": 1},
                    "sent": {"$sum": {"$cond": [SENT, "$quantity", NOTHING]}},
                    "filled": {"$sum": {"$cond": [SENT, "$filled_quantity", NOTHING]}},
                    "waited": {"$sum": {"$cond": [IS_FILLED, {"$subtract": ["$updated_at", "$created_at"]}, 0]}},
                }
            },
        ]
        rows = await self._ask(orders.SPEC.name, pipeline)
        filled = next((row for row in rows if row["_id"] == Status.FILLED.value), None)
        return OrderFigures(
            by_status={row["_id"]: row["count"] for row in rows},
            sent=sum((decode_decimal(row["sent"]) for row in rows), ZERO),
            filled=sum((decode_decimal(row["filled"]) for row in rows), ZERO),
            avg_execution_ms=None if filled is None else float(filled["waited"]) / filled["count"],
        )

    async def fills(self, period: Period) -> FillFigures:
        """Add up the fills in the period."""
        if not self._database.transactions:
            return fill_figures(fill for fill in await self._fills(period) if period.holds(fill.execution_time))
        times = _between("execution_time", period) | await self._since_resets()
        source, pipeline = _fills_of(period, times)
        rows = await self._ask(source, [*pipeline, *_FILL_SUMS])
        if not rows:
            return FillFigures()
        row = rows[0]
        sums = {
            name: decode_decimal(row[name])
            for name in ("volume", "value", "commission", "realized_pnl", "cost", "reference")
        }
        return FillFigures(count=row["count"], **sums)

    async def trips(self, period: Period) -> TripFigures:
        """Count the round trips that closed in the period."""
        if not self._database.transactions:
            trips = round_trips(await self._fills(period))
            return trip_figures(trip for trip in trips if period.holds(trip.closed_at))
        times = _between("execution_time", period, upper_only=True) | await self._since_resets()
        source, pipeline = _fills_of(period, times)
        rows = await self._ask(source, [*pipeline, *_FOLLOW, *_count_closed(period)])
        return TripFigures(**{name: rows[0][name] for name in ("closed", "winning", "losing")} if rows else {})

    async def _since_resets(self) -> Document:
        """Match no fill of before its account's last reset; ids tell those of the same millisecond apart."""
        return _none_of([{"account": one["_id"], "_id": {"$lt": one["reset_mark"]}} for one in await self._resets()])

    async def _resets(self) -> list[Document]:
        with translated("accounts"):
            found = self._accounts.find(RESET, {"reset_at": 1, "reset_mark": 1})
            rows: list[Document] = await found.to_list(None)
        return rows

    async def _ask(self, collection: str, pipeline: Sequence[Document]) -> list[Document]:
        with translated("performance"):
            try:
                found = self._database.collection(collection).aggregate(list(pipeline), allowDiskUse=True)
                rows: list[Document] = await found.to_list(None)
            except ExecutionTimeout as error:
                raise Invalid(
                    "that is too much trading to add up at once: ask for one account or symbol",
                    code="performance.too_much",
                ) from error
        return rows

    # -- without a server that adds up ------------------------------------------------------------------------------

    async def _orders(self, match: Document) -> list[Order]:
        with translated("orders"):
            found = await self._database.collection(orders.SPEC.name).find(match).to_list(None)
        return [orders.order_from(document) for document in found]

    async def _fills(self, period: Period) -> list[Execution]:
        """Return the fills until the end of the period, by time."""
        match = _whose(period) | _between("execution_time", period, upper_only=True) | await self._since_resets()
        if period.strategy is not None:
            match["order"] = {"$in": [order.id for order in await self._orders(_whose(period) | _strategy(period))]}
        with translated("executions"):
            found = await self._database.collection(executions.SPEC.name).find(match).to_list(None)
        fills = [executions.execution_from(document) for document in found]
        return sorted(fills, key=lambda fill: (fill.execution_time, fill.id))


def _whose(period: Period) -> Document:
    match: Document = {}
    if period.accounts is not None:
        match["account"] = {"$in": list(period.accounts)}
    if period.symbol is not None:
        match["symbol"] = period.symbol
    return match


def _none_of(queries: list[Document]) -> Document:
    return {"$nor": queries} if queries else {}


def _strategy(period: Period) -> Document:
    return {} if period.strategy is None else {"strategy": period.strategy}


def _between(path: str, period: Period, *, upper_only: bool = False) -> Document:
    """Stored times are whole milliseconds: rounding a bound up keeps exactly those that are not before it."""
    times: Document = {}
    if period.from_ns is not None and not upper_only:
        times["$gte"] = ns_to_datetime(_ceil_ms(period.from_ns))
    if period.to_ns is not None:
        times["$lt"] = ns_to_datetime(_ceil_ms(period.to_ns))
    return {path: times} if times else {}


def _ceil_ms(ts_ns: int) -> int:
    return -(-ts_ns // NS_PER_MS) * NS_PER_MS


def _fills_of(period: Period, times: Document) -> tuple[str, list[Document]]:
    """Return where to begin and how to come to the fills: a strategy's are found by its orders."""
    if period.strategy is None:
        return executions.SPEC.name, [{"$match": _whose(period) | times}]
    lookup = {"from": executions.SPEC.name, "localField": "_id", "foreignField": "order", "as": "fill"}
    return orders.SPEC.name, [
        {"$match": _whose(period) | _strategy(period) | {"filled_quantity": {"$gt": NOTHING}}},
        {"$project": {"_id": 1}},
        {"$lookup": lookup},
        {"$unwind": "$fill"},
        {"$replaceRoot": {"newRoot": "$fill"}},
        *([{"$match": times}] if times else []),
    ]


_FILL_SUMS: list[Document] = [
    {
        "$project": {
            "quantity": 1,
            "commission": 1,
            "value": {"$multiply": ["$quantity", "$price"]},
            "realized": {"$ifNull": ["$postings.realized_pnl", NOTHING]},
            "signed": SIGNED,
            "price": 1,
            "shown": {"$cond": [HAS_QUOTE, MIDDLE, {"$cond": [{"$isNumber": "$basis.price"}, "$basis.price", None]}]},
        }
    },
    {
        "$group": {
            "_id": None,
            "count": {"$sum": 1},
            "volume": {"$sum": "$quantity"},
            "value": {"$sum": "$value"},
            "commission": {"$sum": "$commission"},
            "realized_pnl": {"$sum": {"$multiply": ["$realized", Decimal128("-1")]}},
            "cost": {
                "$sum": {
                    "$cond": [
                        {"$isNumber": "$shown"},
                        {"$multiply": ["$signed", {"$subtract": ["$price", "$shown"]}]},
                        NOTHING,
                    ]
                }
            },
            "reference": {
                "$sum": {"$cond": [{"$isNumber": "$shown"}, {"$multiply": ["$quantity", "$shown"]}, NOTHING]}
            },
        }
    },
]

_HELD_BY = {"account": "$account", "symbol": "$symbol"}
_IN_ORDER = {"execution_time": 1, "_id": 1}
_SO_FAR = {"documents": ["unbounded", "current"]}
_NEGATIVE = Decimal128("-1")
_CASH = {"$subtract": [{"$multiply": ["$signed", "$price", _NEGATIVE]}, "$commission"]}
_TURNED = {"$lt": [{"$multiply": ["$before", "$after"]}, NOTHING]}
# Of a fill that turned over, what opened the next position: its money, and its share of the commission.
_OPENED_FEE = {"$subtract": ["$commission", {"$divide": [{"$multiply": ["$commission", "$closing"]}, "$signed"]}]}
_OPENED = {"$subtract": [{"$multiply": ["$after", "$price", _NEGATIVE]}, _OPENED_FEE]}

_FOLLOW: list[Document] = [
    {"$project": {"account": 1, "symbol": 1, "execution_time": 1, "price": 1, "commission": 1, "signed": SIGNED}},
    {"$set": {"cash": _CASH}},
    {
        "$setWindowFields": {
            "partitionBy": _HELD_BY,
            "sortBy": _IN_ORDER,
            "output": {
                "after": {"$sum": "$signed", "window": _SO_FAR},
                "money": {"$sum": "$cash", "window": _SO_FAR},
            },
        }
    },
    {"$set": {"before": {"$subtract": ["$after", "$signed"]}}},
    {"$match": {"$expr": {"$or": [{"$eq": ["$after", NOTHING]}, _TURNED]}}},
    {"$set": {"closing": {"$multiply": ["$before", _NEGATIVE]}}},
    {"$set": {"money": {"$subtract": ["$money", {"$cond": [_TURNED, _OPENED, NOTHING]}]}}},
    {
        "$setWindowFields": {
            "partitionBy": _HELD_BY,
            "sortBy": _IN_ORDER,
            "output": {"earlier": {"$shift": {"output": "$money", "by": -1, "default": NOTHING}}},
        }
    },
    # Rounded: a third of a commission, taken out and put in again, leaves its last digit behind.
    {"$project": {"closed_at": "$execution_time", "made": {"$round": [{"$subtract": ["$money", "$earlier"]}, 15]}}},
]


def _count_closed(period: Period) -> list[Document]:
    closed = {} if period.from_ns is None else {"closed_at": {"$gte": ns_to_datetime(_ceil_ms(period.from_ns))}}
    return [
        {"$match": closed},
        {
            "$group": {
                "_id": None,
                "closed": {"$sum": 1},
                "winning": {"$sum": {"$cond": [{"$gt": ["$made", NOTHING]}, 1, 0]}},
                "losing": {"$sum": {"$cond": [{"$lt": ["$made", NOTHING]}, 1, 0]}},
            }
        },
    ]
