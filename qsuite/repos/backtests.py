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

from pymongo import IndexModel

from qsuite.domain.backtests.asks import Refused
from qsuite.domain.backtests.figures import Figures
from qsuite.domain.backtests.record import Backtest, Point
from qsuite.domain.backtests.trades import ClosedTrade, OpenTrade
from qsuite.domain.times import datetime_to_ns, ns_to_datetime
from qsuite.domain.trading.order import Side
from qsuite.repos.database import Database, Document
from qsuite.repos.decimals import decode_decimal, decode_decimals, encode_decimal, encode_decimals
from qsuite.repos.listing import FieldMap, plain
from qsuite.repos.plans import PLAN_FIELDS, PLAN_SHAPE, Kind, RunsRepo, plan_document, plan_of
from qsuite.repos.schema import CollectionSpec, money, schema

NAME = "backtests"

SPEC = CollectionSpec(
    NAME,
    schema(
        "_id owner strategy symbols interval initial_cash parameters commission slippage_bps seed source adjusted"
        " finish figures final_equity bars orders_refused equity_curve trades open_trades refused created_at",
        {
            **PLAN_SHAPE,
            "parameters": {"bsonType": "object"},
            "source": {"enum": ["bars", "ticks"]},
            "figures": {"bsonType": "object"},
            "final_equity": money(),
            "bars": {"bsonType": ["int", "long"]},
            "orders_refused": {"bsonType": ["int", "long"]},
            "equity_curve": {"bsonType": "array"},
            "trades": {"bsonType": "array"},
            "open_trades": {"bsonType": "array"},
            "refused": {"bsonType": "array"},
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

FIELDS: dict[str, FieldMap] = PLAN_FIELDS | {"sharpe_ratio": plain("figures.sharpe_ratio", nullable=True)}
COURSE = ("equity_curve", "trades", "open_trades", "refused")
_TIMES = ("ts", "entry_ts", "exit_ts")


class BacktestsRepo(RunsRepo[Backtest]):
    """Keep backtests."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, Kind(NAME, "backtest", to_document, to_domain, FIELDS, COURSE))


def to_document(backtest: Backtest) -> Document:
    """Write a backtest as it is stored."""
    return plan_document(backtest.plan) | {
        "_id": backtest.id,
        "owner": backtest.owner,
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
        plan=plan_of(document),
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
