"""Sweeps: what was asked, and a column of each parameter and each figure with one place a set.

{ _id: UUID("0199…"), owner: UUID("0198…"), strategy: "sma_cross", symbols: ["IBM"], interval: "1d",
  start: ISODate("2004-08-19T00:00:00Z"), end: null, initial_cash: Decimal128("10000"),
  best_parameters: { fast: 10, slow: 30, quantity: Decimal128("50") },
  asked: { fast: [5, 10], slow: { from: 20, to: 60, step: 10 }, quantity: 50 },
  commission: { model: "percent", percent: Decimal128("0.1") }, commissions: {}, slippage_bps: Decimal128("5"),
  participation: null, seed: 0, source: "bars", adjusted: true, finish: "leave",
  rank_by: "sharpe_ratio", bars: 2148, bars_a_year: 252.0, count: 10, left_out: 0,
  sets: { fast: [5, 5, …], slow: [20, 30, …], quantity: [Decimal128("50"), …] },
  figures: { total_return: [0.42, 0.17, …], sharpe_ratio: [0.81, null, …], … }, ranking: [7, 2, …],
  deflated: { probability: 0.31, luck: 0.041, trials: 10, variance: 0.0007 }, created_at: ISODate("…") }

``_id`` is the job's, and that of the best set's backtest. Once stored it never changes. At 20,000 sets, the most there
can be, it has some 7 MB of the 16 a document may have.
"""

from pymongo import IndexModel

from qsuite.domain.backtests.deflated import Deflated
from qsuite.domain.backtests.swept_record import Sweep
from qsuite.domain.times import datetime_to_ns, ns_to_datetime
from qsuite.repos.database import Database, Document
from qsuite.repos.decimals import decode_decimals, encode_decimals
from qsuite.repos.plans import PLAN_FIELDS, PLAN_SHAPE, Kind, RunsRepo, plan_document, plan_of
from qsuite.repos.schema import CollectionSpec, schema

NAME = "sweeps"

SPEC = CollectionSpec(
    NAME,
    schema(
        "_id owner strategy symbols interval initial_cash best_parameters asked commission slippage_bps rank_by bars"
        " bars_a_year count left_out sets figures ranking created_at",
        {
            **PLAN_SHAPE,
            "best_parameters": {"bsonType": "object"},
            "asked": {"bsonType": "object"},
            "source": {"enum": ["bars"]},
            "rank_by": {"bsonType": "string"},
            "bars": {"bsonType": ["int", "long"]},
            "bars_a_year": {"bsonType": "double"},
            "count": {"bsonType": ["int", "long"], "minimum": 1},
            "left_out": {"bsonType": ["int", "long"]},
            "sets": {"bsonType": "object"},
            "figures": {"bsonType": "object"},
            "ranking": {"bsonType": "array", "minItems": 1},
            "deflated": {"bsonType": ["object", "null"]},
        },
    ),
    (
        IndexModel([("owner", 1), ("created_at", -1), ("_id", -1)], name="of_an_owner"),
        IndexModel([("created_at", -1), ("_id", -1)], name="newest"),
    ),
)

COLUMNS = ("sets", "figures", "ranking")


class SweepsRepo(RunsRepo[Sweep]):
    """Keep sweeps."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, Kind(NAME, "sweep", to_document, to_domain, PLAN_FIELDS, COLUMNS))


def to_document(sweep: Sweep) -> Document:
    """Write a sweep as it is stored."""
    document = plan_document(sweep.plan)
    best_parameters = document.pop("parameters")
    return document | {
        "_id": sweep.id,
        "owner": sweep.owner,
        "best_parameters": best_parameters,
        "asked": encode_decimals(sweep.asked),
        "rank_by": sweep.rank_by,
        "bars": sweep.bars,
        "bars_a_year": sweep.bars_a_year,
        "count": sweep.count,
        "left_out": sweep.left_out,
        "sets": encode_decimals(sweep.sets),
        "figures": dict(sweep.figures),
        "ranking": list(sweep.ranking),
        "deflated": None if sweep.deflated is None else sweep.deflated._asdict(),
        "created_at": ns_to_datetime(sweep.created_at),
    }


def to_domain(document: Document) -> Sweep:
    """Read a stored sweep, or what is listed of one."""
    deflated = document["deflated"]
    return Sweep(
        id=document["_id"],
        owner=document["owner"],
        plan=plan_of(document | {"parameters": document["best_parameters"]}),
        asked=decode_decimals(document["asked"]),
        rank_by=document["rank_by"],
        bars=document["bars"],
        bars_a_year=document["bars_a_year"],
        count=document["count"],
        left_out=document["left_out"],
        sets=decode_decimals(document.get("sets", {})),
        figures=document.get("figures", {}),
        ranking=tuple(document.get("ranking", ())),
        deflated=None if deflated is None else Deflated(**deflated),
        created_at=datetime_to_ns(document["created_at"]),
    )
