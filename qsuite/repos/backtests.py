"""Backtests: what was asked, what came of it in figures, and its course.

{ _id: UUID("0199…"), owner: UUID("0198…"), strategy: "sma_cross", symbols: ["IBM"], interval: "1d",
  start: ISODate("2004-08-19T00:00:00Z"), end: null, initial_cash: Decimal128("10000"),
  parameters: { fast: 10, slow: 30, equity_fraction: Decimal128("1") },
  commission: { model: "percent", percent: Decimal128("0.1") }, commissions: {}, slippage_bps: Decimal128("5"),
  participation: null, seed: 0, source: "bars", adjusted: true, finish: "leave",
  figures: { total_return: 0.42, sharpe_ratio: 0.81, total_trades: 31, costs: Decimal128("88.10"), … },
  final_equity: Decimal128("14200.10"), bars: 2148, orders_refused: 0,
  equity_curve: [{ ts: ISODate("2004-08-20T00:00:00Z"), equity: Decimal128("10000") }, …],
  trades: [{ symbol: "IBM", side: "BUY", quantity: Decimal128("51"), entry_ts: ISODate("…"), entry_price: …,
             exit_ts: ISODate("…"), exit_price: …, pnl: Decimal128("376.38"), commission: Decimal128("1.10") }, …],
  open_trades: [], refused: [{ ts: ISODate("…"), symbol: "IBM", side: "BUY", quantity: …, code: "risk.buying_power",
             detail: "…" }], created_at: ISODate("…") }

``_id`` is the job's: a job that runs twice stores one. Once stored it never changes. It stays below the 16 MB of a
document because ``domain.backtests.record`` bounds what is kept of the course.
"""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from pymongo import IndexModel

from qsuite.domain.backtests.asks import Refused
from qsuite.domain.backtests.figures import Figures
from qsuite.domain.backtests.plan import plan_from
from qsuite.domain.backtests.record import Backtest, Point
from qsuite.domain.backtests.trades import ClosedTrade, OpenTrade
from qsuite.domain.errors import NotFound
from qsuite.domain.listing import Condition, Listing, Page
from qsuite.domain.money import show_all
from qsuite.domain.times import datetime_to_ns, format_rfc3339, ns_to_datetime
from qsuite.domain.trading.order import Side
from qsuite.repos.database import Database, Document, translated
from qsuite.repos.decimals import decode_decimal, decode_decimals, encode_decimal, encode_decimals, encode_optional
from qsuite.repos.listing import FieldMap, find_page, instant, plain
from qsuite.repos.schema import CollectionSpec, money, schema

NAME = "backtests"

SPEC = CollectionSpec(
    NAME,
    schema(
        "_id owner strategy symbols interval initial_cash parameters commission slippage_bps seed source adjusted"
        " finish figures final_equity bars orders_refused equity_curve trades open_trades refused created_at",
        {
            "_id": {"bsonType": "binData"},
            "owner": {"bsonType": "binData"},
            "strategy": {"bsonType": "string"},
            "symbols": {"bsonType": "array", "items": {"bsonType": "string"}},
            "interval": {"bsonType": "string"},
            "start": {"bsonType": ["date", "null"]},
            "end": {"bsonType": ["date", "null"]},
            "initial_cash": money(),
            "parameters": {"bsonType": "object"},
            "commission": {"bsonType": "object"},
            "commissions": {"bsonType": "object"},
            "slippage_bps": money(),
            "participation": money(nullable=True),
            "seed": {"bsonType": ["int", "long"]},
            "source": {"enum": ["bars", "ticks"]},
            "adjusted": {"bsonType": "bool"},
            "finish": {"bsonType": "string"},
            "figures": {"bsonType": "object"},
            "final_equity": money(),
            "bars": {"bsonType": ["int", "long"]},
            "orders_refused": {"bsonType": ["int", "long"]},
            "equity_curve": {"bsonType": "array"},
            "trades": {"bsonType": "array"},
            "open_trades": {"bsonType": "array"},
            "refused": {"bsonType": "array"},
            "created_at": {"bsonType": "date"},
        },
    ),
    (
        IndexModel([("owner", 1), ("created_at", -1), ("_id", -1)], name="of_an_owner"),
        IndexModel([("created_at", -1), ("_id", -1)], name="newest"),
        IndexModel([("symbols", 1), ("created_at", -1), ("_id", -1)], name="of_a_symbol"),
        IndexModel([("strategy", 1), ("created_at", -1), ("_id", -1)], name="of_a_strategy"),
        IndexModel([("figures.sharpe_ratio", -1), ("_id", -1)], name="best"),
        IndexModel([("owner", 1), ("figures.sharpe_ratio", -1), ("_id", -1)], name="best_of_an_owner"),
    ),
)

FIELDS: dict[str, FieldMap] = {
    "id": plain("_id"),
    "owner": plain("owner"),
    "strategy": plain("strategy"),
    "symbol": plain("symbols"),
    "interval": plain("interval"),
    "sharpe_ratio": plain("figures.sharpe_ratio", nullable=True),
    "created_at": instant("created_at"),
}
COURSE = ("equity_curve", "trades", "open_trades", "refused")
_TIMES = ("ts", "entry_ts", "exit_ts")


class BacktestsRepo:
    """Keep backtests."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._backtests = database.collection(NAME)

    async def put(self, backtest: Backtest) -> None:
        """Store one; the same again changes nothing."""
        document = to_document(backtest)
        with translated("backtest"):
            await self._backtests.replace_one({"_id": backtest.id}, document, upsert=True)

    async def find(self, identity: UUID) -> Backtest | None:
        """Return one with its course, or None. Thousands of rows: read and decoded in a thread."""
        return await self._database.in_reader(self._find, identity)

    async def get(self, identity: UUID) -> Backtest:
        """Return one with its course. NotFound."""
        found = await self.find(identity)
        if found is None:
            raise NotFound(f"no backtest {identity}")
        return found

    async def page(self, listing: Listing, owner: UUID | None) -> Page[Backtest]:
        """Return a page of an owner's backtests, or everybody's for None; without their course."""
        if owner is not None:
            listing = listing.where(Condition("owner", "eq", owner))
        without = dict.fromkeys(COURSE, 0)
        return await find_page(self._backtests, listing, to_domain=to_domain, fields=FIELDS, projection=without)

    def _find(self, identity: UUID) -> Backtest | None:
        with translated("backtest"):
            found = self._database.sync[NAME].find_one({"_id": identity})
        return None if found is None else to_domain(found)


def to_document(backtest: Backtest) -> Document:
    """Write a backtest as it is stored."""
    plan = backtest.plan
    return plan.plain() | {
        "_id": backtest.id,
        "owner": backtest.owner,
        "start": None if plan.start is None else ns_to_datetime(plan.start),
        "end": None if plan.end is None else ns_to_datetime(plan.end),
        "initial_cash": encode_decimal(plan.initial_cash),
        "parameters": encode_decimals(plan.parameters),
        "commission": encode_decimals(plan.commission),
        "commissions": encode_decimals(plan.commissions),
        "slippage_bps": encode_decimal(plan.slippage_bps),
        "participation": encode_optional(plan.participation),
        "figures": encode_decimals(asdict(backtest.figures)),
        "final_equity": encode_decimal(backtest.final_equity),
        "bars": backtest.bars,
        "orders_refused": backtest.orders_refused,
        "equity_curve": [_row(point._asdict()) for point in backtest.equity_curve],
        "trades": [_row(asdict(trade)) for trade in backtest.trades],
        "open_trades": [_row(asdict(trade)) for trade in backtest.open_trades],
        "refused": [_row(asdict(each)) for each in backtest.refused],
        "created_at": ns_to_datetime(backtest.created_at),
    }


def to_domain(document: dict[str, Any]) -> Backtest:
    """Read a stored backtest, or what is listed of one."""
    return Backtest(
        id=document["_id"],
        owner=document["owner"],
        plan=plan_from(_plain(document)),
        figures=Figures(**decode_decimals(document["figures"])),
        final_equity=decode_decimal(document["final_equity"]),
        bars=document["bars"],
        orders_refused=document["orders_refused"],
        equity_curve=tuple(Point(**_read(row)) for row in document.get("equity_curve", ())),
        trades=tuple(ClosedTrade(**_read(row)) for row in document.get("trades", ())),
        open_trades=tuple(OpenTrade(**_read(row)) for row in document.get("open_trades", ())),
        refused=tuple(Refused(**_read(row)) for row in document.get("refused", ())),
        created_at=datetime_to_ns(document["created_at"]),
    )


def _plain(document: dict[str, Any]) -> dict[str, Any]:
    plain = show_all(decode_decimals(document))
    for name in ("start", "end"):
        moment = document[name]
        plain[name] = None if moment is None else format_rfc3339(datetime_to_ns(moment))
    return dict(plain)


def _row(values: dict[str, Any]) -> Document:
    row: Document = encode_decimals(values)
    for name in _TIMES:
        if name in row:
            row[name] = ns_to_datetime(row[name])
    if row.get("side") is not None:
        row["side"] = row["side"].value
    return row


def _read(row: Document) -> dict[str, Any]:
    values: dict[str, Any] = decode_decimals(row)
    for name in _TIMES:
        if name in values:
            values[name] = datetime_to_ns(values[name])
    if values.get("side") is not None:
        values["side"] = Side(values["side"])
    return values
